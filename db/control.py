"""Job control: what a person does to a job. Pause, resume, cancel, and a new try for what failed.

Each looks at the job's row under its lock and changes it in the same transaction; done twice, it is done once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from core.errors import JobStateError
from core.records import ChunkState, ErrorRecord, ItemOutcome, JobState
from db.chunks import ITEM_VALUES, give_up, in_state
from db.jobs import add_chunks, close_finished_jobs, get_job
from db.results import has_outcome
from db.tables import Chunk, Item, Job

_CANCELLATION = ErrorRecord(
    code="cancelled",
    message="The job was cancelled before this photo had its outcome. It was not identified. "
    "Identify it after all with `facefleet job retry`.",
)

MAY_END_PROCESSES = frozenset({"worker_crashed", "timed_out"})
"""Codes of photos that may be to blame for the end of their worker: they are tried again without neighbours."""

# Chunks that end in one transaction: so few that no worker waits for long, so many that a large job ends in seconds.
_CHUNKS_A_STEP = 64

_ROWS_AT_ONCE = 10_000  # read at once when there may be millions


@dataclass(frozen=True, kw_only=True)
class _Move:
    """A change of a job's state."""

    verb: str
    """As in "a job that is done cannot be ..."."""
    sources: frozenset[JobState]
    target: JobState


_PAUSE = _Move(verb="paused", sources=frozenset({JobState.RUNNING}), target=JobState.PAUSED)
_RESUME = _Move(verb="resumed", sources=frozenset({JobState.PAUSED}), target=JobState.RUNNING)
_CANCEL = _Move(
    verb="cancelled",
    sources=frozenset({JobState.SUBMITTING, JobState.RUNNING, JobState.PAUSED}),
    target=JobState.CANCELLED,
)


def pause_job(session: Session, public_id: str) -> bool:
    """Let no more chunks of a job be claimed. Those in work are finished.

    Returns:
        Whether anything changed: False when it was paused already.

    Raises:
        UnknownIdError: there is no such job.
        JobStateError: it does not run.
    """
    return _move(session, public_id, _PAUSE) is not None


def resume_job(session: Session, public_id: str, now: datetime) -> bool:
    """Let a paused job run again. The caller rings.

    Returns:
        Whether anything changed: False when it ran already.

    Raises:
        UnknownIdError: there is no such job.
        JobStateError: it is not paused.
    """
    job = _move(session, public_id, _RESUME)
    if job is None:
        return False
    _begin_stretch(job, now)
    close_finished_jobs(session, now, job.id)  # what was in work when it was paused may have been the last of it
    return True


def cancel_job(session: Session, public_id: str) -> bool:
    """Stop a job for good. From here on no chunk of it is claimed; `settle_cancelled_jobs` does the rest.

    Returns:
        Whether anything changed: False when it was cancelled already.

    Raises:
        UnknownIdError: there is no such job.
        JobStateError: it is done.
    """
    job = _move(session, public_id, _CANCEL)
    if job is not None and job.started_at is None:  # it was being submitted: what is recorded is all that it has
        recorded = select(func.sum(Chunk.item_count)).where(Chunk.job_id == job.id)
        job.total = session.scalar(recorded) or 0
    return job is not None


def settle_cancelled_jobs(session: Session, now: datetime) -> int:
    """Give photos of cancelled jobs that have no outcome the error `cancelled`, some chunks at a time.

    Chunks in work are fenced off: their workers find the lease gone and write nothing. The job ends with its last one.

    Returns:
        How many chunks were given up; 0 when nothing is left to do.
    """
    cancelled = select(Job.id).where(Job.state == JobState.CANCELLED, Job.finished_at.is_(None)).order_by(Job.id)
    given_up = 0
    for job_id in session.scalars(cancelled).all():
        chunks = _open_chunks(session, job_id, _CHUNKS_A_STEP - given_up)
        if chunks:
            give_up(session, job_id, chunks, _CANCELLATION, now)
        given_up += len(chunks)
        if given_up == _CHUNKS_A_STEP:
            break
    close_finished_jobs(session, now)
    return given_up


