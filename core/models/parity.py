"""Whether two ways of running one network give the same answers, and how close is the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelParityError
from core.faces.lengths import LEAST, MOST
from core.faces.vectors import are_embeddings, directions


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a servable answers to a batch."""

    embeddings: NDArray[np.float32]
    """[N, D], as long as core.faces.lengths says."""
    logits: NDArray[np.float32]
    """[N, C]."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far apart answers may lie."""

    embedding: float
    """Largest difference of an embedding's component (about as long as 1, so also about the change of a similarity)."""
    logit: float
    """Largest difference of a logit, as a share of the largest logit of the batch (at least 1)."""
    mean_cosine: float
    """Smallest mean, over the batch, of the cosine between an embedding and the expected one."""


EXPORT_TOLERANCE = Tolerance(embedding=1e-5, logit=1e-4, mean_cosine=0.99999)
"""Same weights, same machine, float32: only the order of additions differs (measured 6e-8)."""
SERVING_TOLERANCE = Tolerance(embedding=2e-3, logit=2e-2, mean_cosine=0.9999)
"""Another chip or kernel than the exporter's; TF32 convolutions keep 10 bits of mantissa."""
BFLOAT16_TOLERANCE = Tolerance(embedding=2e-2, logit=0.15, mean_cosine=0.999)
"""bfloat16 keeps 8 bits of mantissa; docs/decisions/0011-imported-backbones.md says what that may change in an answer.
Logits come out of a float32 head, but drawn faces are near nobody, so that the largest logit, which they are measured
by, is small (measured: off by 0.07 of it with three random prototypes)."""


def check_outputs(outputs: Outputs, *, count: int, dim: int, classes: int, what: str) -> None:
    """Refuse answers of the wrong shape or type, that are not finite, or whose embeddings have no length of one.

    Raises:
        ModelParityError: one of these, said in words that start with `what`.
    """
    for name, array, shape in (
        ("embeddings", outputs.embeddings, (count, dim)),
        ("logits", outputs.logits, (count, classes)),
    ):
        if array.shape != shape or array.dtype != np.float32:
            raise _parity_error(f"{what} gives {name} {array.dtype} {array.shape} where float32 {shape} is due")
        if not np.isfinite(array).all():
            raise _parity_error(f"{what} gives {name} that are not finite numbers")
    if not are_embeddings(outputs.embeddings):
        lengths = np.linalg.norm(outputs.embeddings, axis=1)
        found = f"{lengths.min():.4g} to {lengths.max():.4g}"
        raise _parity_error(f"{what} gives embeddings of length {found} where {LEAST} to {MOST} is due")


def check_parity(expected: Outputs, actual: Outputs, tolerance: Tolerance, what: str) -> None:
    """Refuse answers that differ from the expected ones.

    Raises:
        ModelParityError: the shapes differ, a number is not finite, or a difference passes the tolerance.
    """
    count, dim = expected.embeddings.shape
    check_outputs(actual, count=count, dim=dim, classes=expected.logits.shape[1], what=what)
    scale = max(1.0, float(np.abs(expected.logits).max(initial=0.0)))
    off = float(np.abs(actual.embeddings - expected.embeddings).max(initial=0.0))
    off_logit = float(np.abs(actual.logits - expected.logits).max(initial=0.0)) / scale
    cosines = (directions(actual.embeddings) * directions(expected.embeddings)).sum(axis=1)
    cosine = float(cosines.mean()) if count else 1.0  # an empty batch is right
    if not (off <= tolerance.embedding and off_logit <= tolerance.logit and cosine >= tolerance.mean_cosine):
        raise _parity_error(
            f"{what} differs by {off:.2g} in its embeddings (allowed {tolerance.embedding:g}), has a mean cosine of "
            f"{cosine:.5f} to them (due {tolerance.mean_cosine:g}), and differs by {off_logit:.2g} of the largest "
            f"logit (allowed {tolerance.logit:g})"
        )


def _parity_error(fact: str) -> ModelParityError:
    return ModelParityError(
        f"{fact}. The model is not used and the one that serves goes on serving; train or export it again."
    )
