"""Submitting a job: sources are walked lazily, recorded page by page, then opened and rung. All of it or nothing.

Needs no Redis: a job that cannot be rung is recorded, and the sweeper rings it later. Light: no torch, no Celery.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from sqlalchemy.exc import IntegrityError

from core.clock import Clock
from core.errors import FacefleetError, ServiceError
from core.images.sources import walk_sources
from core.records import FacesMode, SkipLog
from core.settings import Settings
from db import jobs
from db.clock import LedgerClock
from db.engine import Database
from db.jobs import NewJob
from db.tables import Job
from workers.doorbell import Doorbell, ring_for_due_chunks

PAGE_ITEMS = 5_000
"""Items that are committed at once, about. Each page is a sign of life of the submission."""

OnProgress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class SubmitRequest:
    """What a user submits."""

    sources: tuple[str, ...]
    faces_mode: FacesMode
    name: str
    """For people."""
    idempotency_key: str | None = None
    max_parallel: int | None = None
    """Chunks of it that workers may hold at once; None for any number."""
    fpir: float | None = None
    """Share of strangers that may get a name, within core.faces.rule.FPIR_RANGE; None: as models were trained for."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What became of it."""

    job_public_id: str
    total: int
    """Photos of the job."""
    skipped: int
    """Files that were passed over."""
    repeated: bool
    """The same was submitted before under the same key; nothing was added."""
    rung: bool
    """Workers were told."""
    ring_error: str | None
    """Why not, when they were not."""


def submit_job(
    database: Database,
    doorbell: Doorbell | None,
    settings: Settings,
    request: SubmitRequest,
    on_progress: OnProgress | None = None,
) -> Submission:
    """Record a job and ring for it.

    Args:
        database: the ledger.
        doorbell: None when no Redis is known.
        settings: chunk size and limits.
        request: what is submitted.
        on_progress: told how many photos are recorded so far, after each page.

    Raises:
        InputError: a source cannot be used or holds no photo, or the idempotency key belongs to another submission;
            nothing was submitted. Or the job was cancelled while it was being recorded.
        DatabaseUnreachableError: the ledger did not answer; nothing was submitted.
    """
    new = NewJob(
        name=request.name,
        faces_mode=request.faces_mode,
        request_digest=_digest(request),
        idempotency_key=request.idempotency_key,
        max_parallel=request.max_parallel,
        fpir=request.fpir,
    )
    with database.read() as session:
        repeated = jobs.find_repeated(session, new)
    if repeated is not None:
        return _as_repeated(repeated)
    skipped = SkipLog()
    uris = walk_sources(request.sources, skipped)  # checks every source before anything is recorded
    clock = LedgerClock(database)  # the sweeper compares with it whether a submission stands still
    job = _create(database, new, clock)
    if job is None:  # the same was submitted in the same moment
        return submit_job(database, doorbell, settings, request, on_progress)
    try:
        total = _record(database, job.id, uris, settings, on_progress, clock)
        with database.write() as session:
            jobs.open_job(session, job.id, total, skipped, clock())
    except BaseException:  # a vanished source, Ctrl-C, a full disk: whatever broke it off, half a job must not stay
        _discard(database, job.id)
        raise
    error = _ring(database, doorbell)
    return Submission(
        job_public_id=job.public_id,
        total=total,
        skipped=skipped.count,
        repeated=False,
        rung=error is None,
        ring_error=error,
    )


def _create(database: Database, new: NewJob, clock: Clock) -> Job | None:
    """Insert the empty job; None when another process took the idempotency key in between."""
    try:
        with database.write() as session:
            return jobs.create_job(session, new, clock())
    except IntegrityError:
        return None


def _record(
    database: Database,
    job_id: int,
    uris: Iterator[str],
    settings: Settings,
    on_progress: OnProgress | None,
    clock: Clock,
) -> int:
    """Insert the items page by page; return how many."""
    # Only the last chunk of a job may be short, so a page is a whole number of chunks.
    page_size = max(1, PAGE_ITEMS // settings.chunk_size) * settings.chunk_size
    total = 0
    while page := list(islice(uris, page_size)):
        with database.write() as session:
            jobs.add_page(session, job_id, total, page, settings.chunk_size, clock())
        total += len(page)
        if on_progress is not None:
            on_progress(total)
    return total


def _ring(database: Database, doorbell: Doorbell | None) -> str | None:
    """Tell the workers; return why that failed, or None."""
    if doorbell is None:
        return "No Redis is known, so no worker was told yet."
    try:
        ring_for_due_chunks(database, doorbell)
    except ServiceError as error:  # the job stands in the ledger; the sweeper rings
        return error.message
    return None


def _discard(database: Database, job_id: int) -> None:
    """Remove what was inserted. When even that fails, the sweeper does it."""
    with suppress(FacefleetError), database.write() as session:
        jobs.discard_submission(session, job_id)


def _digest(request: SubmitRequest) -> str:
    """sha256 over what decides the results; the name is for people, the limit for machines, and both may differ."""
    decisive: list[object] = [request.sources, request.faces_mode]
    if request.fpir is not None:  # left out where none is asked for, as in submissions of before it could be
        decisive.append(request.fpir)
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def _as_repeated(job: Job) -> Submission:
    return Submission(
        job_public_id=job.public_id,
        total=job.total,
        skipped=job.skipped_count,
        repeated=True,
        rung=True,
        ring_error=None,
    )