def retry_failed_items(session: Session, public_id: str, chunk_size: int, now: datetime) -> int:
    """Queue the photos of an ended job again whose outcome is an error, and no others. The caller rings.

    Args:
        session: a write session.
        public_id: the job.
        chunk_size: photos a chunk holds at most; one that may have killed its worker is alone in its chunk.
        now: aware time.

    Returns:
        How many photos are tried again.

    Raises:
        UnknownIdError: there is no such job.
        JobStateError: it has not ended.
    """
    job = _lock(session, public_id)
    if job.finished_at is None:
        raise JobStateError(
            f"Job {public_id} has not ended (it is {job.state}), so nothing of it is tried again yet. Nothing was "
            f"changed. Wait for its end (`facefleet job watch {public_id}`) and try again."
        )
    found = session.execute(
        select(Item.ordinal, Item.error_code)
        .where(*_failed(job))
        .order_by(Item.ordinal)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    ranges = list(_ranges(((row.ordinal, row.error_code) for row in found), chunk_size))
    if not ranges:
        return 0
    add_chunks(session, job.id, ranges)
    session.execute(
        update(Item)
        .where(*_failed(job))
        .values(dict.fromkeys(ITEM_VALUES))
        .execution_options(synchronize_session=False)
    )
    photos = sum(count for _, count in ranges)
    job.items_error -= photos
    job.state = JobState.RUNNING
    job.finished_at = None
    job.started_at = job.started_at or now
    _begin_stretch(job, now)
    return photos


def _move(session: Session, public_id: str, move: _Move) -> Job | None:
    """Change a job's state; return the job, or None when it has that state already.

    Raises:
        JobStateError: it has none that this state can follow.
    """
    job = _lock(session, public_id)
    if job.state == move.target:
        return None
    if job.state not in move.sources:
        raise JobStateError(f"Job {public_id} is {job.state} and cannot be {move.verb}. Nothing was changed.")
    job.state = move.target
    return job


def _lock(session: Session, public_id: str) -> Job:
    """Return a job as it is now; nobody else changes it before this transaction ends.

    Raises:
        UnknownIdError: there is none.
    """
    job = get_job(session, public_id)
    session.refresh(job, with_for_update=True)
    return job


def _begin_stretch(job: Job, now: datetime) -> None:
    """Count the job's rate from now on."""
    job.resumed_at = now
    job.decided_before = job.items_faces + job.items_no_face + job.items_error


def _open_chunks(session: Session, job_id: int, limit: int) -> list[Chunk]:
    """Lock and return chunks of a job that are not at their end, those in work first."""
    found: list[Chunk] = []
    for state in (ChunkState.CLAIMED, ChunkState.QUEUED):  # one at a time: each has an index of its own
        query = select(Chunk).where(Chunk.job_id == job_id, in_state(state)).order_by(Chunk.id)
        found += session.scalars(query.limit(limit - len(found)).with_for_update())
    return found


def _failed(job: Job) -> tuple[ColumnElement[bool], ...]:
    return (Item.job_id == job.id, has_outcome(ItemOutcome.ERROR))


def _ranges(failed: Iterable[tuple[int, str]], longest: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of consecutive photos, as first ordinal and length, that cover exactly those that failed.

    Args:
        failed: ordinal and error code of each, by ordinal.
        longest: photos a range holds at most.
    """
    first, count = 0, 0
    for ordinal, code in failed:
        joins = 0 < count < longest and ordinal == first + count and code not in MAY_END_PROCESSES
        if count and not joins:
            yield first, count
        if not joins:
            first, count = ordinal, 0
        count += 1
        if code in MAY_END_PROCESSES:
            yield first, count
            count = 0
    if count:
        yield first, count
