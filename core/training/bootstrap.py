"""Intervals by the bootstrap: people are drawn again and again, each with all their photos. Plain functions of arrays.

B. Efron, "Bootstrap methods: another look at the jackknife" (1979), with people as the units: the photos of one person
succeed and fail together, so intervals over single photos would be too narrow.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
"""[B, P]: how often each of P people is drawn in each of B resamples."""
Statistic = Callable[[Weights, Weights], Mapping[str, NDArray[np.float64]]]
"""Maps weights of known people and of strangers to figures, each with B rows."""

RESAMPLES = 1000
LEVEL = 0.95
"""Share of such intervals that hold the true figure."""
FEWEST_PEOPLE = 5
"""Of four there are 35 different resamples, fewer than the 40 that a tail of 2.5 % takes; of five there are 126."""
_CELLS = 2_000_000  # numbers held at once a block; 16 MB


def resample(
    statistic: Statistic, known: int, strangers: int, photos: int, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, NDArray[np.float64]]:
    """Take a statistic of the people as they are, and of resamples of them.

    Known people and strangers are drawn apart, as they were gathered apart.

    Args:
        statistic: the figures.
        known: known people, >= 0.
        strangers: strangers, >= 0.
        photos: the photos of all; they decide how many resamples are worked on at once.
        seed: the same one gives the same figures.
        resamples: how often people are drawn.

    Returns:
        Each figure with 1 + `resamples` rows; the first is of the people as they are.
    """
    block = max(1, min(resamples, _CELLS // max(known, strangers, photos, 1)))
    draws = zip(_draws(known, resamples, block, seed), _draws(strangers, resamples, block, seed + 1), strict=True)
    found = [statistic(np.ones((1, known)), np.ones((1, strangers))), *(statistic(*each) for each in draws)]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def interval(hits: NDArray[np.float64], of: NDArray[np.float64], people: int) -> tuple[float, float] | None:
    """Return the ends of a share's interval.

    Where all photos agree, so do resamples of them, and their spread would say that the figure is certain. The interval
    is then at least the exact binomial one of as many photos (C. Clopper and E. Pearson, 1934), which is what the
    bootstrap comes near to when a single photo disagrees.

    Args:
        hits (float64 [1 + R]): photos that count, first of the sample itself, then of each resample.
        of (float64 [1 + R]): photos that they are out of.
        people: how many people these are.

    Returns:
        Two shares, 0..1; None with too few people.
    """
    ends = spread(ratio(hits, of), people)
    if ends is None or 0 < hits[0] < of[0]:
        return ends
    reach = float(((1.0 - LEVEL) / 2.0) ** (1.0 / of[0]))
    return (min(ends[0], reach), 1.0) if hits[0] else (0.0, max(ends[1], 1.0 - reach))


def spread(values: NDArray[np.float64], people: int) -> tuple[float, float] | None:
    """Return the ends of a figure's interval; None with too few people, or where many resamples have no such figure.

    Args:
        values (float64 [1 + R]): first of the sample itself, then of each resample; NaN where it has no figure.
        people: how many people these are.
    """
    drawn = values[1:]
    there = drawn[np.isfinite(drawn)]
    if people < FEWEST_PEOPLE or np.isnan(values[0]) or len(there) < LEVEL * len(drawn):
        return None
    low, high = np.quantile(there, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return float(low), float(high)


def ratio(hits: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide, element by element; NaN where there is nothing to divide by."""
    return np.asarray(np.divide(hits, of, out=np.full(np.shape(hits), np.nan), where=of > 0))


def _draws(people: int, resamples: int, block: int, seed: int) -> Iterator[Weights]:
    """Draw as many people as there are, with replacement, block by block."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = generator.integers(0, max(people, 1), (rows, people)) + people * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * people).reshape(rows, people).astype(np.float64)
