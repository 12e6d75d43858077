"""Times transactions with the ledger in their parts: before the lock that others wait for, under it, and the commit.

What this process computes is told from what it waits for by the clock of its thread.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import event

from scripts.simulate_costs import Linear, Phase, TransactionCost

if TYPE_CHECKING:
    from db.engine import Database

_UNSEEN_TRIPS = 2
"""Of a transaction on PostgreSQL, that no statement of ours shows: whether the connection lives, and its beginning."""


@dataclass(kw_only=True)
class Part:
    """What one part of one transaction took."""

    client_s: float = 0.0
    waited_s: float = 0.0
    trips: int = 0

    def add(self, wall_s: float, cpu_s: float) -> None:
        """Add time that passed, and what of it this thread computed."""
        self.client_s += cpu_s
        self.waited_s += max(0.0, wall_s - cpu_s)


@dataclass(kw_only=True)
class Lap:
    """One transaction."""

    free: Part = field(default_factory=Part)
    held: Part = field(default_factory=Part)
    sync: Part = field(default_factory=Part)

    @property
    def total_s(self) -> float:
        """All of it, by the clock."""
        return sum(part.client_s + part.waited_s for part in (self.free, self.held, self.sync))


class Meter:
    """Watches what a database is asked, and times it. One at a time for each database."""

    def __init__(self, database: "Database") -> None:
        self._is_sqlite = database.is_sqlite
        self._engine = database.engine
        self._lap = Lap()
        self._part = self._lap.free
        self._wall_s = self._cpu_s = 0.0
        event.listen(self._engine, "before_cursor_execute", self._before_statement)
        event.listen(self._engine, "commit", self._before_commit)

    def close(self) -> None:
        """Watch no longer."""
        event.remove(self._engine, "before_cursor_execute", self._before_statement)
        event.remove(self._engine, "commit", self._before_commit)

    @contextmanager
    def lap(self) -> Iterator[Lap]:
        """Time the one transaction that is done within the block."""
        self._lap = lap = Lap()
        self._part = lap.free
        lap.free.trips += 0 if self._is_sqlite else _UNSEEN_TRIPS
        self._wall_s, self._cpu_s = time.perf_counter(), time.thread_time()
        yield lap
        self._go_on(self._part)

    def _go_on(self, part: Part) -> None:
        """Account for the time since the last mark, and begin another part."""
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        self._part.add(wall_s - self._wall_s, cpu_s - self._cpu_s)
        self._part, self._wall_s, self._cpu_s = part, wall_s, cpu_s

    def _before_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        takes_lock = statement.startswith("BEGIN IMMEDIATE" if self._is_sqlite else "UPDATE jobs")
        if takes_lock and self._part is self._lap.free:
            self._go_on(self._lap.held)
        self._part.trips += 1

    def _before_commit(self, _connection: Any) -> None:
        self._go_on(self._lap.sync)


def cost_of(laps: Mapping[int, Sequence[Lap]], *, is_sqlite: bool) -> TransactionCost:
    """Return what a transaction costs, by what a quarter of many take at most.

    Args:
        laps: by the photos that the transaction was about; not empty.
        is_sqlite: then nothing is waited for but the disk: what waiting there is seems so as the machine is busy.
    """

    def phase(name: str) -> Phase:
        parts = {photos: [getattr(lap, name) for lap in some] for photos, some in laps.items()}
        client = _fit(parts, lambda part: part.client_s)
        trips = usual(part.trips for some in parts.values() for part in some)
        return Phase(
            client=client,
            server=Linear() if is_sqlite else _fit(parts, lambda part: part.waited_s),
            trips=0.0 if is_sqlite else float(trips),
        )

    every = [lap.sync for some in laps.values() for lap in some]
    held = phase("held")
    committing = Linear(
        fixed_s=held.client.fixed_s + usual(part.client_s for part in every), photo_s=held.client.photo_s
    )
    return TransactionCost(
        free=phase("free"),
        held=Phase(client=committing, server=held.server, trips=held.trips),
        sync_s=usual(part.waited_s for part in every),
    )


def usual(values: Iterable[float]) -> float:
    """Return what a quarter of some times take at most: others who use the machine only ever add to them."""
    ordered = sorted(values)
    return ordered[len(ordered) // 4]


def _fit(parts: Mapping[int, Sequence[Part]], value: Callable[[Part], float]) -> Linear:
    return fit({photos: usual(value(part) for part in some) for photos, some in parts.items()})


def fit(seconds: Mapping[int, float]) -> Linear:
    """Return the line through costs by photos that is off by the least share, with no term below zero."""
    photos = np.array(list(seconds), float)
    costs = np.maximum(np.array(list(seconds.values()), float), 1e-9)
    if len(photos) == 1:
        return Linear(fixed_s=float(costs[0]))
    slope, fixed = (float(term) for term in np.polyfit(photos, costs, 1, w=1.0 / costs))
    if slope <= 0.0:
        return Linear(fixed_s=float(np.mean(costs)))
    if fixed < 0.0:
        return Linear(photo_s=float(np.mean(costs / photos)))
    return Linear(fixed_s=fixed, photo_s=slope)
