"""Which chunk is due: small jobs before large ones, jobs of a size in turn, each job within its limit.

Turns are counted, not timed: every claim takes the next number, so that no machine's clock has a say. A chunk whose
lease ran out is due when the sweeper has taken it back (db/chunks.py).
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, case, func, literal, or_, select, update
from sqlalchemy.orm import Session

from core.records import ChunkState, JobState
from db.chunks import ChunkLease, in_state
from db.tables import Chunk, Job

# So many claims may pass a waiting bulk job by, then one is its: interactive jobs take four fifths at most.
INTERACTIVE_TURNS = 4


def claim_due_chunk(
    session: Session, worker: str, now: datetime, lease_s: float, interactive_photos: int
) -> ChunkLease | None:
    """Take the chunk that is due, under a new lease.

    Args:
        session: a write session.
        worker: the slot that takes it.
        now: aware time.
        lease_s: how long the lease runs.
        interactive_photos: a job of at most so many photos is interactive; a larger one is bulk.

    Returns:
        The lease, or None when nothing is due.
    """
    passed: list[int] = []  # jobs whose last chunk or last place went to another worker in this moment
    while (job_id := _job_in_turn(session, interactive_photos, passed)) is not None:
        lease = _claim_first_chunk(session, job_id, worker, now, lease_s)
        if lease is not None:
            return lease
        passed.append(job_id)
    return None


def count_due_chunks(session: Session, limit: int) -> int:
    """Return how many chunks wait in jobs that may have one more in work, counted up to `limit`."""
    return session.scalar(_DUE, {"limit": limit}) or 0


def _job_in_turn(session: Session, interactive_photos: int, passed: list[int]) -> int | None:
    """Return the job whose turn it is; None when no job has a chunk that is due."""
    found = session.execute(_LINES, {"interactive_photos": interactive_photos, "passed": passed}).one()
    if found.interactive is None or (found.bulk is not None and found.turns >= INTERACTIVE_TURNS):
        return found.bulk  # type: ignore[no-any-return]
    return found.interactive  # type: ignore[no-any-return]


def _claim_first_chunk(session: Session, job_id: int, worker: str, now: datetime, lease_s: float) -> ChunkLease | None:
    """Take the first queued chunk of a job that no other worker is taking in this moment."""
    chunk = session.execute(_FIRST_CHUNK, {"job": job_id}).one_or_none()
    job = _take_turn(session, job_id) if chunk is not None else None
    if chunk is None or job is None:
        return None
    lease = ChunkLease(
        chunk_id=chunk.id,
        job_id=job_id,
        faces_mode=job.faces_mode,
        fpir=job.fpir,
        first_ordinal=chunk.first_ordinal,
        item_count=chunk.item_count,
        token=secrets.token_hex(16),
    )
    until = now + timedelta(seconds=lease_s)
    session.execute(_CLAIM, {"chunk": chunk.id, "token": lease.token, "until": until, "slot": worker})
    return lease


def _take_turn(session: Session, job_id: int) -> Any | None:
    """Put a job at the end of its line and return it; None when it was paused, ended or filled up meanwhile.

    Its row is locked from here on, so that neither a pause nor a second claim comes between the look and the claim.
    """
    job = session.execute(_TAKE_TURN, {"job": job_id}).one_or_none()
    if job is None or job.max_parallel is None:
        return job
    in_work = session.scalar(_IN_WORK, {"job": job_id}) or 0
    return job if in_work < job.max_parallel else None


def _chunks_in_work(job_id: Any) -> Any:
    """How many chunks of a job workers hold."""
    return select(func.count()).select_from(Chunk).where(Chunk.job_id == job_id, in_state(ChunkState.CLAIMED))


def _may_run() -> tuple[ColumnElement[bool], ...]:
    """Whether a job may have one more chunk in work."""
    in_work = _chunks_in_work(Job.id).correlate(Job).scalar_subquery()
    return (Job.state == JobState.RUNNING, or_(Job.max_parallel.is_(None), in_work < Job.max_parallel))


def _first_in_line(wanted: ColumnElement[bool]) -> ScalarSelect[Any]:
    """The job of a size that has a chunk to give and whose last claim is the oldest."""
    queued = select(literal(1)).where(Chunk.job_id == Job.id, in_state(ChunkState.QUEUED)).exists()
    passed = Job.id.in_(bindparam("passed", expanding=True))
    query = select(Job.id).where(*_may_run(), wanted, queued, ~passed)
    return query.order_by(Job.last_claim, Job.id).limit(1).scalar_subquery()


# The statements are made once: making them anew took three times as long as running them.
_BULK = Job.total > bindparam("interactive_photos")
_LAST_CLAIM = select(func.max(Job.last_claim)).scalar_subquery()
_LAST_BULK_CLAIM = select(func.max(Job.last_claim)).where(Job.state == JobState.RUNNING, _BULK).scalar_subquery()
_LINES = select(
    _first_in_line(~_BULK).label("interactive"),
    _first_in_line(_BULK).label("bulk"),
    (_LAST_CLAIM - _LAST_BULK_CLAIM).label("turns"),
)
_FIRST_CHUNK = (
    select(Chunk.id, Chunk.first_ordinal, Chunk.item_count)
    .where(Chunk.job_id == bindparam("job"), in_state(ChunkState.QUEUED))
    .order_by(Chunk.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_TAKE_TURN = (
    update(Job)
    .where(Job.id == bindparam("job"), Job.state == JobState.RUNNING)
    # Where a claim of the same job came first, PostgreSQL looks again at this row, but not at the others.
    .values(last_claim=case((Job.last_claim > _LAST_CLAIM, Job.last_claim), else_=_LAST_CLAIM) + 1)
    .returning(Job.faces_mode, Job.max_parallel, Job.fpir)
    .execution_options(synchronize_session=False)
)
_IN_WORK = _chunks_in_work(bindparam("job"))
_CLAIM = (
    update(Chunk)
    .where(Chunk.id == bindparam("chunk"))
    .values(
        state=ChunkState.CLAIMED,
        attempts=Chunk.attempts + 1,
        lease_token=bindparam("token"),
        lease_until=bindparam("until"),
        worker=bindparam("slot"),
        ended_by=None,
    )
    .execution_options(synchronize_session=False)
)
_WAITING = select(Chunk.id).join(Job, Job.id == Chunk.job_id).where(in_state(ChunkState.QUEUED), *_may_run())
_DUE = select(func.count()).select_from(_WAITING.limit(bindparam("limit")).subquery())
