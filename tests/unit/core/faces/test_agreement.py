"""Two models agree on a face when they give the same person's name, or neither gives one."""

from dataclasses import replace

import pytest

from core.faces.agreement import ScoredFace, pair_faces
from core.records import Agreement, FaceOutcome, FaceResult
from tests import ledger

ADA, GRACE, ADA_AGAIN = 1, 2, 3


def face(index: int = 0, person: int | None = None) -> FaceResult:
    return ledger.face(index, FaceOutcome.UNKNOWN if person is None else FaceOutcome.IDENTIFIED, person)


def at(x1: float, index: int = 0) -> FaceResult:
    return replace(face(index), box_xyxy_px=(x1, 0.0, x1 + 100.0, 100.0))


@pytest.mark.parametrize(
    ("active", "shadow", "agreement"),
    [
        (face(person=ADA), face(person=ADA), Agreement.SAME),
        (face(), face(), Agreement.SAME),
        (face(), replace(face(), outcome=FaceOutcome.AMBIGUOUS), Agreement.SAME),
        (face(person=ADA), face(person=ADA_AGAIN), Agreement.SAME),
        (face(person=ADA), face(person=GRACE), Agreement.RENAMED),
        (face(), face(person=GRACE), Agreement.GAINED),
        (face(person=ADA), face(), Agreement.LOST),
        (face(person=ADA), None, Agreement.UNSEEN),
        (None, face(), Agreement.FOUND),
    ],
)
def test_names_are_compared(active: FaceResult | None, shadow: FaceResult | None, agreement: Agreement) -> None:
    assert ScoredFace(active=active, shadow=shadow).agreement({ADA_AGAIN: ADA}) is agreement


def test_faces_at_the_same_place_are_the_same_in_whatever_order_they_were_found() -> None:
    left, right, jittered = at(0), at(300, index=1), at(310)
    pairs = pair_faces([left, right], [jittered, left])
    assert [(pair.active, pair.shadow) for pair in pairs] == [(left, left), (right, jittered)]


def test_what_one_of_them_did_not_find_stands_alone() -> None:
    left, right = at(0), at(300)
    assert pair_faces([left], [right]) == [
        ScoredFace(active=left, shadow=None),
        ScoredFace(active=None, shadow=right),
    ]
    assert pair_faces([], []) == []
