"""The curves of an open-set recogniser, as plain functions of arrays: names against strangers, coverage, reliability.

Figures with weights take many weightings of the same photos at once, which is what resampling needs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_POINTS = 40
BINS = 10
_SLACK = 1e-9  # 0.003 * 1000 is a little less than 3


@dataclass(frozen=True, kw_only=True)
class CoveragePoint:
    """What naming from one confidence on gives."""

    confidence: float
    """The least that gets a name, 0..1."""
    coverage: float
    """Share of all photos that get one."""
    error: float
    """Share of these names that are wrong."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Photos that state about the same confidence."""

    confidence: float
    """Their mean, 0..1."""
    right: float
    """Share of their candidates that are right."""
    photos: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Identification:
    """Known people's and strangers' photos in the order of their similarities, ready for thresholds."""

    known_order: NDArray[np.int64]
    """[N] rows of known people's photos, highest first."""
    stranger_order: NDArray[np.int64]
    """[M] rows of strangers' photos, highest first."""
    right: NDArray[np.float64]
    """[N] in that order: 1 where the candidate is right."""
    above: NDArray[np.int64]
    """[M] in that order: how many photos of known people are more similar than this stranger's."""
    thresholds: NDArray[np.float64]
    """[M] in that order: the strangers' similarities."""


def order_similarities(
    known: NDArray[np.float64], right: NDArray[np.bool_], strangers: NDArray[np.float64]
) -> Identification:
    """Sort similarities once.

    Args:
        known (float64 [N]): of photos of known people; -inf for one that gets no name at any threshold.
        right (bool [N]): whether the candidate is whom the photo shows.
        strangers (float64 [M]): the same of photos of strangers.
    """
    known_order, stranger_order = np.argsort(-known, kind="stable"), np.argsort(-strangers, kind="stable")
    thresholds = strangers[stranger_order]
    return Identification(
        known_order=known_order,
        stranger_order=stranger_order,
        right=right[known_order].astype(np.float64),
        above=np.searchsorted(-known[known_order], -thresholds, side="left"),
        thresholds=thresholds,
    )


def first_refused(
    ordered: Identification, weights: NDArray[np.float64], fpirs: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the best stranger who must not get a name, by place in `stranger_order`: only those before get one.

    Args:
        ordered: with M >= 1 photos of strangers.
        weights (float64 [B, M]): how often each row counts, whole numbers, some above 0 in each weighting.
        fpirs (float64 [F]): shares of strangers that may get a name, 0..1, below 1.

    Returns:
        int64 [B, F].
    """
    passed = np.cumsum(weights[:, ordered.stranger_order], axis=1)
    allowed = np.floor(passed[:, -1:] * fpirs + _SLACK)
    rows = np.arange(len(passed))[:, None]
    apart = rows * (passed.max() + 1.0)  # so that one sorted array holds all weightings, and one search does
    places = np.searchsorted((passed + apart).ravel(), (allowed + apart).ravel(), side="right")
    found: NDArray[np.int64] = places.reshape(allowed.shape) - rows * passed.shape[1]
    return found


def named_right_above(
    ordered: Identification, weights: NDArray[np.float64], refused: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Count photos of known people that are named right when only similarities above a stranger's get a name.

    Args:
        ordered: N photos of known people.
        weights (float64 [B, N]): how often each row counts.
        refused (int64 [B, F]): out of `first_refused`.

    Returns:
        float64 [B, F].
    """
    right = np.cumsum(weights[:, ordered.known_order] * ordered.right, axis=1)
    counts = np.concatenate([np.zeros((len(right), 1)), right], axis=1)
    return np.take_along_axis(counts, ordered.above[refused], axis=1)


def spaced_fpirs(strangers: int, least: float) -> NDArray[np.float64]:
    """Return shares of strangers to draw a curve at: evenly spaced logarithms, each a whole number of photos.

    Args:
        strangers: photos, >= 0.
        least: the smallest share worth telling, above 0.

    Returns:
        float64 [F], ascending; empty where there are too few strangers.
    """
    first, last = int(np.ceil(least * strangers - _SLACK)), strangers - 1
    if first < 1 or last < first:
        return np.empty(0)
    return np.unique(np.geomspace(first, last, _POINTS).round()) / strangers


def coverage_curve(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], nameable: NDArray[np.bool_]
) -> tuple[CoveragePoint, ...]:
    """Return what share of photos gets a name, and what share of names is wrong, from strict to lax.

    Args:
        confidence (float64 [N]): stated for each photo's candidate, 0..1.
        right (bool [N]): whether the candidate is right; false for strangers.
        nameable (bool [N]): whether the photo could get a name at all: it shows a face that is good enough.
    """
    order = np.flatnonzero(nameable)
    order = order[np.argsort(-confidence[order], kind="stable")]
    if not len(order):
        return ()
    stated, wrong = confidence[order], np.cumsum(~right[order])
    ends = np.flatnonzero(np.append(stated[1:] < stated[:-1], True))  # equal confidences get names together
    kept = ends[np.unique(np.linspace(0, len(ends) - 1, _POINTS).round().astype(np.int64))]
    return tuple(
        CoveragePoint(
            confidence=float(stated[end]),
            coverage=float((end + 1) / len(confidence)),
            error=float(wrong[end] / (end + 1)),
        )
        for end in kept
    )


def reliability_curve(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Compare stated confidence with the share of right candidates, in ten steps of equal width without empty ones.

    Args:
        confidence (float64 [N]): 0..1.
        right (bool [N]): whether the candidate is right.
    """
    step = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    photos = np.bincount(step, minlength=BINS)
    stated = np.bincount(step, weights=confidence, minlength=BINS)
    hits = np.bincount(step, weights=right, minlength=BINS)
    return tuple(
        ReliabilityBin(
            confidence=float(stated[at] / photos[at]), right=float(hits[at] / photos[at]), photos=int(photos[at])
        )
        for at in np.flatnonzero(photos)
    )


def equal_bins(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """Number each photo by its place among all confidences, in bins of equal size, as the calibration error has them.

    Args:
        confidence (float64 [N]): 0..1.
        bins: how many, at most N are used.
    """
    parts = np.array_split(np.argsort(confidence, kind="stable"), max(1, min(bins, len(confidence))))
    numbers = np.zeros(len(confidence), np.int64)
    for number, rows in enumerate(parts):
        numbers[rows] = number
    return numbers
