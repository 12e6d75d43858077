import pytest

from core.records import FaceOutcome
from db.review_order import NEAR, review_order

IDENTIFIED, UNKNOWN, AMBIGUOUS = FaceOutcome.IDENTIFIED, FaceOutcome.UNKNOWN, FaceOutcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("outcome", "similarity", "order"),
    [
        (IDENTIFIED, 0.5, 0.0),
        (IDENTIFIED, 0.52, 0.02),
        (IDENTIFIED, 0.5 + NEAR, NEAR),
        (IDENTIFIED, 0.56, None),
        (UNKNOWN, 0.49, 0.01),
        (UNKNOWN, 0.5 - NEAR, NEAR),
        (UNKNOWN, 0.44, None),
        (AMBIGUOUS, 0.9, 0.1),
        (AMBIGUOUS, 0.5, 0.5),
        (FaceOutcome.LOW_QUALITY, 0.5, None),
        (UNKNOWN, None, None),
    ],
)
def test_the_nearest_to_the_threshold_and_the_most_similar_ambiguous_come_first(
    outcome: FaceOutcome, similarity: float | None, order: float | None
) -> None:
    assert review_order(outcome.value, similarity, 0.5) == (None if order is None else pytest.approx(order))


def test_a_model_without_a_rule_leaves_nothing_to_ask() -> None:
    assert review_order(AMBIGUOUS, 0.9, None) is None
