"""Chunks over which a worker's device failed: is the chunk to blame, or the device? The slot's next chunk tells.

A suspect is held back for a lease and then taken back (db/chunks.py). Meanwhile the slot's next process, which the
device has let load the model and run its golden batch, is at other chunks.
"""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.records import AttemptEnd, ChunkState
from db.chunks import ChunkLease, held, in_state
from db.tables import Chunk, Worker


def suspect_chunk(session: Session, lease: ChunkLease, slot: str, now: datetime, lease_s: float) -> None:
    """Hold a chunk back over which the slot's device failed. Without the lease nothing happens.

    The attempt counts towards splitting. A photo alone is not given up for it when the device has failed over another
    suspect too and the slot has finished nothing for a lease, which is since the photo's attempt before: for all that
    is known it is the device then, however long it lasts.

    Args:
        session: a write session.
        lease: the worker's right to the chunk.
        slot: the worker's name without its process id: its processes, one after the other, are at the same device.
        now: aware time.
        lease_s: how long the chunk is held back.
    """
    others = _suspects_of_an_outage(session, lease, slot, now - timedelta(seconds=lease_s))
    ended_by = AttemptEnd.OUTAGE if others else AttemptEnd.DEVICE
    until = now + timedelta(seconds=lease_s)
    suspected = update(Chunk).where(*held(lease)).values(ended_by=ended_by, lease_until=until)
    session.execute(suspected.execution_options(synchronize_session=False))
    excused = update(Chunk).where(Chunk.id.in_(others)).values(ended_by=ended_by)
    session.execute(excused.execution_options(synchronize_session=False))


def _suspects_of_an_outage(session: Session, lease: ChunkLease, slot: str, since: datetime) -> list[int]:
    """Lock and return the other chunks held back over which this slot's device failed; none if it finished one since.

    Args:
        session: a write session.
        lease: of the chunk that is not meant.
        slot: whose suspects.
        since: aware time; a slot that finished a chunk later is at a device that works.
    """
    finished_at = session.scalar(select(Worker.advanced_at).where(Worker.name == slot))
    if finished_at is not None and finished_at > since:
        return []
    suspects = session.scalars(
        select(Chunk.id)
        .where(
            in_state(ChunkState.CLAIMED),
            Chunk.id != lease.chunk_id,
            Chunk.ended_by.in_([AttemptEnd.DEVICE, AttemptEnd.OUTAGE]),
            Chunk.worker.startswith(f"{slot}:", autoescape=True),
        )
        .order_by(Chunk.job_id, Chunk.id)
        .with_for_update()
    )
    return list(suspects)
