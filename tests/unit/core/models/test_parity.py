"""Answers that differ are told from answers that only round differently."""

import numpy as np
import pytest

from core.errors import ModelParityError
from core.models.parity import Outputs, Tolerance, check_outputs, check_parity

TOLERANCE = Tolerance(embedding=1e-3, logit=1e-2, mean_cosine=0.99)


def make_outputs(count: int = 2, logit: float = 10.0) -> Outputs:
    embeddings = np.zeros((count, 3), np.float32)
    embeddings[:, 0] = 1.0
    return Outputs(embeddings=embeddings, logits=np.full((count, 4), logit, np.float32))


def test_rounding_is_no_difference() -> None:
    actual = make_outputs(logit=10.05)
    actual.embeddings[0, 1] = 5e-4
    check_parity(make_outputs(), actual, TOLERANCE, "it")


@pytest.mark.parametrize("row", [0, 1])
def test_an_embedding_that_moves_further_than_allowed_is_refused(row: int) -> None:
    actual = make_outputs()
    actual.embeddings[row] = [0.99875, 0.05, 0.0]
    with pytest.raises(ModelParityError, match="embeddings"):
        check_parity(make_outputs(), actual, TOLERANCE, "it")


def test_embeddings_that_all_turn_a_little_are_refused() -> None:
    """No component moves far, and yet the batch points elsewhere."""
    loose = Tolerance(embedding=0.2, logit=1e-2, mean_cosine=0.99)
    actual = make_outputs()
    actual.embeddings[0] = [0.985, 0.1725, 0.0]
    check_parity(make_outputs(), actual, loose, "it")  # one of two: a mean of 0.9925
    actual.embeddings[1] = [0.985, 0.0, 0.1725]
    with pytest.raises(ModelParityError, match=r"mean cosine of 0\.985"):
        check_parity(make_outputs(), actual, loose, "it")


def test_a_logit_is_measured_against_the_largest() -> None:
    with pytest.raises(ModelParityError, match="logit"):
        check_parity(make_outputs(), make_outputs(logit=10.2), TOLERANCE, "it")
    check_parity(make_outputs(logit=100.0), make_outputs(logit=100.2), TOLERANCE, "it")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    for part in ("embeddings", "logits"):
        outputs = make_outputs()
        getattr(outputs, part)[1, 1] = value
        with pytest.raises(ModelParityError, match="not finite"):
            check_parity(make_outputs(), outputs, TOLERANCE, "it")


def test_expected_answers_that_are_not_finite_match_nothing() -> None:
    expected = make_outputs()
    expected.logits[0, 0] = np.nan
    with pytest.raises(ModelParityError):
        check_parity(expected, make_outputs(), TOLERANCE, "it")


def test_shapes_types_and_lengths_are_checked() -> None:
    good = make_outputs()
    check_outputs(good, count=2, dim=3, classes=4, what="it")
    bad = [
        Outputs(embeddings=good.embeddings[:1], logits=good.logits),
        Outputs(embeddings=good.embeddings, logits=good.logits[:, :3]),
        Outputs(embeddings=good.embeddings.astype(np.float64), logits=good.logits),  # type: ignore[arg-type]
        Outputs(embeddings=2 * good.embeddings, logits=good.logits),
    ]
    for outputs in bad:
        with pytest.raises(ModelParityError):
            check_outputs(outputs, count=2, dim=3, classes=4, what="it")


def test_an_empty_batch_is_right() -> None:
    check_parity(make_outputs(0), make_outputs(0), TOLERANCE, "it")
