"""The model that stands beside the active one: it scores a share of the chunks too, or decides a share instead.

There is one at most, as each worker holds both. Without an active model there is nothing to stand beside.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import InputError
from core.records import ModelState
from db import audit
from db.ids import model_version
from db.model_states import check_change, check_not_refused, lock_model, state_at_rest
from db.registry import require_serving_model
from db.tables import Model


@dataclass(frozen=True, kw_only=True)
class BesideModel:
    """What workers load beside the active model."""

    model_id: int
    sha256: str
    shadow_share: float | None
    """Of the chunks, how many it scores beside the active model, above 0 to 1; None when it is a canary."""
    canary_share: float | None
    """Of the chunks, how many it decides instead of the active model, above 0 to 1; None when it is a shadow."""

    @property
    def version(self) -> str:
        """The version that people see."""
        return model_version(self.model_id)


def model_beside(session: Session) -> BesideModel | None:
    """Return the model that stands beside the active one, or None."""
    columns = (Model.id, Model.sha256, Model.shadow_share, Model.canary_share)
    row = session.execute(select(*columns).where(Model.state == ModelState.SHADOW).order_by(Model.id.desc())).first()
    if row is None:
        return None
    return BesideModel(model_id=row.id, sha256=row.sha256, shadow_share=row.shadow_share, canary_share=row.canary_share)


def set_shadow(session: Session, model: Model, share: float, *, who: str, now: datetime) -> None:
    """Let a model score a share of the chunks beside the active one. Whichever stood there before steps aside.

    Args:
        session: a write session.
        model: a candidate, or one that served before.
        share: above 0, up to 1.
        who: for the audit trail.
        now: aware time.

    Raises:
        InputError: the share is none.
        ModelStateError: the model serves, or was rejected.
        NoActiveModelError: none is active.
    """
    _set(session, model, shadow_share=share, canary_share=None, who=who, now=now)


def set_canary(session: Session, model: Model, share: float, *, who: str, now: datetime) -> None:
    """Let a model decide a share of the chunks instead of the active one. Whichever stood there before steps aside.

    Args and Raises: as of `set_shadow`; one that the gate refused must not decide either.
    """
    check_not_refused(model)
    _set(session, model, shadow_share=None, canary_share=share, who=who, now=now)


def clear(session: Session, *, who: str, now: datetime) -> str | None:
    """Take away the model that stands beside the active one; return its version, or None when none does."""
    found = session.scalars(select(Model).where(Model.state == ModelState.SHADOW)).first()
    if found is None:
        return None
    lock_model(session, found)
    if found.state != ModelState.SHADOW:
        return None
    _step_aside(session, found, who, now)
    return model_version(found.id)


def _set(
    session: Session, model: Model, *, shadow_share: float | None, canary_share: float | None, who: str, now: datetime
) -> None:
    share = shadow_share if canary_share is None else canary_share
    if share is None or not 0 < share <= 1:
        raise InputError(f"A share of {share} is none. Nothing was changed. Give one above 0 and up to 1.")
    lock_model(session, model)
    require_serving_model(session)
    check_change(model, ModelState.SHADOW)
    others = select(Model).where(Model.state == ModelState.SHADOW, Model.id != model.id)
    for other in session.scalars(others.execution_options(populate_existing=True)):
        _step_aside(session, other, who, now)
    model.state, model.shadow_share, model.canary_share = ModelState.SHADOW, shadow_share, canary_share
    action = "model.canary" if shadow_share is None else "model.shadow"
    audit.record(session, who=who, action=action, subject=model_version(model.id), now=now, share=share)


def _step_aside(session: Session, model: Model, who: str, now: datetime) -> None:
    model.state = state_at_rest(session, model)
    model.shadow_share = model.canary_share = None
    audit.record(session, who=who, action="model.clear", subject=model_version(model.id), now=now)
