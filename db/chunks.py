"""Chunks: held with a lease, committed behind the lease's token, taken back when the lease runs out, given up.

The token fences: every write of a worker names it, and a worker whose chunk was given to another finds it changed and
writes nothing. Attempts are counted here, never in a message. Which chunk is due stands in db/claims.py.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, bindparam, exists, select, update
from sqlalchemy.orm import Session

from core.errors import LeaseLostError
from core.records import (
    AttemptEnd,
    ChunkState,
    ErrorRecord,
    ItemOutcome,
    JobState,
    PhotoResult,
    PhotoTask,
)
from db.attempts import last_word
from db.outcomes import count_outcomes, store_results
from db.tables import Chunk, Item, Job
from db.zones import NO_MODEL, zone_values

# A chunk that was claimed this often and never finished is split: one of its photos kills or hangs its worker.
ATTEMPTS_BEFORE_SPLIT = 2


@dataclass(frozen=True, kw_only=True)
class ChunkLease:
    """A worker's right to one chunk."""

    chunk_id: int
    job_id: int
    faces_mode: str
    fpir: float | None
    """Share of strangers that may get a name; None: as the model was trained for."""
    first_ordinal: int
    item_count: int
    token: str


def load_tasks(session: Session, lease: ChunkLease) -> list[PhotoTask]:
    """Return the photos of a chunk, by ordinal."""
    rows = session.execute(select(Item.ordinal, Item.uri).where(*_items_of(lease)).order_by(Item.ordinal))
    return [PhotoTask(ordinal=row.ordinal, uri=row.uri) for row in rows]


def extend_lease(session: Session, lease: ChunkLease, now: datetime, lease_s: float) -> None:
    """Keep a chunk for `lease_s` more seconds from now.

    Raises:
        LeaseLostError: another worker owns the chunk, or its job was cancelled.
    """
    wanted = exists().where(Job.id == Chunk.job_id, Job.state != JobState.CANCELLED)
    extended = session.execute(
        update(Chunk)
        .where(*held(lease), wanted)
        .values(lease_until=now + timedelta(seconds=lease_s))
        .execution_options(synchronize_session=False)
    )
    _require_one_row(extended, lease)


def release_chunk(session: Session, lease: ChunkLease) -> None:
    """Give a chunk back unworked, so that another worker need not wait for the lease to run out.

    A chunk given back on purpose did not fail: the attempt is not counted. Without the lease nothing happens.
    """
    session.execute(
        update(Chunk)
        .where(*held(lease))
        .values(
            state=ChunkState.QUEUED,
            attempts=Chunk.attempts - 1,
            lease_token=None,
            lease_until=None,
            worker=None,
        )
        .execution_options(synchronize_session=False)
    )


def expire_lease(session: Session, lease: ChunkLease, now: datetime) -> None:
    """Let a lease run out now: the work failed, and the attempt counts. Without the lease nothing happens."""
    session.execute(
        update(Chunk)
        .where(*held(lease))
        .values(lease_until=now - timedelta(seconds=1))
        .execution_options(synchronize_session=False)
    )


def finish_chunk(
    session: Session, lease: ChunkLease, results: Sequence[PhotoResult], model_id: int, now: datetime
) -> None:
    """Store the outcomes of a whole chunk and close it, all in the caller's one transaction.

    What people said of these faces before decides over what the model said.

    Args:
        session: a write session.
        lease: the worker's right to the chunk.
        results: one for each of its items.
        model_id: the model that all of them were decided with.
        now: aware time.

    Raises:
        LeaseLostError: another worker owns the chunk; the caller's transaction must not be committed.
        ValueError: `results` are not exactly the chunk's items.
    """
    if [result.ordinal for result in results] != list(
        range(lease.first_ordinal, lease.first_ordinal + lease.item_count)
    ):
        raise ValueError(f"results do not cover chunk {lease.chunk_id} exactly")
    closed = session.execute(
        update(Chunk)
        .where(*held(lease))
        .values(
            state=ChunkState.DONE,
            lease_token=None,
            lease_until=None,
            done_at=now,
            **zone_values(results, model_id, now),
        )
        .execution_options(synchronize_session=False)
    )
    _require_one_row(closed, lease)
    store_results(session, lease.job_id, results, model_id, now)


