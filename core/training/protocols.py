"""The protocols by which face recognisers are compared: pairs to verify, and thresholds that strangers set.

Plain functions of arrays: reads no photo, runs no network, trains nothing.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FOLDS = 10


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs of photos, by their rows; first all pairs of one person, then those of two."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    """Whether both photos show the same person."""


@dataclass(frozen=True, kw_only=True)
class VerificationFigures:
    """How well a threshold tells pairs of one person from pairs of two."""

    pairs_within: int
    """Pairs of one person."""
    pairs_across: int
    """Pairs of two."""
    best_accuracy: float
    """Under the threshold that suits these very pairs best, 0..1."""
    best_threshold: float
    """That threshold."""
    folds: int
    """Groups of people that thresholds were chosen without; 0 with too few people."""
    fold_accuracy: float | None
    """Mean over the folds, each under the threshold that suits the other people's pairs best; None without folds."""
    fold_error: float | None
    """Standard error of that mean."""


def draw_pairs(owners: NDArray[np.int64], generator: np.random.Generator) -> Pairs:
    """Return all pairs of photos of one person, and as many of two people, where there are so many.

    Args:
        owners (int64 [N]): whom each photo shows.
        generator: draws the pairs of two people, each of them equally likely and none twice.
    """
    rows = np.argsort(owners, kind="stable")
    sorted_owners = owners[rows]
    # Sorted by owner, the photos of others that stand before photo j are 0 .. start[j] - 1.
    start = np.searchsorted(sorted_owners, sorted_owners, side="left")
    within = [(first, j) for j in range(len(rows)) for first in range(start[j], j)]
    before = np.cumsum(start)
    total = int(before[-1]) if len(before) else 0
    drawn = np.sort(generator.choice(total, min(len(within), total), replace=False))
    later = np.searchsorted(before, drawn, side="right")
    earlier = drawn - (before - start)[later]
    across = np.stack([earlier, later], axis=1)
    both = rows[np.concatenate([np.asarray(within, np.int64).reshape(-1, 2), generator.permuted(across, axis=1)])]
    same = np.arange(len(both)) < len(within)
    return Pairs(first=both[:, 0], second=both[:, 1], same=same)


def verify_pairs(
    scores: NDArray[np.float32], pairs: Pairs, owners: NDArray[np.int64], generator: np.random.Generator
) -> VerificationFigures:
    """Measure verification as on Labeled Faces in the Wild: with the best threshold, and with one from other people.

    No person is in two folds (G. Huang et al., "Labeled Faces in the Wild", 2007): a fold's threshold is chosen on
    pairs that show none of its people, and a pair is tested with its first photo's fold.

    Args:
        scores (float32 [P]): similarity of each pair.
        pairs: P pairs, with some of either kind.
        owners (int64 [N]): whom each photo shows.
        generator: deals people into folds.
    """
    threshold, accuracy = best_threshold(scores, pairs.same)
    people, numbers = np.unique(owners, return_inverse=True)
    folds = min(_FOLDS, len(people) // 2)
    fold_of = (generator.permutation(len(people)) % max(folds, 1))[numbers]
    first, second = fold_of[pairs.first], fold_of[pairs.second]
    found = []
    for fold in range(folds):
        tested, chosen = first == fold, (first != fold) & (second != fold)
        if _has_both(pairs.same[tested]) and _has_both(pairs.same[chosen]):
            chosen_threshold, _ = best_threshold(scores[chosen], pairs.same[chosen])
            found.append(accuracy_at(chosen_threshold, scores[tested], pairs.same[tested]))
    return VerificationFigures(
        pairs_within=int(pairs.same.sum()),
        pairs_across=int((~pairs.same).sum()),
        best_accuracy=accuracy,
        best_threshold=threshold,
        folds=len(found),
        fold_accuracy=float(np.mean(found)) if found else None,
        fold_error=float(np.std(found, ddof=1) / math.sqrt(len(found))) if len(found) > 1 else None,
    )


def best_threshold(scores: NDArray[np.float32], same: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the threshold under which most pairs are told right, and the share that is.

    It lies half-way between the two scores that it parts. Pairs of either kind weigh as much together.

    Args:
        scores (float32 [P]): finite.
        same (bool [P]): some true, some false.
    """
    order = np.argsort(scores, kind="stable")
    ranked, kind = scores[order].astype(np.float64), same[order]
    refused_right = np.concatenate([[0], np.cumsum(~kind)]) / (~kind).sum()
    accepted_right = 1.0 - np.concatenate([[0], np.cumsum(kind)]) / kind.sum()
    shares = (refused_right + accepted_right) / 2.0
    # Between equal scores no threshold fits.
    cuts = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    best = int(np.where(cuts, shares, -1.0).argmax())
    edges = np.concatenate([[ranked[0] - 1.0], ranked, [ranked[-1] + 1.0]])
    return float((edges[best] + edges[best + 1]) / 2.0), float(shares[best])


def accuracy_at(threshold: float, scores: NDArray[np.float32], same: NDArray[np.bool_]) -> float:
    """Return the share of pairs that a threshold tells right, pairs of either kind weighing as much together."""
    accepted = scores >= threshold
    return float((accepted[same].mean() + (~accepted[~same]).mean()) / 2.0)


def threshold_at_fpir(strangers: NDArray[np.float32], fpir: float) -> float:
    """Return the least threshold under which at most a share `fpir` of strangers gets a name.

    Args:
        strangers (float32 [N]): each one's similarity to the nearest person, N >= 1.
        fpir: 0..1, below 1.
    """
    allowed = math.floor(fpir * len(strangers) + 1e-9)  # 0.003 * 1000 is a little less than 3
    first_refused = np.sort(strangers)[len(strangers) - 1 - allowed]
    return float(np.nextafter(np.float32(first_refused), np.float32(np.inf)))


def tpir_at(threshold: float, similarity: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """Return the share of known people's photos whose nearest person is the right one and similar enough.

    Args:
        threshold: least similarity to get a name.
        similarity (float32 [N]): to the nearest person, N >= 1.
        right (bool [N]): whether that is who the photo shows.
    """
    return float((right & (similarity >= threshold)).mean())


def _has_both(same: NDArray[np.bool_]) -> bool:
    return bool(same.any()) and not bool(same.all())
