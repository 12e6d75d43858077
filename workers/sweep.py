"""The sweeper: takes work back whose lease ran out, rings for work that waits unheard, and closes what is finished.

Every step is one idempotent transaction, so several sweepers may run, and one may die at any point.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from core.errors import FacefleetError, ServiceError
from core.models.store import ModelStore
from core.settings import Settings
from db import chunks, control, jobs, nodes, retries, runs, swaps
from db.clock import LedgerClock
from db.engine import Database
from workers.automatic import retrain_when_due
from workers.collect import collect_artifacts, collect_embeddings
from workers.doorbell import MOST_BELLS, Doorbell, ring_for_due_chunks

_log = logging.getLogger(__name__)

_HURRIED_S = 0.5
"""Pause after a round that rang all it may: the fleet has more slots than bells."""

_BROKEN_SUBMISSION_AFTER = timedelta(minutes=10)
_FORGET_NODES_AFTER = timedelta(hours=1)
_FORGET_SWAPS_AFTER = timedelta(days=7)
_ORPHANS_EVERY_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """What one round did."""

    chunks_reclaimed: int = 0
    chunks_cancelled: int = 0
    runs_reclaimed: int = 0
    photos_retried: int = 0
    jobs_closed: int = 0
    submissions_discarded: int = 0
    bells_rung: int = 0
    runs_queued: int = 0
    runs_rung: int = 0

    def __str__(self) -> str:
        """Name what is not zero."""
        done = {field.name: getattr(self, field.name) for field in fields(self)}
        return ", ".join(f"{name} {count}" for name, count in done.items() if count)


def sweep_once(database: Database, doorbell: Doorbell, settings: Settings, now: datetime) -> SweepReport:
    """Do one round.

    Raises:
        DatabaseUnreachableError: the ledger did not answer; the next round does what is left.
        RedisUnreachableError: nobody could be told; what was taken back is, and the next round rings.
    """
    discarded = _discard_broken_submissions(database, now)
    with database.write() as session:
        chunks.end_leases_from_the_future(session, now, settings.lease_s)
        runs.end_leases_from_the_future(session, now, settings.lease_s)
        chunks_reclaimed = chunks.reclaim_expired(session, now)
        chunks_cancelled = control.settle_cancelled_jobs(session, now)
        runs_reclaimed = runs.reclaim_expired(session, now)
        closed = jobs.close_finished_jobs(session, now)
        nodes.forget_nodes(session, now - _FORGET_NODES_AFTER)
        swaps.forget_failures(session, now - _FORGET_SWAPS_AFTER)
    runs_queued = retrain_when_due(database, settings, now)
    photos_retried = _go_on_with_retries(database, settings.chunk_size, now)
    return SweepReport(
        chunks_reclaimed=chunks_reclaimed,
        chunks_cancelled=chunks_cancelled,
        runs_reclaimed=runs_reclaimed,
        photos_retried=photos_retried,
        jobs_closed=closed,
        submissions_discarded=discarded,
        runs_queued=runs_queued,
        bells_rung=ring_for_due_chunks(database, doorbell),
        runs_rung=_ring_runs(database, doorbell, now - 2 * timedelta(seconds=settings.sweep_interval_s), now),
    )


def _discard_broken_submissions(database: Database, now: datetime) -> int:
    with database.read() as session:
        broken = jobs.find_broken_submissions(session, now - _BROKEN_SUBMISSION_AFTER)
    for job_id in broken:
        with database.write() as session:
            jobs.discard_submission(session, job_id, untouched_since=now - _BROKEN_SUBMISSION_AFTER)
    return len(broken)


def _go_on_with_retries(database: Database, chunk_size: int, now: datetime) -> int:
    """Queue one more page of every retry that is under way; whoever began it may be gone."""
    with database.read() as session:
        under_way = retries.find_under_way(session)
    queued = 0
    for public_id in under_way:
        with database.write() as session:
            queued += retries.queue_page(session, public_id, chunk_size, now)
    return queued


def _ring_runs(database: Database, doorbell: Doorbell, rung_before: datetime, now: datetime) -> int:
    with database.read() as session:
        due = runs.find_to_ring(session, rung_before)
    if not due or doorbell.waiting_runs() >= len(due):
        return 0
    for run_id in due:
        doorbell.ring_run(run_id)
        with database.write() as session:
            runs.mark_rung(session, run_id, now)
    return len(due)


def run_sweeper(
    database: Database,
    doorbell: Doorbell,
    settings: Settings,
    *,
    wait: Callable[[float], bool],
) -> None:
    """Sweep until told to stop. Survives the ledger or Redis being away; each outage is logged once.

    Args:
        database: the ledger.
        doorbell: rings.
        settings: the interval.
        wait: waits so many seconds, or less when told to stop; returns whether it was.
    """
    clock = LedgerClock(database)
    outages = _Outages()
    collector = _Collector(database, settings, clock)
    orphans_due_s = 0.0
    rung = 0
    while not wait(_HURRIED_S if rung >= MOST_BELLS else settings.sweep_interval_s):
        rung = 0
        try:
            report = sweep_once(database, doorbell, settings, clock())
            rung = report.bells_rung
            if str(report):
                _log.info("swept: %s", report)
            if time.monotonic() >= orphans_due_s:
                orphans_due_s = time.monotonic() + _ORPHANS_EVERY_S
                collector.start()
            outages.end()
        except ServiceError as error:
            outages.note(error)


class _Collector:
    """Removes what nothing refers to, on its own thread: a store that hangs must not hold the sweeper up."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless the one before still goes on."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._collect, name="collector", daemon=True)
            self._thread.start()

    def _collect(self) -> None:
        try:
            if removed := collect_embeddings(self._database, self._clock()):
                _log.info("removed %d embeddings of labelled photos: no run sees photos in that way any more", removed)
            store = ModelStore.from_settings(self._settings)
            for each in collect_artifacts(self._database, store, self._clock()).removed:
                _log.info("removed artifact %s (%d bytes): no model names it", each.sha256, each.size_bytes)
        except FacefleetError as error:
            _log.warning("what nothing refers to was not all collected: %s", error)


class _Outages:
    """Logs the beginning and the end of an outage, not every round of it."""

    def __init__(self) -> None:
        self._code: str | None = None

    def note(self, error: ServiceError) -> None:
        if error.code != self._code:
            _log.warning("%s", error)
        self._code = error.code

    def end(self) -> None:
        if self._code is not None:
            _log.info("%s is over", self._code)
        self._code = None
