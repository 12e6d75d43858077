"""The model registry: which artifacts may be loaded, and which one serves.

Activation is a compare-and-set on the generation number: the row of generation N+1 is inserted by whoever saw N, and
its primary key lets only one of two do so.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, or_, select, update
from sqlalchemy.orm import Session

from core.errors import ActivationConflictError, NoActiveModelError, UnknownIdError
from core.records import ModelState
from db import audit
from db.ids import model_version
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
    session: Session, *, sha256: str, manifest: dict[str, Any], run_id: int | None, parent_id: int | None, now: datetime
) -> Model:
    """Register an artifact that lies in the store; registered twice it is one model.

    Args:
        session: a write session.
        sha256: of the artifact file.
        manifest: the artifact's manifest as JSON.
        run_id: the training run it came from.
        parent_id: the model that served when it was trained.
        now: aware time.
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


def activate_model(session: Session, model: Model, *, who: str, why: str, now: datetime) -> int:
    """Make a model the one that serves; return its generation.

    Raises:
        ActivationConflictError: another activation came first; the caller's transaction must not be committed.
    """
    before = serving_model(session)
    generation = before.generation + 1 if before else 1
    activation = {"generation": generation, "model_id": model.id, "who": who, "why": why, "at": now}
    if not insert_if_absent(session, Activation, activation):
        raise ActivationConflictError(
            f"Another activation came first; {model_version(model.id)} was not activated. "
            f"Look at `facefleet model list` and try again."
        )
    session.execute(
        update(Model)
        .where(or_(Model.state == ModelState.ACTIVE, Model.id == model.id))
        .values(state=case((Model.id == model.id, ModelState.ACTIVE), else_=ModelState.RETIRED))
        .execution_options(synchronize_session=False)
    )
    session.refresh(model)
    audit.record(
        session,
        who=who,
        action="model.activate",
        subject=model_version(model.id),
        now=now,
        generation=generation,
        before=before.version if before else None,
        why=why,
    )
    return generation


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


def list_activations(session: Session, model_id: int | None = None) -> list[Activation]:
    """Return the history of what served, newest first; of one model when given."""
    query = select(Activation).order_by(Activation.generation.desc())
    return list(session.scalars(query if model_id is None else query.where(Activation.model_id == model_id)))


def referenced_artifacts(session: Session) -> set[str]:
    """Return the sha256 of every registered artifact; the store may drop the others."""
    return set(session.scalars(select(Model.sha256)))
