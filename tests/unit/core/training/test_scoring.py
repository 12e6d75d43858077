"""The scorecard's figures are what their names say, on photos few enough to count by hand."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.training.metrics import expected_calibration_error
from core.training.scorecard import NO_GROUP, ScoredPhotos
from core.training.scoring import make_scorecard

REFUSED = -np.inf


def photos(similarity: list[float], *, threshold: float = 0.5, **columns: Any) -> ScoredPhotos:
    """Photos of one person each, whose candidate is right, as a rule of this threshold decides about them."""
    scores = np.array(similarity, float)
    values: dict[str, Any] = {
        "person": np.arange(len(scores)),
        "found": np.ones(len(scores), bool),
        "right": np.ones(len(scores), bool),
        "named": scores >= threshold,
        "confidence": np.clip(scores, 0.0, 1.0),
        "group": np.full(len(scores), NO_GROUP),
    }
    return ScoredPhotos(similarity=scores, **{**values, **{name: np.array(column) for name, column in columns.items()}})


def strangers(similarity: list[float], **columns: Any) -> ScoredPhotos:
    return replace(photos(similarity, **columns), right=np.zeros(len(similarity), bool))


NOBODY = strangers([])


def test_a_photo_without_a_face_is_a_miss_and_a_poor_face_a_refusal() -> None:
    """Four photos: named right; known but refused; without a face; a poor face whose nearest person is right."""
    known = photos([0.9, 0.4, REFUSED, REFUSED], found=[True, True, False, True], right=[True, True, False, True])

    card = make_scorecard(known, NOBODY, fpir_target=0.01)

    assert (card.no_face, card.low_quality) == ((1, 0), (1, 0))
    assert (card.rank1.count, card.rank1.of, card.rank1.rate) == (3, 4, 0.75)
    assert (card.tpir.count, card.tpir.of, card.tpir.rate) == (1, 4, 0.25)
    assert card.named_wrong.count == 0


def test_names_are_counted_by_whether_they_are_right() -> None:
    """Known: two named right, one named wrong, one refused. Strangers: one of five named."""
    known = photos([0.9, 0.8, 0.7, 0.1], right=[True, True, False, True])

    card = make_scorecard(known, strangers([0.6, 0.1, 0.1, 0.1, 0.1]), fpir_target=0.01)

    assert (card.tpir.rate, card.named_wrong.rate) == (0.5, 0.25)
    assert (card.fpir.rate, card.unknown_recall.rate, card.fpir_target) == (0.2, 0.8, 0.01)
    assert (card.wrong_names.count, card.wrong_names.of, card.wrong_names.rate) == (2, 4, 0.5)


def test_thresholds_are_set_on_the_strangers() -> None:
    """Of 100 strangers at 0.00 to 0.99, one may pass at 1 %, so names go to those above 0.98; at 5 %, above 0.94."""
    known = photos([0.985, 0.98, 0.97, 0.945, 0.94, 0.5], right=[True, True, False, True, True, True])

    at = {each.fpir: each for each in _card(known, strangers([at / 100 for at in range(100)])).tpir_at_fpir}

    assert at[0.01].threshold == pytest.approx(0.98)
    assert at[0.01].tpir is not None and at[0.01].tpir.count == 1, "0.98 does not exceed the stranger's 0.98"
    assert at[0.05].threshold == pytest.approx(0.94)
    assert at[0.05].tpir is not None and at[0.05].tpir.count == 3, "the photo at 0.97 is taken for another"


def test_a_share_that_too_few_strangers_can_tell_is_not_made_up() -> None:
    at = {each.fpir: each for each in _card(photos([0.9] * 9), strangers([0.1] * 99)).tpir_at_fpir}

    assert (at[0.003].tpir, at[0.003].threshold, at[0.003].strangers_needed) == (None, None, 334)
    assert (at[0.01].tpir, at[0.01].strangers_needed) == (None, 100)
    assert at[0.05].tpir is not None


def test_many_photos_of_few_strangers_do_not_tell_a_small_share() -> None:
    card = _card(photos([0.9] * 9), strangers([0.1] * 200, person=np.arange(200) % 20))

    assert [each.tpir is None for each in card.tpir_at_fpir] == [True, True, False]
    assert min(point.fpir for point in card.curve) == 0.05


def test_equally_similar_strangers_are_all_refused_or_all_named() -> None:
    """At 5 % one of 20 may pass; as all are alike, none does."""
    (*_, at) = _card(photos([0.3, 0.31]), strangers([0.3] * 20)).tpir_at_fpir

    assert at.tpir is not None and at.tpir.count == 1


def test_strangers_without_a_face_are_refused_at_every_threshold() -> None:
    """19 of 20 strangers show no face: at 5 % the other one may pass, and so does everybody with a face."""
    others = strangers([0.9] + [REFUSED] * 19, found=[True] + [False] * 19)
    (*_, at) = _card(photos([0.01, 0.2, REFUSED], found=[True, True, False]), others).tpir_at_fpir

    assert at.threshold is None
    assert at.tpir is not None and at.tpir.count == 2


def test_the_interval_at_an_fpir_knows_that_other_strangers_would_set_another_threshold() -> None:
    """Every known photo is right; which of them pass is up to the best of 20 strangers."""
    spread = [0.5 + at / 100 for at in range(40)]
    certain = _card(photos(spread), strangers([0.6] * 20)).tpir_at_fpir[2].tpir
    unsure = _card(photos(spread), strangers([at / 25 for at in range(20)])).tpir_at_fpir[2].tpir

    assert certain is not None and unsure is not None
    assert _width(unsure) > _width(certain) + 0.1


def test_the_curve_rises_and_reaches_what_is_told_at_each_fpir() -> None:
    generator = np.random.default_rng(1)
    known = photos(list(generator.normal(0.6, 0.1, 300)))
    card = _card(known, strangers(list(generator.normal(0.3, 0.1, 400))))

    rates = [point.tpir for point in card.curve]
    assert rates == sorted(rates)
    assert len(rates) <= 63
    told = {each.fpir: each.tpir.rate for each in card.tpir_at_fpir if each.tpir}
    assert told.keys() == {0.003, 0.01, 0.05}
    assert told.items() <= {point.fpir: point.tpir for point in card.curve}.items()


def test_the_calibration_error_is_that_of_all_faces_with_strangers_as_wrong() -> None:
    generator = np.random.default_rng(2)
    known = photos(list(generator.random(90)), right=generator.random(90) < 0.8)
    others = strangers(list(generator.random(60)))
    stated = np.concatenate([known.confidence, others.confidence])
    right = np.concatenate([known.right, others.right])

    error = _card(known, others).expected_calibration_error

    assert error.value == pytest.approx(expected_calibration_error(stated, right))
    assert error.low is not None and error.high is not None and error.low < error.high


def test_a_photo_without_a_face_states_nothing() -> None:
    known = photos([1.0, REFUSED], found=[True, False], right=[True, False], confidence=[1.0, np.nan])

    card = _card(known, NOBODY)

    assert card.expected_calibration_error.value == 0.0
    assert [(each.confidence, each.right, each.photos) for each in card.reliability] == [(1.0, 1.0, 1)]


def test_reliability_is_told_in_steps_of_a_tenth() -> None:
    known = photos([0.91, 0.93, 0.55], right=[True, False, True])

    found = [(each.confidence, each.right, each.photos) for each in _card(known, NOBODY).reliability]

    assert found == [(0.55, 1.0, 1), (pytest.approx(0.92), 0.5, 2)]


def test_coverage_grows_from_the_surest_photo_and_a_poor_face_is_never_covered() -> None:
    """Five photos by confidence: right, wrong, stranger and right together, poor."""
    known = photos([0.9, 0.8, 0.6, REFUSED], right=[True, False, True, True], confidence=[0.9, 0.8, 0.6, 0.99])

    points = _card(known, strangers([0.6])).coverage

    assert [(each.confidence, each.coverage, each.error) for each in points] == [
        (0.9, pytest.approx(1 / 5), 0.0),
        (0.8, pytest.approx(2 / 5), 0.5),
        (0.6, pytest.approx(4 / 5), 0.5),
    ]


def test_groups_are_told_apart() -> None:
    """Eight people of group 0, all named; eight of group 1, half of them named; and two of none."""
    known = photos([0.9] * 8 + [0.9, 0.1] * 4 + [0.9] * 2, group=[0] * 8 + [1] * 8 + [NO_GROUP] * 2)
    others = strangers([0.9, 0.1], group=[1, NO_GROUP])

    even, uneven = make_scorecard(known, others, fpir_target=0.01, groups=("even", "uneven")).groups

    assert (even.name, even.people, even.tpir.count, even.tpir.of) == ("even", 8, 8, 8)
    assert (uneven.tpir.rate, uneven.rank1.rate) == (0.5, 1.0)
    assert uneven.tpir_difference.value == pytest.approx(0.5 - 1.0)
    assert uneven.tpir_difference.high is not None and uneven.tpir_difference.high < 0.0
    assert (uneven.strangers, uneven.fpir.rate, uneven.fpir_difference.value) == (1, 1.0, 1.0)
    assert (even.strangers, even.fpir.rate, even.fpir_difference.value) == (0, None, None)


def test_a_small_group_without_an_error_is_not_taken_for_better() -> None:
    known = photos([0.9] * 6 + ([0.9] * 19 + [0.1]) * 10, group=[0] * 6 + [1] * 200)

    small, _ = make_scorecard(known, NOBODY, fpir_target=0.01, groups=("small", "large")).groups

    assert small.tpir_difference.value == pytest.approx(0.05)
    assert small.tpir_difference.low is not None and small.tpir_difference.low < 0.0


def test_of_nothing_there_is_no_rate() -> None:
    card = _card(NOBODY, NOBODY)

    assert card.rank1.rate is card.fpir.rate is card.wrong_names.rate is card.expected_calibration_error.value is None
    assert card.curve == card.coverage == card.reliability == ()


def test_strangers_alone_have_their_rates() -> None:
    card = _card(NOBODY, strangers([0.9, 0.1]))

    assert card.fpir.rate == 0.5
    assert [each.tpir for each in card.tpir_at_fpir] == [None] * 3


def test_the_document_is_strict_json_of_bounded_size() -> None:
    generator = np.random.default_rng(3)
    known = photos(list(generator.normal(0.6, 0.1, 4000)))
    card = _card(known, strangers([*generator.normal(0.3, 0.1, 4000), REFUSED]))

    text = json.dumps(card.to_json(), allow_nan=False)

    assert json.loads(text) == card.to_json()
    assert len(text) < 20_000
    assert card.to_json()["photos"] == {"known": 4000, "strangers": 4001}


def _card(known: ScoredPhotos, others: ScoredPhotos) -> Any:
    return make_scorecard(known, others, fpir_target=0.01)


def _width(rate: Any) -> float:
    return float(rate.high - rate.low)
