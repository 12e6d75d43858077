"""Job control: what a person does to a job. Pause, resume and cancel; a new try of what failed is in db/retries.py.

Each looks at the job's row under its lock and changes it in the same transaction, with an entry in the audit trail;
done twice, it is done once.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.errors import JobStateError
from core.records import ChunkState, ErrorRecord, JobState
from db import audit
from db.chunks import give_up, in_state
from db.jobs import close_finished_jobs, get_job
from db.tables import Chunk, Job

_CANCELLATION = ErrorRecord(
    code="cancelled",
    message="The job was cancelled before this photo had its outcome. It was not identified. "
    "Identify it after all with `facefleet job retry`.",
)

# Chunks that end in one transaction: so few that no worker waits for long, so many that a large job ends in seconds.
_CHUNKS_A_STEP = 64


@dataclass(frozen=True, kw_only=True)
class _Move:
    """A change of a job's state."""

    action: str
    """In the audit trail."""
    verb: str
    """As in "a job that is done cannot be ..."."""
    sources: frozenset[JobState]
    target: JobState


_PAUSE = _Move(action="job.pause", verb="paused", sources=frozenset({JobState.RUNNING}), target=JobState.PAUSED)
_RESUME = _Move(action="job.resume", verb="resumed", sources=frozenset({JobState.PAUSED}), target=JobState.RUNNING)
_CANCEL = _Move(
    action="job.cancel",
    verb="cancelled",
    sources=frozenset({JobState.SUBMITTING, JobState.RUNNING, JobState.PAUSED}),
    target=JobState.CANCELLED,
)


def pause_job(session: Session, public_id: str, who: str, now: datetime) -> bool:
    """Let no more chunks of a job be claimed. Those in work are finished.

    Returns:
        Whether anything changed: False when it was paused already.

    Raises:
        UnknownIdError: there is no such job.
        JobStateError: it does not run.
    """
    return _move(session, public_id, _PAUSE, who, now) is not None


def resume_job(session: Session, public_id: str, who: str, now: datetime) -> bool:
    """Let a paused job run again. The caller rings.

    Returns:
        Whether anything changed: False when it ran already.

    Raises:
        UnknownIdError: there is no such job.
        JobStateError: it is not paused.
    """
    job = _move(session, public_id, _RESUME, who, now)
    if job is None:
        return False
    begin_stretch(job, now)
    close_finished_jobs(session, now, job.id)  # what was in work when it was paused may have been the last of it
    return True


def cancel_job(session: Session, public_id: str, who: str, now: datetime) -> bool:
    """Stop a job for good. From here on no chunk of it is claimed; `settle_cancelled_jobs` does the rest.

    Returns:
        Whether anything changed: False when it was cancelled already.

    Raises:
        UnknownIdError: there is no such job.
        JobStateError: it is done.
    """
    job = _move(session, public_id, _CANCEL, who, now)
    if job is None:
        return False
    job.retry_from = None
    if job.started_at is None:  # it was being submitted: what is recorded is all that it has
        recorded = select(func.sum(Chunk.item_count)).where(Chunk.job_id == job.id)
        job.total = session.scalar(recorded) or 0
    return True


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


def _move(session: Session, public_id: str, move: _Move, who: str, now: datetime) -> Job | None:
    """Change a job's state; return the job, or None when it has that state already.

    Raises:
        JobStateError: it has none that this state can follow.
    """
    job = lock_job(session, public_id)
    if job.state == move.target:
        return None
    if job.state not in move.sources:
        raise JobStateError(f"Job {public_id} is {job.state} and cannot be {move.verb}. Nothing was changed.")
    audit.record(session, who=who, action=move.action, subject=public_id, now=now, before=job.state)
    job.state = move.target
    return job


def lock_job(session: Session, public_id: str) -> Job:
    """Return a job as it is now; nobody else changes it before this transaction ends.

    Raises:
        UnknownIdError: there is none.
    """
    job = get_job(session, public_id)
    session.refresh(job, with_for_update=True)
    return job


def begin_stretch(job: Job, now: datetime) -> None:
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
