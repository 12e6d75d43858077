"""Training runs: queued, leased to one trainer, followed epoch by epoch, ended once."""

import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from core.errors import LeaseLostError, UnknownIdError
from core.records import EpochProgress, RunState
from db.ids import insert_with_public_id
from db.locks import take_turn
from db.tables import Run, RunEpoch
from db.upsert import upsert

# A run that was claimed this often and never ended is given up: it kills its trainer.
MAX_ATTEMPTS = 3
_LOCK = 0x66616365_636C6D72
"""Two trainers that claim two runs in the same moment would both find that none is on."""


@dataclass(frozen=True, kw_only=True)
class RunLease:
    """A trainer's right to one run."""

    run_id: int
    public_id: str
    recipe: str
    options: dict[str, Any]
    attempt: int
    """From 1; above 1 the run resumes from its last checkpoint."""
    token: str


def create_run(session: Session, *, recipe: str, options: dict[str, Any], now: datetime) -> Run:
    """Insert a queued run. `options` must be JSON."""
    run = Run(recipe=recipe, options=options, state=RunState.QUEUED, created_at=now)
    insert_with_public_id(session, run, "r", now)
    return run


def claim_run(session: Session, run_id: int, worker: str, now: datetime, lease_s: float) -> RunLease | None:
    """Take a run that is queued, or whose lease ran out; None when it is not to be had, or while another run is on.

    One run is on at a time: the next is to be judged against what this one gives, on labels that are read after it.
    """
    take_turn(session, _LOCK)
    token = secrets.token_hex(16)
    other = aliased(Run)
    another_is_on = exists().where(other.state == RunState.RUNNING, other.lease_until >= now, other.id != run_id)
    claimable = or_(Run.state == RunState.QUEUED, and_(Run.state == RunState.RUNNING, Run.lease_until < now))
    claimed = session.execute(
        update(Run)
        .where(
            Run.id == run_id,
            claimable,
            Run.attempts < MAX_ATTEMPTS,
            Run.cancel_requested.is_(False),
            ~another_is_on,
        )
        .values(
            state=RunState.RUNNING,
            attempts=Run.attempts + 1,
            lease_token=token,
            lease_until=now + timedelta(seconds=lease_s),
            worker=worker,
            started_at=func.coalesce(Run.started_at, now),
        )
        .returning(Run.public_id, Run.recipe, Run.options, Run.attempts)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if claimed is None:
        return None
    return RunLease(
        run_id=run_id,
        public_id=claimed.public_id,
        recipe=claimed.recipe,
        options=claimed.options,
        attempt=claimed.attempts,
        token=token,
    )


def heartbeat(session: Session, lease: RunLease, now: datetime, lease_s: float) -> bool:
    """Keep the run for `lease_s` more seconds; return whether somebody asked to cancel it.

    Raises:
        LeaseLostError: another trainer owns the run.
    """
    cancel = session.scalar(
        update(Run)
        .where(*_held(lease))
        .values(lease_until=now + timedelta(seconds=lease_s))
        .returning(Run.cancel_requested)
        .execution_options(synchronize_session=False)
    )
    if cancel is None:
        raise _lost(lease)
    return cancel


def set_stage(session: Session, lease: RunLease, stage: str, **known: Any) -> None:
    """Say what the run does now, and what is known of it by then: its `dataset_digest`, its `environment`, a `reason`.

    Raises:
        LeaseLostError: another trainer owns the run.
    """
    _update_held(session, lease, {"stage": stage, **known})


def record_epoch(session: Session, lease: RunLease, progress: EpochProgress) -> None:
    """Store one epoch's figures; an epoch repeated after a crash replaces its row.

    Raises:
        LeaseLostError: another trainer owns the run.
    """
    if session.scalar(select(Run.id).where(*_held(lease)).with_for_update()) is None:
        raise _lost(lease)
    upsert(session, RunEpoch, ("run_id", "epoch"), {"run_id": lease.run_id, **asdict(progress)})


def finish_run(
    session: Session, lease: RunLease, state: RunState, *, now: datetime, reason: str | None, activated: bool = False
) -> None:
    """End a run.

    Raises:
        LeaseLostError: another trainer owns the run; the caller's transaction must not be committed.
    """
    ended = {"state": state, "reason": reason, "activated": activated, "finished_at": now, "stage": None}
    _update_held(session, lease, {**ended, "lease_token": None, "lease_until": None})


def release_run(session: Session, lease: RunLease) -> None:
    """Give a run back because the trainer stops; it resumes from its last checkpoint. The attempt is not counted."""
    session.execute(
        update(Run)
        .where(*_held(lease))
        .values(
            state=RunState.QUEUED,
            attempts=Run.attempts - 1,
            lease_token=None,
            lease_until=None,
            rung_at=None,
            stage=None,
        )
        .execution_options(synchronize_session=False)
    )


def expire_lease(session: Session, lease: RunLease, now: datetime) -> None:
    """Let a lease run out now: the attempt failed and counts. Without the lease nothing happens."""
    session.execute(
        update(Run)
        .where(*_held(lease))
        .values(lease_until=now - timedelta(seconds=1))
        .execution_options(synchronize_session=False)
    )


def request_cancel(session: Session, public_id: str, now: datetime) -> Run:
    """Ask a run to stop; one that no trainer holds is cancelled at once.

    Raises:
        UnknownIdError: there is no such run.
    """
    run = get_run(session, public_id)
    session.refresh(run, with_for_update=True)  # a trainer may be claiming or ending it in this moment
    if run.state == RunState.QUEUED:
        run.state, run.finished_at, run.reason = RunState.CANCELLED, now, "cancelled before it started"
    elif run.state == RunState.RUNNING:
        run.cancel_requested = True
    return run


def reclaim_expired(session: Session, now: datetime) -> int:
    """Queue runs again whose trainer vanished, or give them up; return how many were found.

    A run that its trainer gave back after somebody asked to cancel it is ended here too.
    """
    vanished = and_(Run.state == RunState.RUNNING, Run.lease_until < now)
    given_back = and_(Run.state == RunState.QUEUED, Run.cancel_requested)
    expired = session.scalars(
        select(Run).where(or_(vanished, given_back)).order_by(Run.id).with_for_update(skip_locked=True)
    ).all()
    for run in expired:
        _take_back(run, now)
    return len(expired)


def reclaim_from(session: Session, worker: str, now: datetime) -> int:
    """Take back at once the run of a process that is known to be dead; return how many there were.

    Args:
        session: a write session.
        worker: as it claimed: with its process id, which no living process shares.
        now: aware time.
    """
    return _take_all_back(session, Run.worker == worker, now)


def reclaim_from_node(session: Session, node: str, now: datetime) -> int:
    """Take back at once the run of a trainer node that is known to be dead; return how many there were."""
    return _take_all_back(session, Run.worker.startswith(f"{node}/", autoescape=True), now)


def _take_all_back(session: Session, of: ColumnElement[bool], now: datetime) -> int:
    held = select(Run).where(Run.state == RunState.RUNNING, of).with_for_update(skip_locked=True)
    found = session.scalars(held).all()
    for run in found:
        _take_back(run, now)
    return len(found)


def _take_back(run: Run, now: datetime) -> None:
    """Queue or end a run whose attempt came to nothing."""
    run.lease_token = run.lease_until = run.worker = run.rung_at = run.stage = None
    if run.cancel_requested:
        run.state, run.finished_at, run.reason = RunState.CANCELLED, now, "cancelled"
    elif run.attempts < MAX_ATTEMPTS:
        run.state = RunState.QUEUED
    else:
        run.state, run.finished_at = RunState.FAILED, now
        run.reason = f"The trainer vanished {run.attempts} times during this run. The active model goes on serving."


def end_leases_from_the_future(session: Session, now: datetime, lease_s: float) -> None:
    """Let leases run out that were given by a clock far ahead of this one: one of the two has been set since."""
    later = and_(Run.state == RunState.RUNNING, Run.lease_until > now + 2 * timedelta(seconds=lease_s))
    ended = {"lease_until": now - timedelta(seconds=1)}
    session.execute(update(Run).where(later).values(ended).execution_options(synchronize_session=False))


def find_to_ring(session: Session, rung_before: datetime) -> list[int]:
    """Return queued runs that were not rung since `rung_before`, oldest first."""
    due = or_(Run.rung_at.is_(None), Run.rung_at < rung_before)
    return list(session.scalars(select(Run.id).where(Run.state == RunState.QUEUED, due).order_by(Run.id)))


def oldest_in_progress(session: Session) -> datetime | None:
    """Return when the oldest run that has begun and not ended was started; None when there is none."""
    open_states = Run.state.in_([RunState.QUEUED, RunState.RUNNING])
    return session.scalar(select(func.min(Run.started_at)).where(open_states))


def mark_rung(session: Session, run_id: int, now: datetime) -> None:
    """Note that a doorbell was published for a run."""
    session.execute(update(Run).where(Run.id == run_id).values(rung_at=now))


def get_run(session: Session, public_id: str) -> Run:
    """Return the run of that id.

    Raises:
        UnknownIdError: there is none.
    """
    run = session.scalar(select(Run).where(Run.public_id == public_id))
    if run is None:
        raise UnknownIdError(f"No training run has the id {public_id!r}.")
    return run


def list_epochs(session: Session, run_id: int, after: int = 0) -> list[RunEpoch]:
    """Return a run's epochs after the given one, in order."""
    query = select(RunEpoch).where(RunEpoch.run_id == run_id, RunEpoch.epoch > after).order_by(RunEpoch.epoch)
    return list(session.scalars(query))


def _update_held(session: Session, lease: RunLease, values: dict[str, Any]) -> None:
    updated = session.execute(
        update(Run).where(*_held(lease)).values(values).execution_options(synchronize_session=False)
    )
    if updated.rowcount != 1:  # type: ignore[attr-defined]
        raise _lost(lease)


def _held(lease: RunLease) -> tuple[ColumnElement[bool], ...]:
    """What is true of a run while this lease holds."""
    return (Run.id == lease.run_id, Run.state == RunState.RUNNING, Run.lease_token == lease.token)


def _lost(lease: RunLease) -> LeaseLostError:
    return LeaseLostError(f"The lease on run {lease.public_id} was lost; nothing of it is written.")
