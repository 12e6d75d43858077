import pytest

from scripts.demo_score import (
    PersonScore,
    ProbeOutcome,
    ScoredPhoto,
    count_probes,
    count_strangers,
    likely_range,
    score_people,
    score_row,
    share,
)


def row(**changes: object) -> dict[str, object]:
    values: dict[str, object] = {
        "uri": "/photos/1.jpg",
        "outcome": "identified",
        "person": "Ada",
        "candidate": "Ada",
        "similarity": 0.9,
        "confidence": 0.99,
        "error": None,
    }
    return {**values, **changes}


def photo(truth: str | None, outcome: ProbeOutcome, candidate: str | None = None) -> ScoredPhoto:
    return ScoredPhoto(uri="/photos/1.jpg", truth=truth, outcome=outcome, candidate=candidate)


def test_the_right_name_is_named_right() -> None:
    assert score_row(row(), "Ada").outcome is ProbeOutcome.NAMED_RIGHT


def test_another_persons_name_is_named_wrong() -> None:
    assert score_row(row(person="Bob", candidate="Bob"), "Ada").outcome is ProbeOutcome.NAMED_WRONG


@pytest.mark.parametrize("outcome", ["unknown", "ambiguous", "low_quality", "no_face"])
def test_a_photo_without_a_name_is_refused_even_when_the_nearest_person_is_right(outcome: str) -> None:
    assert score_row(row(outcome=outcome, person=None), "Ada").outcome is ProbeOutcome.REFUSED


def test_any_name_for_a_stranger_is_wrong() -> None:
    assert score_row(row(), None).outcome is ProbeOutcome.NAMED_WRONG


def test_a_failed_photo_is_unreadable_and_says_why() -> None:
    failed = row(outcome="error", person=None, candidate=None, error={"code": "photo_broken", "message": "It is cut."})
    scored = score_row(failed, "Ada")
    assert (scored.outcome, scored.error) == (ProbeOutcome.UNREADABLE, "It is cut.")


def test_every_probe_is_counted_once_and_strangers_are_not_probes() -> None:
    photos = [
        photo("Ada", ProbeOutcome.NAMED_RIGHT, "Ada"),
        photo("Ada", ProbeOutcome.REFUSED, "Ada"),
        photo("Bob", ProbeOutcome.REFUSED, "Ada"),
        photo("Bob", ProbeOutcome.NAMED_WRONG, "Ada"),
        photo("Bob", ProbeOutcome.UNREADABLE),
        photo(None, ProbeOutcome.NAMED_WRONG, "Ada"),
    ]
    accuracy = count_probes(photos)
    assert (accuracy.named_right, accuracy.refused, accuracy.named_wrong, accuracy.unreadable) == (1, 2, 1, 1)
    assert accuracy.probes == 5


def test_rank1_counts_refused_photos_whose_nearest_person_is_right_and_leaves_unreadable_ones_out() -> None:
    photos = [
        photo("Ada", ProbeOutcome.NAMED_RIGHT, "Ada"),
        photo("Ada", ProbeOutcome.REFUSED, "Ada"),
        photo("Bob", ProbeOutcome.NAMED_WRONG, "Ada"),
        photo("Bob", ProbeOutcome.UNREADABLE),
    ]
    assert count_probes(photos).rank1 == pytest.approx(2 / 3)


def test_rank1_of_nothing_readable_is_none() -> None:
    assert count_probes([photo("Ada", ProbeOutcome.UNREADABLE)]).rank1 is None


def test_strangers_are_refused_or_named() -> None:
    photos = [
        photo(None, ProbeOutcome.REFUSED, "Ada"),
        photo(None, ProbeOutcome.NAMED_WRONG, "Ada"),
        photo(None, ProbeOutcome.UNREADABLE),
        photo("Ada", ProbeOutcome.NAMED_WRONG, "Bob"),
    ]
    strangers = count_strangers(photos)
    assert (strangers.total, strangers.refused, strangers.named, strangers.unreadable) == (3, 1, 1, 1)


def test_everybody_has_a_line_also_without_a_probe() -> None:
    people = score_people([photo("Bob", ProbeOutcome.NAMED_WRONG, "Ada")], {"Ada": 3, "Bob": 2})
    assert [(person.name, person.train_photos, person.probes, person.named_wrong) for person in people] == [
        ("Ada", 3, 0, 0),
        ("Bob", 2, 1, 1),
    ]


def test_a_wrong_name_is_more_trouble_than_a_refusal() -> None:
    def person(refused: int, named_wrong: int) -> PersonScore:
        return PersonScore(
            name="Ada",
            train_photos=1,
            probes=3,
            named_right=0,
            refused=refused,
            named_wrong=named_wrong,
            unreadable=0,
        )

    assert person(refused=0, named_wrong=1).trouble() > person(refused=1, named_wrong=0).trouble()


def test_the_share_of_nothing_is_none() -> None:
    assert share(0, 0) is None
    assert share(1, 4) == 0.25


# Wilson (1927), as tabulated.
@pytest.mark.parametrize(
    ("part", "whole", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)]
)
def test_the_likely_range_is_wilsons(part: int, whole: int, low: float, high: float) -> None:
    assert likely_range(part, whole) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))
