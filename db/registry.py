"""The model registry: which artifacts may be loaded, and which one serves.

Activation is a compare-and-set on the generation number: the row of generation N+1 is inserted by whoever saw N, and
its primary key lets only one of two do so.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.orm import Session

from core.errors import ActivationConflictError, NoActiveModelError, UnknownIdError
from core.records import ModelState
from db import audit
from db.ids import model_version
from db.model_states import check_change, check_not_refused, lock_model, why_refused
from db.tables import Activation, Model
from db.upsert import insert_if_absent


@dataclass(frozen=True, kw_only=True)
class ServingModel:
    """What should be serving now."""

    generation: int
    model_id: int
    sha256: str
    activated_at: datetime
    """Since when."""

    @property
    def version(self) -> str:
        """The version that people see."""
        return model_version(self.model_id)


def register_model(
    session: Session,
    *,
    sha256: str,
    manifest: dict[str, Any],
    run_id: int | None,
    parent_id: int | None,
    now: datetime,
    gate: dict[str, Any] | None = None,
) -> Model:
    """Register an artifact that lies in the store; registered twice it is one model.

    Args:
        session: a write session.
        sha256: of the artifact file.
        manifest: the artifact's manifest as JSON.
        run_id: the training run it came from.
        parent_id: the model that served when it was trained.
        now: aware time.
        gate: how it compared with the model that served: `passed`, `reason` and the figures (workers/judge.py).
    """
    values = {
        "sha256": sha256,
        "state": ModelState.CANDIDATE,
        "backbone": manifest["backbone"],
        "recipe": manifest["recipe"],
        "manifest": manifest,
        "threshold": (manifest.get("rule") or {}).get("threshold"),
        "run_id": run_id,
        "parent_id": parent_id,
        "gate": gate,
        "created_at": now,
    }
    insert_if_absent(session, Model, values)
    return session.scalars(select(Model).where(Model.sha256 == sha256)).one()


def serving_model(session: Session) -> ServingModel | None:
    """Return the model of the newest generation, or None before the first activation."""
    newest = (
        select(Activation.generation, Activation.model_id, Model.sha256, Activation.at)
        .join(Model, Model.id == Activation.model_id)
        .order_by(Activation.generation.desc())
        .limit(1)
    )
    row = session.execute(newest).one_or_none()
    if row is None:
        return None
    return ServingModel(generation=row.generation, model_id=row.model_id, sha256=row.sha256, activated_at=row.at)


def require_serving_model(session: Session) -> ServingModel:
    """Return the model that should be serving.

    Raises:
        NoActiveModelError: none was ever activated.
    """
    serving = serving_model(session)
    if serving is None:
        raise NoActiveModelError(
            "No model is active yet. Nothing was changed. Import labelled photos with `facefleet people import DIR`, "
            "then train a model with `facefleet retrain --wait`."
        )
    return serving


def activate_model(
    session: Session,
    model: Model,
    *,
    who: str,
    why: str,
    now: datetime,
    expected: int | None = None,
    restores: int | None = None,
    override: bool = False,
) -> int:
    """Make a model the one that serves; return its generation.

    Args:
        session: a write session.
        model: a registered model whose artifact lies in the store.
        who: for the history.
        why: for the history.
        now: aware time.
        expected: the generation that the caller decided on, 0 for none; None for whichever is the newest now.
        restores: the generation that this one goes back to.
        override: also when the gate or a person rejected the model.

    Raises:
        ActivationConflictError: another activation came first; the caller's transaction must not be committed.
        ModelStateError: the model was rejected, and nobody insists.
    """
    seen = current_generation(session) if expected is None else expected
    require_generation(session, model, seen)
    before = serving_model(session)
    generation = seen + 1
    activation = {"generation": generation, "model_id": model.id, "who": who, "why": why, "at": now}
    if not insert_if_absent(session, Activation, {**activation, "restores": restores}):
        raise _conflict(model)
    check_change(model, ModelState.ACTIVE)
    refused = why_refused(model)
    if not override:
        check_not_refused(model)
    _make_active(session, model)
    audit.record(
        session,
        who=who,
        action="model.activate",
        subject=model_version(model.id),
        now=now,
        generation=generation,
        before=before.version if before else None,
        why=why,
        **({"overrides": refused} if refused else {}),
    )
    return generation


def require_generation(session: Session, model: Model, generation: int) -> None:
    """Make sure that nothing was activated since somebody decided about a model, and nothing is until the end.

    Raises:
        ActivationConflictError: something was; the caller's transaction must not be committed.
    """
    lock_model(session, model)
    if current_generation(session) != generation:
        raise _conflict(model)


def _conflict(model: Model) -> ActivationConflictError:
    return ActivationConflictError(
        f"Another activation came first; {model_version(model.id)} was not activated. "
        f"Look at `facefleet model list` and try again."
    )


def _make_active(session: Session, model: Model) -> None:
    """Give the model its new state, and the one that served before; another that stands beside stays there."""
    session.execute(
        update(Model)
        .where(or_(Model.state == ModelState.ACTIVE, Model.id == model.id))
        .values(
            state=case((Model.id == model.id, ModelState.ACTIVE), else_=ModelState.RETIRED),
            shadow_share=None,
            canary_share=None,
            rejected_why=None,
        )
        .execution_options(synchronize_session=False)
    )
    session.refresh(model)


def current_generation(session: Session) -> int:
    """Return the number of the newest activation; 0 before the first."""
    return session.scalar(select(func.max(Activation.generation))) or 0


def reject_model(session: Session, model: Model, *, who: str, why: str, now: datetime) -> None:
    """Say of a model that it must not serve; the one that serves cannot be rejected.

    Raises:
        ModelStateError: it serves, or was rejected before.
    """
    lock_model(session, model)
    check_change(model, ModelState.REJECTED)
    model.state, model.rejected_why, model.shadow_share, model.canary_share = ModelState.REJECTED, why, None, None
    audit.record(session, who=who, action="model.reject", subject=model_version(model.id), now=now, why=why)


def get_model(session: Session, version: str) -> Model:
    """Return the model of a version such as `v7`.

    Raises:
        UnknownIdError: there is none.
    """
    digits = version.removeprefix("v")
    model = session.get(Model, int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None
    if model is None:
        raise UnknownIdError(f"No model has the version {version!r}. List the models: `facefleet model list`.")
    return model


def list_models(session: Session) -> list[Model]:
    """Return all models, newest first."""
    return list(session.scalars(select(Model).order_by(Model.id.desc())))


def model_of_run(session: Session, run_id: int) -> Model | None:
    """Return the model that a training run gave; None when it gave none."""
    return session.scalar(select(Model).where(Model.run_id == run_id))


def list_activations(session: Session, model_id: int | None = None, limit: int | None = None) -> list[Activation]:
    """Return the history of what served, newest first; of one model when given, and no more than `limit`."""
    query = select(Activation).order_by(Activation.generation.desc()).limit(limit)
    return list(session.scalars(query if model_id is None else query.where(Activation.model_id == model_id)))


def referenced_artifacts(session: Session) -> set[str]:
    """Return the sha256 of every registered artifact; the store may drop the others."""
    return set(session.scalars(select(Model.sha256)))
