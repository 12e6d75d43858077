"""What people said against what a model said, as a pure function."""

from dataclasses import replace

import numpy as np
import pytest

from core.faces.corrections import (
    Box,
    Held,
    Said,
    as_counted,
    correct,
    decide_from_ranking,
    faces_alone,
    faces_spoken_of,
    held_of,
    said_of_face,
    same_face,
)
from core.faces.match import confidences
from core.faces.rule import RejectRule
from core.records import FaceOutcome, FaceResult, Verdict
from tests.labelled import RULE, ranked

ADA, BOB, CARL, DORA, EVE, FAY = range(1, 7)
LEFT: Box = (0.0, 0.0, 100.0, 100.0)
RIGHT: Box = (200.0, 0.0, 300.0, 100.0)
IS, IS_NOT, NO_FACE, IGNORE = Verdict.IS, Verdict.IS_NOT, Verdict.NOT_A_FACE, Verdict.IGNORE


def said(*labels: tuple[Verdict, int | None], box: Box | None = None, first: int = 1) -> list[Said]:
    return [
        Said(label_id=number, verdict=verdict, person_id=person, counts_as=person, box_xyxy_px=box)
        for number, (verdict, person) in enumerate(labels, first)
    ]


def in_short(held: Held) -> tuple[tuple[Verdict, int | None] | None, set[int]]:
    word = held.last_word
    return None if word is None else (word.verdict, word.person_id), set(held.is_not)


@pytest.mark.parametrize(
    ("labels", "word", "is_not"),
    [
        ([], None, set()),
        ([(IS, ADA), (IS, BOB)], (IS, BOB), set()),
        ([(IS_NOT, ADA), (IS_NOT, BOB)], None, {ADA, BOB}),
        ([(IS_NOT, ADA), (IS, ADA)], (IS, ADA), set()),
        ([(IS_NOT, ADA), (IS, BOB)], (IS, BOB), {ADA}),
        ([(IS, ADA), (IS_NOT, ADA)], None, {ADA}),
        ([(IS, ADA), (IS_NOT, BOB)], (IS, ADA), {BOB}),
        ([(IS, ADA), (IS_NOT, None)], (IS_NOT, None), set()),
        ([(IS_NOT, None), (IS, ADA)], (IS, ADA), set()),
        ([(IS_NOT, None), (IS_NOT, ADA)], (IS_NOT, None), {ADA}),
        ([(IGNORE, None), (IS_NOT, ADA)], (IGNORE, None), {ADA}),
        ([(IGNORE, None), (NO_FACE, None)], (NO_FACE, None), set()),
        ([(IS, ADA), (IGNORE, None), (IS, BOB)], (IS, BOB), set()),
    ],
)
def test_what_contradicts_takes_back_and_what_does_not_stands_beside(
    labels: list[tuple[Verdict, int | None]], word: tuple[Verdict, int | None] | None, is_not: set[int]
) -> None:
    assert in_short(held_of(said(*labels))) == (word, is_not)


def test_a_merged_person_is_contradicted_as_whom_they_count() -> None:
    merged = replace(said((IS, ADA))[0], counts_as=BOB)
    assert in_short(held_of([merged, *said((IS_NOT, BOB), first=2)])) == (None, {BOB})


def test_the_label_that_decides_is_the_last_word_or_the_newest_refusal() -> None:
    assert held_of([]).label_id is None
    assert held_of(said((IS_NOT, ADA), (IS_NOT, BOB))).label_id == 2
    assert held_of(said((IGNORE, None), (IS_NOT, BOB))).label_id == 1


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (LEFT, True),
        ((10.0, 10.0, 110.0, 110.0), True),  # 0.68
        ((0.0, 0.0, 100.0, 50.0), True),  # 0.5
        ((0.0, 0.0, 100.0, 49.0), False),
        ((40.0, 0.0, 140.0, 100.0), False),  # 0.43
        (RIGHT, False),
        ((100.0, 0.0, 200.0, 100.0), False),
        ((50.0, 50.0, 50.0, 50.0), False),
    ],
)
def test_boxes_of_one_face_overlap_by_half(other: Box, same: bool) -> None:
    assert same_face(LEFT, other) is same
    assert same_face(other, LEFT) is same


