"""Embeddings as rows of numbers: their lengths, and their directions alone."""

from typing import TYPE_CHECKING

import numpy as np

from core.faces.lengths import LEAST, MOST, ROUNDING

if TYPE_CHECKING:
    from numpy.typing import NDArray


_NOTHING = 1e-4  # what rounding leaves of vectors that cancel each other out


def are_embeddings(vectors: "NDArray[np.float32]") -> bool:
    """Whether all vectors (float32 [..., D]) are as long as embeddings may be; those that are not finite are not."""
    lengths = np.linalg.norm(vectors, axis=-1)
    return bool(((lengths >= LEAST - ROUNDING) & (lengths <= MOST + ROUNDING)).all())


def directions(vectors: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Scale rows (float32 [N, D]) to unit length, so that inner products are cosines.

    What is zero, up to rounding, becomes zero; so does what is no number.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > _NOTHING)
    return unit
