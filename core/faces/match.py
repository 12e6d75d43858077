"""Decides whose face an embedding is: the candidate, the ranking and the reject rule, for a batch at once.

No network runs here.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.records import FaceOutcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.faces.rule import RejectRule


@dataclass(frozen=True, kw_only=True)
class Match:
    """What was decided about one embedding."""

    outcome: FaceOutcome
    """`identified`, `unknown` or `ambiguous`."""
    candidate: int | None
    """Class index of the classifier's first choice, also when refused; None when the embedding is not finite."""
    similarity: float | None
    """To the candidate, -1..1; None without a candidate."""
    runner_up: float | None
    """Similarity to the most similar other person; None when there is no other."""
    confidence: float
    """Calibrated probability that the candidate is right, 0..1; 0 without a candidate."""
    top: tuple[tuple[int, float], ...]
    """(class index, similarity) of the nearest people, most similar first."""


def decide(
    embeddings: "NDArray[np.float32]",
    logits: "NDArray[np.float32]",
    gallery: "NDArray[np.float32]",
    rule: "RejectRule",
    top_k: int = 5,
) -> list[Match]:
    """Apply the reject rule to a batch.

    Args:
        embeddings (float32 [N, D]): as long as core.faces.lengths says.
        logits (float32 [N, C]): the classifier's scores; their maximum is the candidate.
        gallery (float32 [C, D] or [C, K, D]): one row a person, C >= 1, or several.
        rule: threshold, margin and calibration of the model version.
        top_k: length of the ranking at most, >= 1.

    Returns:
        One match a row, in the same order. A row that is not finite is `unknown` without a candidate.

    Raises:
        ValueError: the shapes do not fit together.
    """
    _check_shapes(embeddings, logits, gallery)
    usable = np.isfinite(embeddings).all(axis=1) & np.isfinite(logits).all(axis=1)
    matches = [_NO_MATCH] * len(embeddings)
    rows = np.flatnonzero(usable)
    for row, match in zip(rows, _decide_finite(embeddings[rows], logits[rows], gallery, rule, top_k), strict=True):
        matches[row] = match
    return matches


def candidates(
    embeddings: "NDArray[np.float32]", logits: "NDArray[np.float32]", gallery: "NDArray[np.float32]"
) -> tuple["NDArray[np.int64]", "NDArray[np.float32]", "NDArray[np.float32]"]:
    """Score the person the classifier ranks first and the best other one.

    Args:
        embeddings (float32 [N, D]): finite.
        logits (float32 [N, C]): finite.
        gallery (float32 [C, D] or [C, K, D]): one row a person, or several.

    Returns:
        candidate (int64 [N]), its similarity (float32 [N]), and the best other person's (float32 [N]; -1 when
        C is 1).
    """
    return _best_two(similarities_to(embeddings, gallery), logits)


def _best_two(
    similarities: "NDArray[np.float32]", logits: "NDArray[np.float32]"
) -> tuple["NDArray[np.int64]", "NDArray[np.float32]", "NDArray[np.float32]"]:
    """Return what `candidates` does, from the similarities to all people ([N, C])."""
    candidate = logits.argmax(axis=1)
    rows = np.arange(len(similarities))
    similarity = similarities[rows, candidate]
    others = similarities.copy()
    others[rows, candidate] = -1.0
    return candidate, similarity, others.max(axis=1)


def similarities_to(embeddings: "NDArray[np.float32]", gallery: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Return the similarity of each embedding to each person, float32 [N, C], -1..1.

    That is their inner product: the cosine, times both lengths.

    Args:
        embeddings (float32 [N, D]): as long as core.faces.lengths says.
        gallery (float32 [C, D] or [C, K, D]): the same; of several rows of one person the most similar counts.
    """
    dim = gallery.shape[-1]
    similarities: NDArray[np.float32] = embeddings @ gallery.reshape(-1, dim).T
    if gallery.ndim == 3:
        similarities = similarities.reshape(-1, *gallery.shape[:2]).max(axis=2)
    return np.clip(similarities, -1.0, 1.0, out=similarities)  # twice the same short vector would count for more


def confidences(
    similarity: "NDArray[np.float32]", margin: "NDArray[np.float32]", calibration: tuple[float, float, float]
) -> "NDArray[np.float64]":
    """Return P(right), 0..1, float64 [N], of candidates with these similarities and leads over the runner-up."""
    intercept, w_similarity, w_margin = calibration
    score = intercept + w_similarity * similarity.astype(np.float64) + w_margin * margin.astype(np.float64)
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(score, -50.0, 50.0))))


_SORTED_WHOLE = 256  # people; of 10,000, sorting a batch of 64 whole took 42 ms and only its best ones 4 ms
_NO_MATCH = Match(outcome=FaceOutcome.UNKNOWN, candidate=None, similarity=None, runner_up=None, confidence=0.0, top=())


def _check_shapes(
    embeddings: "NDArray[np.float32]", logits: "NDArray[np.float32]", gallery: "NDArray[np.float32]"
) -> None:
    shapes = f"embeddings {embeddings.shape}, logits {logits.shape}, gallery {gallery.shape}"
    if embeddings.ndim != 2 or logits.ndim != 2 or gallery.ndim not in (2, 3) or len(gallery) == 0:
        raise ValueError(f"expected [N, D], [N, C] and [C, D] or [C, K, D] with C >= 1, not {shapes}")
    if logits.shape != (len(embeddings), len(gallery)) or embeddings.shape[1] != gallery.shape[-1]:
        raise ValueError(f"shapes do not fit together: {shapes}")


def _decide_finite(
    embeddings: "NDArray[np.float32]",
    logits: "NDArray[np.float32]",
    gallery: "NDArray[np.float32]",
    rule: "RejectRule",
    top_k: int,
) -> list[Match]:
    similarities = similarities_to(embeddings, gallery)
    candidate, similarity, runner_up = _best_two(similarities, logits)
    confidence = confidences(similarity, similarity - runner_up, rule.calibration)
    nearest = _nearest(similarities, top_k)
    return [
        Match(
            outcome=_outcome(float(similarity[row]), float(runner_up[row]), rule),
            candidate=int(candidate[row]),
            similarity=float(similarity[row]),
            runner_up=float(runner_up[row]) if len(gallery) > 1 else None,
            confidence=float(confidence[row]),
            top=tuple((int(person), float(similarities[row, person])) for person in nearest[row]),
        )
        for row in range(len(embeddings))
    ]


def _nearest(similarities: "NDArray[np.float32]", top_k: int) -> "NDArray[np.int64]":
    """Return the classes of the highest similarities, highest first: int64 [N, min(C, top_k)]."""
    if similarities.shape[1] <= _SORTED_WHOLE:
        return np.argsort(-similarities, axis=1, kind="stable")[:, :top_k]
    some = np.argpartition(-similarities, top_k, axis=1)[:, :top_k]
    order = np.argsort(-np.take_along_axis(similarities, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)


def _outcome(similarity: float, runner_up: float, rule: "RejectRule") -> FaceOutcome:
    if not similarity >= rule.threshold:
        return FaceOutcome.UNKNOWN
    return FaceOutcome.IDENTIFIED if similarity - runner_up >= rule.margin else FaceOutcome.AMBIGUOUS
