"""Groups faces that nobody has named: HDBSCAN among faces that are near each other, and what joins a group later.

Knows embeddings alone: no ledger, no names. Why it is so and what was measured: docs/decisions/0016-clusters.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.faces.linkage import ALONE, Tell, best_partners, group_means, join_groups, linked_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINK = 0.6
"""Least similarity of two faces that are looked at as one person's; nothing further apart is compared."""
JOIN = 0.45
"""Least mean similarity to all faces of a group, to join it."""
_SMALLEST = 2
_MIN_SAMPLES = 2
# Closer than this, faces say nothing more of who is who: copies and bursts would outweigh everybody else.
_ALIKE = 0.8
_MOST_AT_ONCE = 2000  # faces whose distances are held as one matrix: 32 MB, and as much again for HDBSCAN
_TIGHTER = 0.05


@dataclass(frozen=True, kw_only=True)
class PairwiseScores:
    """How well groups are people: over all pairs of faces."""

    precision: float
    """Share of the pairs in one group that are one person's, 0..1."""
    recall: float
    """Share of one person's pairs that are in one group, 0..1."""
    f1: float
    """Their harmonic mean."""


def group_faces(
    vectors: "NDArray[np.float32]", *, link: float = LINK, join: float = JOIN, tell: Tell | None = None
) -> "NDArray[np.int64]":
    """Group faces that look like one person.

    Args:
        vectors (float32 [N, D]): unit embeddings of one backbone.
        link: least similarity of two faces, -1..1, for a group to begin.
        join: least mean similarity to a group, -1..1, to join it.
        tell: is told how many faces have been compared.

    Returns:
        int64 [N]: groups numbered from 0 without gaps, each of at least two faces; ALONE for a face in none.
    """
    groups = np.full(len(vectors), ALONE, np.int64)
    found = list(_cores(vectors, link, join, tell))
    for number, members in enumerate(found):
        groups[members] = number
    if not found:
        return groups
    means, counts = group_means(vectors, groups)
    groups[groups != ALONE] = join_groups(means, counts, join)[groups[groups != ALONE]]
    return _join_alone(vectors, _renumber(groups), join)


def extend_groups(
    known_means: "NDArray[np.float32]",
    vectors: "NDArray[np.float32]",
    *,
    link: float = LINK,
    join: float = JOIN,
    tell: Tell | None = None,
) -> "NDArray[np.int64]":
    """Put new faces into known groups, and group the rest. Known groups stay as they are, and apart.

    Args:
        known_means (float32 [K, D]): the mean of each known group's unit vectors; K may be 0.
        vectors (float32 [N, D]): the new faces, and those in no group.
        link: least similarity of two faces, -1..1, for a group to begin.
        join: least mean similarity to a group, -1..1, to join it.
        tell: is told how many faces have been compared.

    Returns:
        int64 [N]: a known group (below K), a new one (K and on, without gaps), or ALONE.
    """
    known = len(known_means)
    result = _nearest_within(vectors, known_means, join)
    rest = np.flatnonzero(result == ALONE)
    groups = group_faces(vectors[rest], link=link, join=join, tell=tell)
    if groups.size and groups.max() >= 0:
        means, _ = group_means(vectors[rest], groups)
        taken = _nearest_within(means, known_means, join)
        new = np.flatnonzero(taken == ALONE)
        taken[new] = known + np.arange(len(new))
        result[rest[groups != ALONE]] = taken[groups[groups != ALONE]]
    return result


def split_group(vectors: "NDArray[np.float32]", parts: int = 2) -> "NDArray[np.int64]":
    """Split a group into so many parts, the largest first.

    Ward's linkage, which neither chains nor splits off one odd face.

    Args:
        vectors (float32 [N, D]): unit embeddings, N >= parts.
        parts: >= 2.

    Returns:
        int64 [N]: the part of each face, 0 to parts - 1.
    """
    from sklearn.cluster import AgglomerativeClustering

    labels = AgglomerativeClustering(n_clusters=parts, linkage="ward").fit_predict(vectors)
    largest_first = np.argsort(-np.bincount(labels, minlength=parts), kind="stable")
    part: NDArray[np.int64] = np.argsort(largest_first)[labels].astype(np.int64)
    return part