def reclaim_expired(session: Session, now: datetime, limit: int = 100) -> int:
    """Take chunks back whose lease ran out; return how many.

    A chunk goes back to the queue. One that was tried ATTEMPTS_BEFORE_SPLIT times is halved, so that the photo that
    kills its worker ends up alone; that one photo gets an error outcome.
    """
    expired = session.scalars(
        select(Chunk)
        .where(_lease_ran_out(now))
        .order_by(Chunk.job_id, Chunk.id)  # by job: two sweepers lock the rows of two jobs in the same order
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for chunk in expired:
        _take_back(session, chunk, AttemptEnd(chunk.ended_by) if chunk.ended_by else None, now)
    return len(expired)


def reclaim_from(session: Session, worker: str, ended_by: AttemptEnd, now: datetime) -> int:
    """Take back at once what a process held that is known to be dead; return how many chunks.

    The same becomes of them as when their lease runs out. The name fences: it holds the process id, and a process that
    took the slot over, or another node that got the chunk meanwhile, bears another. A chunk that the process itself
    suspects (db/suspects.py) waits for its lease.

    Args:
        session: a write session.
        worker: as it claimed.
        ended_by: how it ended.
        now: aware time.
    """
    return _take_all_back(session, Chunk.worker == worker, ended_by, now)


def reclaim_from_node(session: Session, node: str, now: datetime) -> int:
    """Take back at once what all processes of a node held that is known to be dead; return how many chunks.

    Args:
        session: a write session.
        node: its name, which holds the process id of its parent.
        now: aware time.
    """
    return _take_all_back(session, Chunk.worker.startswith(f"{node}/", autoescape=True), None, now)


def _take_all_back(session: Session, of: ColumnElement[bool], ended_by: AttemptEnd | None, now: datetime) -> int:
    held = session.scalars(
        select(Chunk)
        .where(in_state(ChunkState.CLAIMED), of, Chunk.ended_by.is_(None))
        .order_by(Chunk.job_id, Chunk.id)
        .with_for_update(skip_locked=True)
    ).all()
    for chunk in held:
        _take_back(session, chunk, ended_by, now)
    return len(held)


def _take_back(session: Session, chunk: Chunk, ended_by: AttemptEnd | None, now: datetime) -> None:
    """Queue, halve or give up a chunk whose attempt came to nothing."""
    chunk.lease_token = chunk.lease_until = chunk.worker = None
    chunk.ended_by = ended_by
    if ended_by is AttemptEnd.OUTAGE and chunk.item_count == 1:
        chunk.attempts -= 1  # being split harms no photo, being given up does
    if chunk.attempts < ATTEMPTS_BEFORE_SPLIT:
        chunk.state = ChunkState.QUEUED
    elif chunk.item_count > 1:
        _split(session, chunk)
    else:
        _bury(session, chunk, ended_by, now)


def end_leases_from_the_future(session: Session, now: datetime, lease_s: float) -> None:
    """Let leases run out that were given by a clock far ahead of this one: one of the two has been set since.

    Otherwise a chunk whose worker died would be held for as long as the clock was set back. Clocks that agree to within
    a lease are not affected.
    """
    later = and_(in_state(ChunkState.CLAIMED), Chunk.lease_until > now + 2 * timedelta(seconds=lease_s))
    ended = {"lease_until": now - timedelta(seconds=1)}
    session.execute(update(Chunk).where(later).values(ended).execution_options(synchronize_session=False))


def _split(session: Session, chunk: Chunk) -> None:
    """Halve a chunk: it keeps the first half, a new one takes the second; both start afresh."""
    kept = chunk.item_count // 2
    session.add(
        Chunk(
            job_id=chunk.job_id,
            first_ordinal=chunk.first_ordinal + kept,
            item_count=chunk.item_count - kept,
            state=ChunkState.QUEUED,
            attempts=0,
        )
    )
    chunk.item_count = kept
    chunk.attempts = 0
    chunk.state = ChunkState.QUEUED


def _bury(session: Session, chunk: Chunk, ended_by: AttemptEnd | None, now: datetime) -> None:
    """Give up on the one photo of a chunk."""
    give_up(session, chunk.job_id, [chunk], last_word(ended_by, chunk.attempts), now)


def give_up(session: Session, job_id: int, chunks: Sequence[Chunk], error: ErrorRecord, now: datetime) -> None:
    """End chunks whose photos will not be looked at: each gets the error as its outcome. Their leases are void.

    Args:
        session: a write session that has locked `chunks`.
        job_id: the job they belong to.
        chunks: open ones; at least one.
        error: why.
        now: aware time.
    """
    for chunk in chunks:
        chunk.state = ChunkState.DEAD
        chunk.lease_token = chunk.lease_until = None
        chunk.done_at = now
        chunk.model_id = chunk.face_model_id = NO_MODEL
        chunk.decided_until = now
        chunk.top_confidence = chunk.top_unnamed = 0.0
    values = {"error_code": error.code, "error_message": error.message, "decided_at": now}
    waiting = (Item.job_id == job_id, Item.outcome.is_(None))
    for chunk in chunks:
        session.execute(
            update(Item)
            .where(*waiting, Item.ordinal >= chunk.first_ordinal, Item.ordinal < chunk.first_ordinal + chunk.item_count)
            .values(outcome=ItemOutcome.ERROR, **values)
            .execution_options(synchronize_session=False)
        )
    count_outcomes(session, job_id, Counter({"items_error": sum(chunk.item_count for chunk in chunks)}), now)


def _lease_ran_out(now: datetime) -> ColumnElement[bool]:
    return and_(in_state(ChunkState.CLAIMED), Chunk.lease_until < now)


def in_state(state: ChunkState) -> ColumnElement[bool]:
    """A chunk's state, spelled out in the SQL: SQLite uses a partial index only when it can read its condition."""
    return Chunk.state == bindparam(None, state, String, literal_execute=True)


def held(lease: ChunkLease) -> tuple[ColumnElement[bool], ...]:
    """What is true of a chunk while this lease holds."""
    return (Chunk.id == lease.chunk_id, Chunk.state == ChunkState.CLAIMED, Chunk.lease_token == lease.token)


def _items_of(lease: ChunkLease) -> tuple[ColumnElement[bool], ...]:
    last = lease.first_ordinal + lease.item_count
    return (Item.job_id == lease.job_id, Item.ordinal >= lease.first_ordinal, Item.ordinal < last)


def _require_one_row(result: Any, lease: ChunkLease) -> None:
    if result.rowcount != 1:
        raise LeaseLostError(f"The lease on chunk {lease.chunk_id} was lost; nothing of it is written.")
