"""Models that could not be loaded where they should be: why, since when, and how often that was tried.

A slot reports what fails there now; what it does not report any more has ended, one way or the other.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from db.registry import ServingModel
from db.tables import Activation, Model, SwapFailure, Worker
from db.upsert import upsert


@dataclass(frozen=True, kw_only=True)
class FailedSwap:
    """One slot's word about a model that it cannot load."""

    model_id: int
    generation: int | None
    """The activation that makes it serve; None for one that should stand beside the model that serves."""
    code: str
    """A stable code out of docs/errors.md."""
    message: str
    attempts: int
    at: datetime
    """Of the last attempt; aware."""


def report_failures(session: Session, worker: str, failures: Collection[FailedSwap], now: datetime) -> None:
    """Store what fails on a slot now, and that what it reported before and not now has ended.

    Args:
        session: a write session.
        worker: the slot's name.
        failures: one a model at most.
        now: aware time.
    """
    before = {row.model_id: row for row in session.scalars(select(SwapFailure).where(SwapFailure.worker == worker))}
    for failure in failures:
        row = before.get(failure.model_id)
        since = row.first_at if row is not None and row.ended_at is None else failure.at
        values = {
            "worker": worker,
            "model_id": failure.model_id,
            "generation": failure.generation,
            "code": failure.code,
            "message": failure.message,
            "attempts": failure.attempts,
            "first_at": since,
            "last_at": failure.at,
            "ended_at": None,
        }
        upsert(session, SwapFailure, ("worker", "model_id"), values)
    fails = {failure.model_id for failure in failures}
    ended = [row.model_id for row in before.values() if row.ended_at is None and row.model_id not in fails]
    if ended:
        session.execute(
            update(SwapFailure)
            .where(SwapFailure.worker == worker, SwapFailure.model_id.in_(ended))
            .values(ended_at=now)
            .execution_options(synchronize_session=False)
        )


def failures_of_model(session: Session, model_id: int) -> Sequence[SwapFailure]:
    """Return where a model could not be loaded, also if that has ended; the latest first."""
    query = select(SwapFailure).where(SwapFailure.model_id == model_id)
    return session.scalars(query.order_by(SwapFailure.last_at.desc(), SwapFailure.worker)).all()


def open_failures(session: Session, workers: Collection[str]) -> Sequence[SwapFailure]:
    """Return what fails now on these slots, by slot; of a model that should serve before one beside it."""
    query = select(SwapFailure).where(SwapFailure.ended_at.is_(None), SwapFailure.worker.in_(list(workers)))
    return session.scalars(query.order_by(SwapFailure.worker, SwapFailure.generation.desc().nulls_last())).all()


def failures_on_record(session: Session) -> Sequence[SwapFailure]:
    """Return what failed lately, ended or not, on the slots that did not stop; by slot and model."""
    query = select(SwapFailure).join(Worker, Worker.name == SwapFailure.worker).where(Worker.stopped_at.is_(None))
    return session.scalars(query.order_by(SwapFailure.worker, SwapFailure.model_id)).all()


def model_before(session: Session, serving: ServingModel) -> ServingModel | None:
    """Return what served last before a model; None when it is the first."""
    other = select(Activation.generation, Activation.model_id, Model.sha256, Activation.at).join(Model)
    row = session.execute(
        other.where(Activation.generation < serving.generation, Activation.model_id != serving.model_id)
        .order_by(Activation.generation.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return ServingModel(generation=row.generation, model_id=row.model_id, sha256=row.sha256, activated_at=row.at)


def forget_failures(session: Session, last_before: datetime) -> None:
    """Remove failures whose last attempt was before `last_before`: of slots that are gone, or long mended."""
    session.execute(delete(SwapFailure).where(SwapFailure.last_at < last_before))