def likeness(vectors: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Return how similar each face of a group is to the others in the mean: float32 [N], N >= 2.

    Args:
        vectors (float32 [N, D]): unit embeddings.
    """
    others: NDArray[np.float32] = (vectors @ vectors.sum(axis=0) - 1.0) / np.float32(len(vectors) - 1)
    return others


def pairwise_scores(people: "NDArray[np.int64]", groups: "NDArray[np.int64]") -> PairwiseScores:
    """Compare groups with the truth.

    Args:
        people (int64 [N]): whose face each is.
        groups (int64 [N]): as `group_faces` returns them; a face in none is a pair with nobody.
    """
    alone = groups == ALONE
    apart = np.where(alone, len(groups) + np.arange(len(groups)), groups)
    _, person = np.unique(people, return_inverse=True)
    _, group = np.unique(apart, return_inverse=True)
    _, both = np.unique(person.astype(np.int64) * (len(groups) + 1) + group, return_counts=True)
    right, together, of_one = _pairs(both), _pairs(np.bincount(group)), _pairs(np.bincount(person))
    precision = right / together if together else 1.0
    recall = right / of_one if of_one else 1.0
    return PairwiseScores(
        precision=precision, recall=recall, f1=2 * right / (together + of_one) if together + of_one else 1.0
    )


def _cores(
    vectors: "NDArray[np.float32]", link: float, join: float, tell: Tell | None
) -> Iterator["NDArray[np.int64]"]:
    """Yield the faces of each group that HDBSCAN finds.

    A component that is too large for it falls apart at tighter links, and so does a group whose faces are a chain: on
    average too far from each other to be one person's.
    """
    for members in _members(linked_components(vectors, link, tell)):
        if link >= _ALIKE:
            yield members
        elif len(members) > _MOST_AT_ONCE:
            yield from _tighter_cores(vectors, members, link, join)
        else:
            found = _hdbscan(vectors[members], link)
            for part in (members[found == number] for number in range(int(found.max()) + 1)):
                chained = _cohesion(vectors[part]) < join
                yield from _tighter_cores(vectors, part, link, join) if chained else [part]


def _tighter_cores(
    vectors: "NDArray[np.float32]", members: "NDArray[np.int64]", link: float, join: float
) -> Iterator["NDArray[np.int64]"]:
    """Yield the groups among some faces under tighter links."""
    yield from (members[core] for core in _cores(vectors[members], link + _TIGHTER, join, None))


def _members(components: "NDArray[np.int64]") -> list["NDArray[np.int64]"]:
    """Return the faces of each component of at least two."""
    order = np.argsort(components, kind="stable")
    ends = np.cumsum(np.bincount(components)) if len(components) else np.zeros(0, np.int64)
    return [part for part in np.split(order, ends[:-1]) if len(part) >= _SMALLEST] if len(ends) else []


def _hdbscan(vectors: "NDArray[np.float32]", link: float) -> "NDArray[np.int64]":
    """Group the faces of one component.

    Two faces beside each other, as far from all others as a link may be, make the component one branch of a tree, which
    HDBSCAN weighs against its parts; with the component as the root, it would never be one group.
    """
    count = len(vectors)
    if count == _SMALLEST:  # nothing to weigh
        return np.zeros(count, np.int64)
    from sklearn.cluster import HDBSCAN

    exact = vectors.astype(np.float64)
    similarity = exact @ exact.T
    far, near = _distance(link), _distance(_ALIKE)
    distances = np.full((count + _MIN_SAMPLES,) * 2, far)
    inside = np.sqrt(2.0 - 2.0 * np.clip((similarity + similarity.T) / 2.0, -1.0, _ALIKE))
    distances[:count, :count] = np.minimum(inside, far)
    distances[count:, count:] = near
    np.fill_diagonal(distances, 0.0)
    found = HDBSCAN(min_cluster_size=_SMALLEST, min_samples=_MIN_SAMPLES, metric="precomputed", copy=False).fit_predict(
        distances
    )[:count]
    return _renumber(np.where(found < 0, ALONE, found).astype(np.int64))


def _cohesion(vectors: "NDArray[np.float32]") -> float:
    """Return the mean similarity over all pairs of two different faces."""
    count = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - count) / (count * (count - 1)))


def _distance(similarity: float) -> float:
    """Return the Euclidean distance of unit vectors of this similarity."""
    return float(np.sqrt(2.0 - 2.0 * similarity))


def _join_alone(vectors: "NDArray[np.float32]", groups: "NDArray[np.int64]", join: float) -> "NDArray[np.int64]":
    """Let faces in no group join the nearest, where it is near enough."""
    means, _ = group_means(vectors, groups)
    alone = np.flatnonzero(groups == ALONE)
    groups[alone] = _nearest_within(vectors[alone], means, join)
    return groups


def _nearest_within(vectors: "NDArray[np.float32]", means: "NDArray[np.float32]", least: float) -> "NDArray[np.int64]":
    """Return the nearest mean of each vector, or ALONE where none is at least this similar."""
    if len(means) == 0 or len(vectors) == 0:
        return np.full(len(vectors), ALONE, np.int64)
    best, similarity = best_partners(vectors, means)
    return np.where(similarity >= least, best, ALONE)


def _renumber(groups: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Number groups from 0 without gaps; ALONE stays."""
    numbered = np.full(len(groups), ALONE, np.int64)
    grouped = groups != ALONE
    numbered[grouped] = np.unique(groups[grouped], return_inverse=True)[1]
    return numbered


def _pairs(counts: "NDArray[np.int64]") -> float:
    """Return how many pairs there are within groups of these sizes."""
    sizes = counts.astype(np.float64)
    return float((sizes * (sizes - 1.0) / 2.0).sum())
