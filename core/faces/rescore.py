"""Decides about embeddings that were stored, by the hundred thousand: columns in, columns out, no object a face.

Decides as core.faces.match does, which a test compares. No network runs here, and nothing is stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.faces.match import confidences, similarities_to
from core.records import FaceOutcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.faces.rule import RejectRule

OUTCOMES = (FaceOutcome.UNKNOWN, FaceOutcome.AMBIGUOUS, FaceOutcome.IDENTIFIED, FaceOutcome.LOW_QUALITY)
"""What a number in `Decisions.outcomes` stands for."""
_UNKNOWN, _AMBIGUOUS, _IDENTIFIED, _LOW_QUALITY = range(len(OUTCOMES))
NOBODY = -1
"""Instead of a class, where there is no candidate."""
_BLOCK_BYTES = 16 << 20
"""Of similarities at once: 4,096 faces among 1,000 people. Smaller blocks call too often."""
_BLOCK_FACES = 4_096
"""At once, at most: more embeddings than fit a core's cache take a tenth longer each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """What was decided about N faces. K is the length of a ranking."""

    outcomes: "NDArray[np.int8]"
    """[N] places in OUTCOMES."""
    candidates: "NDArray[np.int64]"
    """[N] class indices; NOBODY for an embedding that is not finite."""
    similarities: "NDArray[np.float32]"
    """[N] similarity to the candidate; 0 without one."""
    confidences: "NDArray[np.float64]"
    """[N] calibrated probability that the candidate is right; 0 without one."""
    nearest: "NDArray[np.int64]"
    """[N, K] class indices, most similar first; NOBODY where there is no candidate."""
    nearest_similarities: "NDArray[np.float32]"
    """[N, K]"""

    def __len__(self) -> int:
        return len(self.outcomes)


def read_vectors(stored: bytes, dim: int) -> "NDArray[np.float32]":
    """Read embeddings as they are stored, one after the other in float16: float32 [N, D].

    A row that is zero comes back as not a number, as one does that is not finite.
    """
    vectors: NDArray[np.float32] = np.frombuffer(stored, "<f2").reshape(-1, dim).astype(np.float32)
    at_once = 4 if dim % 4 == 0 else 1  # whether all are zero is seen sooner in fewer numbers
    zero = ~np.frombuffer(stored, f"<u{2 * at_once}").reshape(-1, dim // at_once).any(axis=1)
    vectors[zero] = np.nan
    return vectors


def decide_stored(
    stored: bytes,
    low_quality: "NDArray[np.bool_]",
    gallery: "NDArray[np.float32]",
    rule: "RejectRule",
    top_k: int = 5,
) -> Decisions:
    """Apply a model's reject rule to embeddings of its backbone.

    Args:
        stored: N embeddings one after the other, float16 [D], little-endian.
        low_quality (bool [N]): faces below the quality gate, which get no name.
        gallery (float32 [C, D]): one row a person, C >= 1.
        rule: of the model version.
        top_k: length of the ranking at most, >= 1.

    Returns:
        One row a face, in the same order.

    Raises:
        ValueError: the sizes do not fit together.
    """
    count, (people, dim) = len(low_quality), gallery.shape
    if len(stored) != 2 * count * dim:
        raise ValueError(f"{len(stored)} bytes are not {count} embeddings of {dim} numbers")
    size = max(1, min(_BLOCK_FACES, _BLOCK_BYTES // (4 * people)))
    parts = [
        _decide(read_vectors(block, dim), low_quality[first : first + size], gallery, rule, min(top_k, people))
        for first, block in _blocks(stored, 2 * dim, size)
    ]
    return _joined(parts, min(top_k, people))


def _blocks(stored: bytes, row_bytes: int, size: int) -> "Iterator[tuple[int, bytes]]":
    """Yield runs of `size` rows, each with the number of its first."""
    for first in range(0, len(stored) // row_bytes, size):
        yield first, stored[first * row_bytes : (first + size) * row_bytes]


def _decide(
    vectors: "NDArray[np.float32]",
    low_quality: "NDArray[np.bool_]",
    gallery: "NDArray[np.float32]",
    rule: "RejectRule",
    top_k: int,
) -> Decisions:
    usable = np.isfinite(vectors).all(axis=1)
    vectors[~usable] = 0.0
    nearest, ranked = _rank(similarities_to(vectors, gallery), max(top_k, min(2, len(gallery))))
    similarity = ranked[:, 0]
    runner_up = ranked[:, 1] if ranked.shape[1] > 1 else np.full_like(similarity, -1.0)
    outcomes = outcomes_under(rule, similarity, runner_up)
    outcomes[~usable] = _UNKNOWN
    outcomes[low_quality] = _LOW_QUALITY
    nearest[~usable] = NOBODY
    return Decisions(
        outcomes=outcomes,
        candidates=nearest[:, 0],
        similarities=similarity,
        confidences=np.where(usable, confidences(similarity, similarity - runner_up, rule.calibration), 0.0),
        nearest=nearest[:, :top_k],
        nearest_similarities=ranked[:, :top_k],
    )


def outcomes_under(
    rule: "RejectRule", similarity: "NDArray[np.float32]", runner_up: "NDArray[np.float32]"
) -> "NDArray[np.int8]":
    """Return the outcome of candidates with these similarities, and their runners-up, as places in OUTCOMES, int8 [N].

    Numbers are compared in double precision, as core.faces.match does it.
    """
    exact = similarity.astype(np.float64)
    clear = exact - runner_up.astype(np.float64) >= rule.margin
    named = np.where(clear, _IDENTIFIED, _AMBIGUOUS)
    return np.where(exact >= rule.threshold, named, _UNKNOWN).astype(np.int8)


def _rank(similarities: "NDArray[np.float32]", count: int) -> "tuple[NDArray[np.int64], NDArray[np.float32]]":
    """Return the classes of the `count` highest similarities ([N, C], overwritten), highest first, and those.

    A few passes for the maximum run at memory speed: among 1,000 people, five take a quarter of a partial sort's time.
    """
    rows = np.arange(len(similarities))
    classes = np.empty((len(similarities), count), np.int64)
    ranked = np.empty((len(similarities), count), np.float32)
    for place in range(count):
        best = similarities.argmax(axis=1)
        classes[:, place] = best
        ranked[:, place] = similarities[rows, best]
        similarities[rows, best] = -np.inf
    return classes, ranked


def _joined(parts: Sequence[Decisions], top_k: int) -> Decisions:
    """Return the decisions about several blocks as one."""
    if not parts:
        return Decisions(
            outcomes=np.empty(0, np.int8),
            candidates=np.empty(0, np.int64),
            similarities=np.empty(0, np.float32),
            confidences=np.empty(0, np.float64),
            nearest=np.empty((0, top_k), np.int64),
            nearest_similarities=np.empty((0, top_k), np.float32),
        )
    return Decisions(
        outcomes=np.concatenate([part.outcomes for part in parts]),
        candidates=np.concatenate([part.candidates for part in parts]),
        similarities=np.concatenate([part.similarities for part in parts]),
        confidences=np.concatenate([part.confidences for part in parts]),
        nearest=np.concatenate([part.nearest for part in parts]),
        nearest_similarities=np.concatenate([part.nearest_similarities for part in parts]),
    )