def test_a_label_without_a_box_names_a_face_alone_and_takes_names_from_all() -> None:
    labels = said((IS, ADA), (IS_NOT, BOB), (IGNORE, None), (IS_NOT, None))
    assert [each.label_id for each in said_of_face(labels, LEFT, alone=True)] == [1, 2, 3, 4]
    assert [each.label_id for each in said_of_face(labels, LEFT, alone=False)] == [2, 3, 4]


def test_labels_bear_on_the_face_of_their_box_or_on_a_photo_that_is_the_face() -> None:
    labels = [*said((IS, ADA), box=LEFT), *said((IS, BOB), box=RIGHT, first=2)]
    assert [each.label_id for each in said_of_face(labels, (5.0, 0.0, 105.0, 100.0), alone=True)] == [1]
    assert [each.label_id for each in said_of_face(labels, None, alone=True)] == [1, 2]


def test_a_face_is_alone_when_no_other_is_good() -> None:
    good, poor = ranked((ADA, 0.9)), ranked((BOB, 0.2), index=1, outcome=FaceOutcome.LOW_QUALITY)
    ignored = replace(good, index=1, quality_reasons=("ignored",))
    assert faces_alone([]) == frozenset()
    assert faces_alone([poor]) == {1}
    assert faces_alone([good, poor]) == {0}
    assert faces_alone([good, replace(good, index=1)]) == frozenset()
    assert faces_alone([good, ignored]) == frozenset()  # what a person said changes nothing of how many it shows


def test_the_faces_of_a_photo_are_told_apart_by_their_boxes() -> None:
    def faces(*labels: list[Said]) -> list[tuple[Box | None, Verdict | None, set[int]]]:
        found = faces_spoken_of([label for some in labels for label in some])
        return [(box, held.last_word and held.last_word.verdict, set(held.is_not)) for box, held in found]

    photo, left, right = said((IS, ADA)), said((IS, BOB), box=LEFT, first=2), said((IGNORE, None), box=RIGHT, first=3)
    shifted = (4.0, 0.0, 104.0, 100.0)
    assert faces() == []
    assert faces(photo) == [(None, IS, set())]
    assert faces(right, left) == [(LEFT, IS, set()), (RIGHT, IGNORE, set())]
    assert faces(photo, left) == [(LEFT, IS, set())]  # now it is said which face is meant, and whose it is
    assert faces(photo, said((IS_NOT, BOB), box=LEFT, first=2)) == [(None, IS, {BOB})]
    assert faces(photo, said((IS_NOT, ADA), box=LEFT, first=2)) == [(LEFT, None, {ADA})]
    assert faces(left, said((IS_NOT, BOB), box=shifted, first=4)) == [(shifted, None, {BOB})]
    assert faces(left, said((IGNORE, None), first=4)) == [(LEFT, IGNORE, set())]
    assert faces(left, said((IS, BOB), first=4)) == [(LEFT, IS, set())]  # says nothing new


def test_a_ranking_is_decided_without_the_people_it_cannot_be() -> None:
    ranking = ranked((ADA, 0.9), (BOB, 0.85), (CARL, 0.6)).top_k
    assert decide_from_ranking(ranking, RULE, {ADA}, {})[:2] == (FaceOutcome.IDENTIFIED, ranking[1])
    assert decide_from_ranking(ranking, RULE, {BOB}, {})[:2] == (FaceOutcome.IDENTIFIED, ranking[0])
    assert decide_from_ranking(ranking, RULE, set(), {})[:2] == (FaceOutcome.AMBIGUOUS, ranking[0])
    assert decide_from_ranking(ranking, RULE, {ADA, BOB, CARL}, {}) == (FaceOutcome.UNKNOWN, None, 0.0)
    assert decide_from_ranking(ranking, RULE, {BOB}, {ADA: BOB})[:2] == (FaceOutcome.IDENTIFIED, ranking[2])


def test_the_only_person_left_has_no_rival_unless_the_ranking_was_cut_off() -> None:
    short = ranked((ADA, 0.9), (BOB, 0.6)).top_k
    assert decide_from_ranking(short, RULE, {ADA}, {}) == (FaceOutcome.IDENTIFIED, short[1], pytest.approx(1.6))
    full = ranked((ADA, 0.9), (BOB, 0.8), (CARL, 0.75), (DORA, 0.7), (EVE, 0.65)).top_k
    outcome, candidate, margin = decide_from_ranking(full, RULE, {ADA, BOB, CARL, DORA}, {})
    assert (outcome, candidate, margin) == (FaceOutcome.AMBIGUOUS, full[4], 0.0)  # a sixth may be as similar


