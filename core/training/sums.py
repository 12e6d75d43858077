"""Sums over photos, as they are and in resamples of the people they show, and the rates and intervals of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.training.bootstrap import Weights, interval, ratio, resample, spread
from core.training.curves import (
    BINS,
    Identification,
    equal_bins,
    first_refused,
    named_right_above,
    order_similarities,
    spaced_fpirs,
)
from core.training.scorecard import Figure, Rate, ScoredPhotos

Drawn = NDArray[np.float64]
"""[1 + R]: a sum over the photos themselves, then over each resample."""
_SLACK = 1e-9  # 1 / 0.003 strangers are 334


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """The sums of known people, or those of strangers."""

    people: int
    names: tuple[str, ...]
    drawn: NDArray[np.float64]
    """[1 + R, K]: a column for each name."""

    def __getitem__(self, name: str) -> Drawn:
        return self.drawn[:, self.names.index(name)]


@dataclass(frozen=True, kw_only=True, eq=False)
class SummedPhotos:
    """All sums that the scorecard is made of."""

    known: Side
    strangers: Side
    fpirs: NDArray[np.float64]
    """[F] shares of strangers that may get a name: those asked for that can be told, then those of the curve."""
    thresholds: NDArray[np.float64]
    """[F] the similarity that has to be exceeded for it."""
    named_right_at: NDArray[np.float64]
    """[1 + R, F] photos of known people that are then named right."""

    @property
    def people(self) -> int:
        """Different people, strangers among them."""
        return self.known.people + self.strangers.people


def sum_up(
    known: ScoredPhotos, strangers: ScoredPhotos, *, groups: int, asked: NDArray[np.float64], seed: int
) -> SummedPhotos:
    """Sum photos up by person, and draw people again and again.

    Args:
        known: photos of people in the gallery; may be empty.
        strangers: photos of others; may be empty.
        groups: how many groups there are.
        asked (float64 [A]): shares of strangers to set thresholds for.
        seed: of what is drawn.
    """
    names, (known_sums, stranger_sums) = _sum_by_person(known, strangers, groups)
    ordered = order_similarities(known.similarity, known.right, strangers.similarity)
    fpirs = _fpirs(known, strangers, asked)

    def statistic(known_weights: Weights, stranger_weights: Weights) -> dict[str, NDArray[np.float64]]:
        right = _named_right(ordered, known_weights[:, known.person], stranger_weights[:, strangers.person], fpirs)
        return {"known": known_weights @ known_sums, "strangers": stranger_weights @ stranger_sums, "right": right}

    drawn = resample(statistic, known.people, strangers.people, len(known) + len(strangers), seed=seed)
    return SummedPhotos(
        known=Side(people=known.people, names=names, drawn=drawn["known"]),
        strangers=Side(people=strangers.people, names=names, drawn=drawn["strangers"]),
        fpirs=fpirs,
        thresholds=_thresholds(ordered, fpirs),
        named_right_at=drawn["right"],
    )


def make_rate(hits: Drawn, of: Drawn, people: int) -> Rate:
    """Return a share of photos with its interval.

    Args:
        hits: photos that count.
        of: photos that they are out of.
        people: how many people these are.
    """
    count, total = round(float(hits[0])), round(float(of[0]))
    ends = interval(hits, of, people)
    low, high = ends or (None, None)
    return Rate(rate=count / total if total else None, low=low, high=high, count=count, of=total)


def make_figure(values: Drawn, people: int) -> Figure:
    """Return a figure with its interval; NaN stands for none."""
    value = float(values[0])
    if not np.isfinite(value):
        return Figure(value=None, low=None, high=None)
    low, high = spread(values, people) or (None, None)
    return Figure(value=value, low=low, high=high)


def calibration_error(sums: SummedPhotos) -> Figure:
    """Return the expected calibration error of what is stated about all faces: see `expected_calibration_error`."""
    gaps = [sums.known[f"gap {number}"] + sums.strangers[f"gap {number}"] for number in range(BINS)]
    stated = sums.known["stated"] + sums.strangers["stated"]
    return make_figure(ratio(np.abs(gaps).sum(axis=0), stated), sums.people)


def difference(side: Side, hits: str, group: int, people: int) -> Figure:
    """Return how far the share of a group's photos lies from that of all others of its side.

    The interval is put together from those of both shares, whose people are others (G. Zou and A. Donner, "Construction
    of confidence limits about effect measures", 2008). So a small group without a single error is not taken for better.

    Args:
        side: known people or strangers.
        hits: name of what counts.
        group: its number.
        people: how many of them there are.
    """
    hits_in, of_in = side[f"{hits} of {group}"], side[f"photos of {group}"]
    mine = make_rate(hits_in, of_in, people)
    others = make_rate(side[hits] - hits_in, side["photos"] - of_in, side.people - people)
    if mine.rate is None or others.rate is None:
        return Figure(value=None, low=None, high=None)
    value = mine.rate - others.rate
    if mine.low is None or mine.high is None or others.low is None or others.high is None:
        return Figure(value=value, low=None, high=None)
    below = math.hypot(mine.rate - mine.low, others.high - others.rate)
    above = math.hypot(mine.high - mine.rate, others.rate - others.low)
    return Figure(value=value, low=value - below, high=value + above)


def _sum_by_person(
    known: ScoredPhotos, strangers: ScoredPhotos, groups: int
) -> tuple[tuple[str, ...], list[NDArray[np.float64]]]:
    """Return the names of the columns, and for either side float64 [P, K]."""
    bins = equal_bins(np.concatenate([known.confidence[known.stated], strangers.confidence[strangers.stated]]))
    parts = np.split(bins, [int(known.stated.sum())])
    names: tuple[str, ...] = ()
    sides = []
    for photos, part in zip((known, strangers), parts, strict=True):
        columns = {
            name: np.bincount(photos.person, weights=column, minlength=photos.people).astype(np.float64)
            for name, column in _columns(photos, part, groups)
        }
        names = tuple(columns)
        sides.append(np.stack(list(columns.values()), axis=1))
    return names, sides


def _columns(
    photos: ScoredPhotos, bins: NDArray[np.int64], groups: int
) -> Iterator[tuple[str, NDArray[np.float64] | NDArray[np.bool_]]]:
    """Yield what is summed up, one number a photo; one column at a time, as there may be many photos.

    Args:
        photos: N of them.
        bins (int64): the calibration error's bin of each photo that states a confidence.
        groups: how many there are.
    """
    right, named = photos.right, photos.named
    counts = {"photos": np.ones(len(photos), bool), "right": right, "named": named, "named right": named & right}
    yield from counts.items()
    yield "stated", photos.stated
    numbers = np.full(len(photos), -1)
    numbers[photos.stated] = bins
    gap = np.where(photos.stated, photos.confidence - right, 0.0)
    yield from ((f"gap {number}", gap * (numbers == number)) for number in range(BINS))
    for group in range(groups):
        inside = photos.group == group
        yield from ((f"{name} of {group}", column & inside) for name, column in counts.items())


def _fpirs(known: ScoredPhotos, strangers: ScoredPhotos, asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shares of strangers that so many different ones can tell: those asked for, then those of a curve."""
    told = asked[asked * strangers.people >= 1.0 - _SLACK]
    if not len(known) or not len(told):
        return np.empty(0)
    return np.concatenate([told, spaced_fpirs(len(strangers), 1.0 / strangers.people)])


def _named_right(
    ordered: Identification, known_weights: Weights, stranger_weights: Weights, fpirs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Count known people's photos that are named right, thresholds being set on the strangers drawn: float64 [B, F]."""
    if not len(fpirs):
        return np.empty((len(known_weights), 0))
    return named_right_above(ordered, known_weights, first_refused(ordered, stranger_weights, fpirs))


def _thresholds(ordered: Identification, fpirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the similarity that has to be exceeded for each share of the strangers as they are, float64 [F]."""
    if not len(fpirs):
        return np.empty(0)
    refused = first_refused(ordered, np.ones((1, len(ordered.thresholds))), fpirs)[0]
    return np.asarray(ordered.thresholds[refused])
