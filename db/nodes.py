"""Worker nodes as they report themselves: what each slot serves and when its work last went forward."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from db.tables import Worker
from db.upsert import upsert

SILENT_AFTER = timedelta(minutes=1)
"""Each slot reports every five seconds, whatever it does."""


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """One slot's word about itself."""

    name: str
    role: str
    """`identify`, `train` or `sweep`."""
    host: str
    pid: int
    device: str
    started_at: datetime
    generation: int | None = None
    model_id: int | None = None
    model_error: str | None = None
    serves_since: datetime | None = None
    beside_id: int | None = None
    variant: str | None = None
    """How the model that serves is run."""
    images_per_s: float | None = None
    """Measured when that was chosen."""
    tuning_cached: bool | None = None
    """Whether it was known when the model was loaded, and not measured then."""


def report_node(session: Session, report: NodeReport, now: datetime, *, advanced: bool) -> None:
    """Store a slot's report.

    Args:
        session: a write session.
        report: what it says.
        now: aware time.
        advanced: whether it finished a piece of work since its last report. Liveness is work going forward, not a
            process being there.
    """
    values = {**report.__dict__, "seen_at": now, "stopped_at": None}
    if advanced:
        values["advanced_at"] = now
    upsert(session, Worker, ("name",), values)


def report_stop(session: Session, name: str, now: datetime) -> None:
    """Note that a slot stopped on purpose."""
    session.execute(update(Worker).where(Worker.name == name).values(stopped_at=now))


def list_nodes(session: Session) -> list[Worker]:
    """Return all slots that did not stop, by name."""
    return list(session.scalars(select(Worker).where(Worker.stopped_at.is_(None)).order_by(Worker.name)))


def last_advance(session: Session, role: str) -> datetime | None:
    """Return when a slot of this role last finished a piece of work, whether it runs still or not."""
    return session.scalar(select(func.max(Worker.advanced_at)).where(Worker.role == role))


def is_silent(node: Worker, now: datetime) -> bool:
    """Whether a slot has not been heard of for so long that it is gone, or cut off."""
    return now - node.seen_at > SILENT_AFTER


def is_current(node: Worker, generation: int | None) -> bool | None:
    """Whether a slot serves the newest generation; None when there is none, and of what serves none."""
    if node.role != "identify" or generation is None:
        return None
    return node.generation == generation


def forget_nodes(session: Session, unseen_since: datetime) -> None:
    """Remove slots that were last seen before `unseen_since`."""
    session.execute(delete(Worker).where(Worker.seen_at < unseen_since))