def test_two_classes_of_one_person_are_no_rivals() -> None:
    face = ranked((ADA, 0.9), (BOB, 0.88), (CARL, 0.3))
    decided = correct(face, Held(), RULE, {ADA: BOB})
    assert (face.outcome, decided.outcome, decided.person_id) == (FaceOutcome.AMBIGUOUS, FaceOutcome.IDENTIFIED, ADA)


def decide(face: FaceResult, *labels: tuple[Verdict, int | None], rule: RejectRule | None = RULE) -> FaceResult:
    return correct(face, held_of(said(*labels)), rule, {})


def test_what_bears_on_nobody_near_leaves_the_face_as_the_model_had_it() -> None:
    """Also where the classifier's choice is not the most similar, and for a model without a rule."""
    face = replace(ranked((ADA, 0.9), (BOB, 0.85)), candidate_id=BOB, similarity=0.85, outcome=FaceOutcome.IDENTIFIED)
    face = replace(face, person_id=BOB)
    assert decide(face) == decide(face, (IS_NOT, FAY)) == decide(face, (IS_NOT, FAY), rule=None) == face


def test_the_confidence_of_a_new_candidate_is_the_models_own() -> None:
    face = ranked((ADA, 0.9), (BOB, 0.7), (CARL, 0.4))
    [expected] = confidences(np.float32([0.7]), np.float32([0.3]), RULE.calibration)
    decided = decide(face, (IS_NOT, ADA))
    assert (decided.candidate_id, decided.similarity) == (BOB, 0.7)
    assert decided.confidence == pytest.approx(expected, abs=1e-6)


def test_a_name_given_by_a_person_changes_nothing_of_what_the_model_said() -> None:
    face = ranked((ADA, 0.3), outcome=FaceOutcome.LOW_QUALITY)
    decided = decide(face, (IS, BOB))
    assert decided == replace(face, outcome=FaceOutcome.IDENTIFIED, person_id=BOB)


@pytest.mark.parametrize(
    ("verdict", "outcome", "reasons"),
    [
        (NO_FACE, FaceOutcome.LOW_QUALITY, ("not_a_face",)),
        (IGNORE, FaceOutcome.LOW_QUALITY, ("ignored",)),
        (IS_NOT, FaceOutcome.UNKNOWN, ()),
    ],
)
def test_what_takes_a_name_away(verdict: Verdict, outcome: FaceOutcome, reasons: tuple[str, ...]) -> None:
    face = ranked((ADA, 0.9))
    decided = decide(face, (verdict, None))
    assert decided == replace(face, outcome=outcome, person_id=None, quality_reasons=reasons)
    assert correct(decided, Held(), RULE, {}, anew=True) == face
    poor = replace(face, outcome=FaceOutcome.LOW_QUALITY, person_id=None, quality_reasons=("blurred",))
    assert decide(poor, (verdict, None)).quality_reasons == ("blurred", *reasons)


def test_without_a_rule_a_face_that_must_be_decided_anew_gets_no_name() -> None:
    decided = decide(ranked((ADA, 0.9), (BOB, 0.8)), (IS_NOT, ADA), rule=None)
    assert (decided.outcome, decided.person_id, decided.candidate_id) == (FaceOutcome.UNKNOWN, None, BOB)


def test_a_face_without_an_answer_stays_without_one() -> None:
    nobody = replace(ranked((ADA, 0.4)), candidate_id=None, similarity=None, confidence=None, top_k=())
    assert decide(nobody, (IS_NOT, ADA)) == nobody


def test_merged_people_are_one_person_in_what_is_measured() -> None:
    """Two classes of one person leave no doubt between them, and the one that was merged is not spoken of."""
    doubtful = replace(ranked((BOB, 0.80), (ADA, 0.79), (CARL, 0.1)), outcome=FaceOutcome.AMBIGUOUS, person_id=None)

    counted = as_counted(doubtful, RULE, {BOB: ADA})

    assert (counted.outcome, counted.person_id, counted.candidate_id) == (FaceOutcome.IDENTIFIED, ADA, ADA)
    assert [person.person_id for person in counted.top_k] == [ADA, CARL]
    assert as_counted(doubtful, RULE, {}) == doubtful
