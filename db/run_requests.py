"""Asking for training runs: requests for the same fall together, and what was labelled since is known."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.records import RunState
from db import audit
from db.locks import take_turn
from db.runs import create_run, get_run, request_cancel
from db.tables import Label, Run

WHO = "who"
"""The option that says who asked; all others decide what is trained."""
AUTOMATIC = "facefleet"
"""Who asks for the runs that nobody asked for."""
_LOCK = 0x66616365_72756E73


def request_run(session: Session, *, recipe: str, options: dict[str, Any], now: datetime) -> tuple[Run, bool]:
    """Queue a run, unless the same one is queued already: it will read the labels that stand when it begins.

    Args:
        session: a write session.
        recipe: how to train.
        options: JSON; `who` says who asks.
        now: aware time.

    Returns:
        The run, and whether it was there before.
    """
    take_turn(session, _LOCK)
    queued = select(Run).where(Run.state == RunState.QUEUED, Run.attempts == 0, Run.recipe == recipe).order_by(Run.id)
    for run in session.scalars(queued.with_for_update()):
        if not run.cancel_requested and _decisive(run.options) == _decisive(options):
            return run, True
    return create_run(session, recipe=recipe, options=options, now=now), False


def cancel_run(session: Session, public_id: str, who: str, now: datetime) -> tuple[Run, bool]:
    """Cancel a run for a person; return it, and whether that changed anything.

    Raises:
        UnknownIdError: there is no such run.
    """
    was = get_run(session, public_id)
    asked_before = was.cancel_requested
    run = request_cancel(session, public_id, now)
    changed = (run.state == RunState.RUNNING and not asked_before) or run.finished_at == now
    if changed:
        audit.record(session, who=who, action="run.cancel", subject=public_id, now=now)
    return run, changed


def first_queued(session: Session) -> int | None:
    """Return the run that has waited longest; None when none waits."""
    return session.scalar(select(Run.id).where(Run.state == RunState.QUEUED).order_by(Run.id).limit(1))


def list_runs(session: Session, limit: int) -> list[Run]:
    """Return runs, newest first."""
    return list(session.scalars(select(Run).order_by(Run.id.desc()).limit(limit)))


def newest_run(session: Session) -> Run | None:
    """Return the run that was asked for last."""
    return session.scalar(select(Run).order_by(Run.id.desc()).limit(1))


def labelled_since(session: Session, when: datetime, labels: int) -> bool:
    """Say whether so many labels or more were given since then; to take one back is to give one.

    Args:
        session: a session.
        when: aware time.
        labels: >= 1.
    """
    nth_newest = select(Label.created_at).order_by(Label.id.desc()).offset(labels - 1).limit(1)
    given = session.scalar(nth_newest)
    return given is not None and given > when


def newest_success(session: Session) -> Run | None:
    """Return the newest run that gave a model."""
    return session.scalar(select(Run).where(Run.state == RunState.SUCCEEDED).order_by(Run.id.desc()).limit(1))


def _decisive(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != WHO}
