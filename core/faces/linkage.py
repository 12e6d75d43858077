"""Similarities of very many embeddings to each other, in blocks that fit into memory: who is linked, who joins whom.

Knows vectors and numbers of groups alone; what is a person stands in core/faces/clusters.py.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALONE = -1
"""The group of a face that is in none."""

Tell = Callable[[int], None]
"""Is told how many faces have been compared."""

_BLOCK_NUMBERS = 2**22  # similarities in memory at once: 16 MiB, and four times that to list the links of a dense block
_LINKS_KEPT = 2**20  # links that are gathered before they are folded into the components


def linked_components(vectors: "NDArray[np.float32]", floor: float, tell: Tell | None = None) -> "NDArray[np.int64]":
    """Return the connected component of each face, where two are linked whose similarity is at least `floor`.

    Args:
        vectors (float32 [N, D]): unit length.
        floor: cosine similarity, -1..1.
        tell: is told how many rows are done.

    Returns:
        int64 [N], numbered from 0 without gaps.
    """
    count = len(vectors)
    components = np.arange(count, dtype=np.int64)
    rows, columns, kept = [], [], 0
    block = max(1, _BLOCK_NUMBERS // max(count, 1))
    for first in range(0, count, block):
        similar = vectors[first : first + block] @ vectors[first:].T >= floor
        row, column = np.nonzero(similar)
        later = column > row  # each pair once, and nobody with themselves
        rows.append(row[later] + first)
        columns.append(column[later] + first)
        kept += int(later.sum())
        if kept > _LINKS_KEPT:
            components = _fold(components, rows, columns)
            rows, columns, kept = [], [], 0
        if tell is not None:
            tell(min(first + block, count))
    _, numbered = np.unique(_fold(components, rows, columns), return_inverse=True)
    return numbered.astype(np.int64)


def best_partners(
    vectors: "NDArray[np.float32]", others: "NDArray[np.float32]", *, same: bool = False
) -> tuple["NDArray[np.int64]", "NDArray[np.float32]"]:
    """Return for each row the most similar of the others and how similar it is.

    Args:
        vectors (float32 [N, D]): need not have unit length.
        others (float32 [M, D]): M >= 1.
        same: whether both are the same rows; none is then its own partner.

    Returns:
        Index (int64 [N]) and inner product (float32 [N]).
    """
    best = np.zeros(len(vectors), np.int64)
    similarity = np.full(len(vectors), -np.inf, np.float32)
    block = max(1, _BLOCK_NUMBERS // max(len(others), 1))
    for first in range(0, len(vectors), block):
        products = vectors[first : first + block] @ others.T
        rows = np.arange(len(products))
        if same:
            products[rows, rows + first] = -np.inf
        best[first : first + block] = products.argmax(axis=1)
        similarity[first : first + block] = products[rows, best[first : first + block]]
    return best, similarity


def join_groups(means: "NDArray[np.float32]", counts: "NDArray[np.int64]", least: float) -> "NDArray[np.int64]":
    """Join groups while any two have a mean similarity, over all pairs of their faces, of at least `least`.

    That is average linkage (UPGMA): the mean over all pairs is the inner product of the groups' means. Nearest
    neighbours of each other are joined, which gives the same as joining the nearest pair first; and a group without a
    partner never gets one, as no union is nearer to it than its nearer half.

    Args:
        means (float32 [G, D]): the mean of each group's unit vectors.
        counts (int64 [G]): how many faces each has.
        least: cosine similarity, -1..1.

    Returns:
        int64 [G]: the number of the group that each ends in.
    """
    end = np.arange(len(means), dtype=np.int64)
    means, counts = means.astype(np.float32), counts.astype(np.int64)
    active = np.arange(len(means))
    while len(active) > 1:
        partner, similarity = best_partners(means[active], means[active], same=True)
        near = similarity >= least
        mutual = near & (partner[partner] == np.arange(len(active))) & (np.arange(len(active)) < partner)
        if not mutual.any():
            break
        kept, gone = active[mutual], active[partner[mutual]]
        weights = counts[kept] + counts[gone]
        means[kept] = (means[kept] * counts[kept, None] + means[gone] * counts[gone, None]) / weights[:, None]
        counts[kept] = weights
        end[gone] = kept
        active = np.setdiff1d(active[near], gone)
    return _roots(end)


def group_means(
    vectors: "NDArray[np.float32]", groups: "NDArray[np.int64]"
) -> tuple["NDArray[np.float32]", "NDArray[np.int64]"]:
    """Return the mean vector (float32 [G, D]) and the size (int64 [G]) of each group; ALONE is none."""
    grouped = groups != ALONE
    counts = np.bincount(groups[grouped], minlength=0)
    sums = np.zeros((len(counts), vectors.shape[1]), np.float32)
    np.add.at(sums, groups[grouped], vectors[grouped])
    means: NDArray[np.float32] = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    return means, counts.astype(np.int64)


def _fold(
    components: "NDArray[np.int64]", rows: list["NDArray[np.int64]"], columns: list["NDArray[np.int64]"]
) -> "NDArray[np.int64]":
    """Join the components that links lead between: the later root hangs on the earlier, until no two are linked."""
    if not rows:
        return components
    one, other = components[np.concatenate(rows)], components[np.concatenate(columns)]
    parent = np.arange(len(components), dtype=np.int64)
    while len(one):
        np.minimum.at(parent, np.maximum(one, other), np.minimum(one, other))
        parent = _roots(parent)
        one, other = parent[one], parent[other]
        apart = one != other
        one, other = one[apart], other[apart]
    return parent[components]


def _roots(end: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Follow each group to the one that it ended in."""
    while (end[end] != end).any():
        end = end[end]
    return end
