"""Whether the system does its work, judged from the ledger: work that waits must go forward."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.records import ChunkState, JobState
from db import nodes, registry, swaps
from db.chunks import in_state
from db.tables import Chunk, Job, SwapFailure, Worker

# Work that waits while nothing was finished for this many leases is stuck: one lease may be a killed worker's.
STALL_LEASES = 2

_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Health:
    """The state of the system at one moment."""

    at: datetime
    problems: tuple[str, ...]
    """What is wrong, each with its remedy; empty when all is well."""
    queued_chunks: int
    """Chunks of running jobs that wait for a worker."""
    claimed_chunks: int
    """Chunks of running jobs that workers hold."""
    workers: tuple[Worker, ...]
    """The identify slots seen within the last leases."""
    failures: tuple[SwapFailure, ...]
    """Models that those should have and cannot load."""
    serving: registry.ServingModel | None
    last_advance_at: datetime | None
    """When a worker last finished a piece of work."""
    stall: str | None
    """That work waits and does not advance, and why; one of the problems."""

    @property
    def open_chunks(self) -> int:
        """How many chunks of running jobs are not done."""
        return self.queued_chunks + self.claimed_chunks


def read_health(session: Session, now: datetime, lease_s: float, *, redis_answers: bool = True) -> Health:
    """Look at work, workers and the serving model.

    Args:
        session: a session that reads.
        now: aware time.
        lease_s: the lease of a chunk.
        redis_answers: whether workers can be told of work; the ledger does not know.
    """
    patience = timedelta(seconds=STALL_LEASES * lease_s)
    queued, claimed, oldest_start = _open_work(session)
    identify = [node for node in nodes.list_nodes(session) if node.role == "identify"]
    fresh = tuple(node for node in identify if now - node.seen_at < patience)
    last_advance = nodes.last_advance(session, "identify")
    serving = registry.serving_model(session)
    problems = [f"{node.name}: {node.model_error}" for node in fresh if node.model_error]
    if not fresh:
        problems.append("No worker was seen lately: photos wait. Start one with `facefleet worker --device cpu`.")
    if serving is None:
        problems.append("No model is active: photos wait. Train one with `facefleet retrain --wait`.")
    last_sign = max(filter(None, (last_advance, oldest_start)), default=None)
    stall = None
    if queued + claimed and last_sign and now - last_sign > patience:
        silent_s = int((now - last_sign).total_seconds())
        why = _why_stalled(fresh, has_model=serving is not None, redis_answers=redis_answers)
        stall = f"{queued + claimed} chunks wait or are in work, and none was finished for {silent_s} s: {why}."
        problems.insert(0, stall)
    return Health(
        at=now,
        problems=tuple(problems),
        queued_chunks=queued,
        claimed_chunks=claimed,
        workers=fresh,
        failures=tuple(swaps.open_failures(session, [node.name for node in fresh])),
        serving=serving,
        last_advance_at=last_advance,
        stall=stall,
    )


def _why_stalled(fresh: Sequence[Worker], *, has_model: bool, redis_answers: bool) -> str:
    """Say what keeps work from advancing."""
    causes = []
    if not fresh:
        causes.append("no worker reports")
    if not has_model:
        causes.append("no model is active")
    if not redis_answers:
        causes.append("Redis takes no bells, so that no worker hears of them")
    failing = [node.name for node in fresh if node.model_error]
    if has_model and failing and len(failing) == len(fresh):
        causes.append(f"no worker can load the model ({_names(failing)})")
    if not causes:
        names = _names([node.name for node in fresh])
        causes.append(f"{names} report but do not advance; look at their logs, and restart them: nothing is lost")
    return ", and ".join(causes)


def _names(names: Sequence[str]) -> str:
    """List names, the first few of many."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _open_work(session: Session) -> tuple[int, int, datetime | None]:
    """Return how many chunks of running jobs wait and are held, and when the oldest of those jobs started."""
    # One state at a time: each has an index of its own.
    (queued, first), (claimed, second) = (
        _in_state(session, state) for state in (ChunkState.QUEUED, ChunkState.CLAIMED)
    )
    return queued, claimed, min(filter(None, (first, second)), default=None)


def _in_state(session: Session, state: ChunkState) -> tuple[int, datetime | None]:
    """Return how many chunks of running jobs are in a state, and when the oldest of those jobs started."""
    found, oldest = session.execute(
        select(func.count(), func.min(Job.started_at))
        .select_from(Chunk)
        .join(Job)
        .where(in_state(state), Job.state == JobState.RUNNING)
    ).one()
    return found, oldest
