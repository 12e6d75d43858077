"""Keeps a fleet at work for some minutes, and reads again and again what its workers hold. Prints nothing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.records import JobState
from db.tables import Job
from scripts.bench.fleet import LOOK_S, BenchFleet
from scripts.bench.growing import GrowingLedger, count_decided
from scripts.bench.growth_figures import trend
from scripts.bench.holding import Holding, read_holdings

_EVERY_S = 15.0
_LEAST_READINGS = 40  # of a watch that is shorter than so many times that
_AHEAD_CHUNKS = 8  # a worker; more than it does between two looks, or while the next job is being submitted
_WARM_UP = 0.1
"""Of the time: what a process takes until then is no growth."""


@dataclass(frozen=True, kw_only=True)
class HeldReading:
    """What the workers held at one moment."""

    at_s: float
    """Since the watch began."""
    photos: int
    """That had their outcome by then, since the watch began."""
    held: dict[int, Holding]
    """By process id."""


@dataclass(kw_only=True)
class Watched:
    """What became of the jobs of a watch."""

    readings: list[HeldReading]
    photos_failed: int = 0
    photos_lost: int = 0
    """Of the jobs that were done."""


class Watch:
    """A watch of a fleet that goes from job to job.

    Args:
        fleet: up.
        ledger: its own, which the jobs are added to.
        count: photos of each job.
    """

    def __init__(self, fleet: BenchFleet, ledger: GrowingLedger, count: int) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._count = count
        self._open: list[str] = []
        self._ended = 0  # photos of the jobs that are done
        self._watched = Watched(readings=[])

    def run(self, seconds: float, on_time: Callable[[float], None]) -> Watched:
        """Keep the fleet at work for so long; jobs that are under way then are left as they are.

        Args:
            seconds: how long.
            on_time: told how many seconds have passed.
        """
        begun_s, every_s = time.monotonic(), interval_s(seconds)
        while (at_s := time.monotonic() - begun_s) < seconds:
            rows = [self._fleet.look(job) for job in self._open]
            if at_s >= len(self._watched.readings) * every_s:
                held = read_holdings(self._fleet.database)
                photos = self._ended + sum(map(count_decided, rows))
                self._watched.readings.append(HeldReading(at_s=at_s, photos=photos, held=held))
                on_time(at_s)
            self._go_on(rows)
            time.sleep(LOOK_S)
        self._watched.photos_failed += sum(self._fleet.look(job).items_error for job in self._open)
        return self._watched

    def _go_on(self, rows: Sequence[Job]) -> None:
        """Account for the jobs that are done, and add another one before the workers have nothing to do: idle ones
        give back memory, which is no fall.
        """
        for row in rows:
            if row.state == JobState.DONE:
                self._open.remove(row.public_id)
                self._ended += row.total
                self._watched.photos_failed += row.items_error
                self._watched.photos_lost += self._ledger.count_lost(row)
        waiting = sum(row.total - count_decided(row) for row in rows)
        while waiting < _AHEAD_CHUNKS * self._fleet.workers * self._fleet.settings.chunk_size:
            self._open.append(self._ledger.submit(self._count))
            waiting += self._count


def interval_s(seconds: float) -> float:
    """Return how long it is from one reading to the next in a watch of that length."""
    return min(_EVERY_S, seconds / _LEAST_READINGS)


def describe_watch(readings: Sequence[HeldReading], seconds: float) -> dict[str, Any]:
    """Return the readings, and how what each worker held went since the first tenth of the time, as JSON.

    Args:
        readings: in order; one lies behind the first tenth at least.
        seconds: how long the watch was.
    """
    warm_up_s = _WARM_UP * seconds
    settled = [reading for reading in readings if reading.at_s >= warm_up_s] or list(readings)
    first = settled[0].held
    same = [pid for pid in first if all(pid in reading.held for reading in settled)]
    times_s = [reading.at_s for reading in settled]
    workers = [
        {
            name: asdict(trend(times_s, [getattr(reading.held[pid], name) for reading in settled]))
            for name in ("unique_bytes", "resident_bytes", "open_files")
        }
        for pid in same
    ]
    return {
        "seconds": seconds,
        "every_s": interval_s(seconds),
        "warm_up_s": warm_up_s,
        "photos": readings[-1].photos,
        "restarted": len({pid for reading in settled for pid in reading.held} - first.keys()),
        "workers": workers,
        "readings": [_describe_reading(reading, same) for reading in readings],
    }


def _describe_reading(reading: HeldReading, pids: Sequence[int]) -> dict[str, Any]:
    """Return one reading as JSON, of the workers that were there all the time; None of one that was not yet."""
    held = [reading.held.get(pid) for pid in pids]
    figures = {
        name: [None if each is None else getattr(each, name) for each in held]
        for name in ("unique_bytes", "resident_bytes", "open_files")
    }
    return {"at_s": round(reading.at_s, 2), "photos": reading.photos, **figures}
