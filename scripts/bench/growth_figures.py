"""The arithmetic of `facefleet bench growth`: which jobs are run, which are compared, and how fast memory grows.

Runs nothing and prints nothing.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from scripts.bench.holding import Holding
from scripts.bench.rounds import spread

T = TypeVar("T")

_HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class PartCost:
    """What one part of the work took for each photo of a job."""

    wall_us: float
    """By the clock."""
    computing_us: float
    """Of computing."""


@dataclass(frozen=True, kw_only=True)
class MeasuredJob:
    """What one job took."""

    count: int
    """Its photos."""
    ledger_photos: int
    """Those of the jobs before it, which stay in the ledger."""
    submit: PartCost
    identify: PartCost
    bytes_per_photo: float
    """By which the database grew."""
    first_page_ms: float
    middle_page_ms: float
    photos_failed: int
    photos_lost: int
    """Without an outcome, or that the job's counters say otherwise of."""
    before: dict[int, Holding]
    """Of each worker when nothing was to be done, by process id."""
    after: dict[int, Holding]
    at_s: float
    """When that was read, since the first job."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, with the workers that were there before and after."""
        plain = {name: value for name, value in asdict(self).items() if name not in {"before", "after"}}
        same = [pid for pid in self.before if pid in self.after]
        pairs = [[self.before[pid].unique_bytes, self.after[pid].unique_bytes] for pid in same]
        return {**plain, "unique_bytes": pairs}


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How figures went over time."""

    first: float
    last: float
    per_hour: float | None
    """The slope by least squares, as a share of their mean; None of fewer than three."""
    error: float | None
    """Its standard error, were each figure off by chance."""


def schedule(counts: Sequence[int], rounds: int) -> list[int]:
    """Return the photos of each job in order: every one that is measured stands between two of the smallest.

    Args:
        counts: the sizes to measure; the smallest is compared with its like, which says what chance does.
        rounds: how often each is measured.
    """
    smallest = min(counts)
    return [smallest] + [count for _ in range(rounds) for measured in counts for count in (measured, smallest)]


def pair_up(jobs: Sequence[T]) -> list[tuple[T, tuple[T, T]]]:
    """Return each measured job of a schedule with its two neighbours."""
    return [(jobs[at], (jobs[at - 1], jobs[at + 1])) for at in range(1, len(jobs), 2)]


def ratio(cost: float, neighbours: Sequence[float]) -> float | None:
    """Return how many times as much something costs as the mean of its neighbours: a steady drift of the machine
    cancels. None when they cost nothing that the clock shows.
    """
    usual = statistics.mean(neighbours)
    return cost / usual if usual > 0 else None


def sum_up(jobs: Sequence[MeasuredJob]) -> list[dict[str, Any]]:
    """Return, for each size that was measured, what a photo cost and how that compares, as JSON.

    Args:
        jobs: in the order of their schedule.
    """
    pairs = pair_up(jobs)
    return [_sum_up_size(count, [pair for pair in pairs if pair[0].count == count])
            for count in sorted({job.count for job, _ in pairs})]  # fmt: skip


def _sum_up_size(count: int, pairs: Sequence[tuple[MeasuredJob, tuple[MeasuredJob, MeasuredJob]]]) -> dict[str, Any]:
    jobs = [job for job, _ in pairs]
    memory = [_mean_unique(holdings) for job in (jobs[0], jobs[-1]) for holdings in (job.before, job.after)]
    return {
        "count": count,
        "submit": _sum_up_part(pairs, lambda job: job.submit),
        "identify": _sum_up_part(pairs, lambda job: job.identify),
        "bytes_per_photo": spread([job.bytes_per_photo for job in jobs]),
        "first_page_ms": spread([job.first_page_ms for job in jobs]),
        "middle_page_ms": spread([job.middle_page_ms for job in jobs]),
        "unique_bytes": {"before_first": memory[0], "after_last": memory[-1]},
    }


def _sum_up_part(
    pairs: Sequence[tuple[MeasuredJob, tuple[MeasuredJob, MeasuredJob]]], part: Callable[[MeasuredJob], PartCost]
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in ("wall", "computing"):
        costs = [getattr(part(job), f"{name}_us") for job, _ in pairs]
        beside = [[getattr(part(each), f"{name}_us") for each in both] for _, both in pairs]
        ratios = [found for found in map(ratio, costs, beside) if found is not None]
        figures[f"{name}_us"] = spread(costs)
        figures[f"{name}_ratio"] = spread(ratios) if ratios else None
    return figures


def _mean_unique(holdings: dict[int, Holding]) -> float | None:
    return statistics.mean(each.unique_bytes for each in holdings.values()) if holdings else None


def trend(times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Return how some figures went; there is one at least.

    Args:
        times_s: when each was read, in seconds.
        values: the figures.
    """
    first, last, level = values[0], values[-1], statistics.mean(values)
    if len(values) < 3 or times_s[0] == times_s[-1] or level == 0:
        return Trend(first=first, last=last, per_hour=None, error=None)
    slope, start = statistics.linear_regression(times_s, values)
    off = sum((value - start - slope * at_s) ** 2 for at_s, value in zip(times_s, values, strict=True))
    middle_s = statistics.mean(times_s)
    extent = sum((at_s - middle_s) ** 2 for at_s in times_s)
    error = (off / (len(values) - 2) / extent) ** 0.5
    return Trend(first=first, last=last, per_hour=slope * _HOUR_S / level, error=error * _HOUR_S / level)
