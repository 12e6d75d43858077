"""The states of a model: which change follows on which, and the lock under which they change."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import ModelStateError
from core.records import ModelState
from db.ids import model_version
from db.tables import Activation, Model

CANDIDATE, SHADOW, ACTIVE, RETIRED, REJECTED = ModelState

CHANGES: dict[ModelState, frozenset[ModelState]] = {
    CANDIDATE: frozenset({SHADOW, ACTIVE, REJECTED}),
    SHADOW: frozenset({SHADOW, CANDIDATE, ACTIVE, RETIRED, REJECTED}),  # back to what it was, if it is taken away
    ACTIVE: frozenset({ACTIVE, RETIRED}),  # only another model ends its service
    RETIRED: frozenset({SHADOW, ACTIVE, REJECTED}),
    REJECTED: frozenset({ACTIVE}),  # by somebody who says so
}
"""What a model in each state may become. A change of the share beside the active model is one to the same state."""


def lock_model(session: Session, model: Model) -> None:
    """Wait for whoever changes the states of models, keep others from it until the end of the transaction, and read it.

    Args:
        session: a write session.
        model: refreshed under the lock.
    """
    # The first model's row, which stays, is the lock: shadows and activations take each other's states away.
    session.execute(select(Model.id).order_by(Model.id).limit(1).with_for_update()).one()
    session.refresh(model)


def check_change(model: Model, to: ModelState) -> None:
    """Make sure that a model may go from its state to another one.

    Raises:
        ModelStateError: it may not.
    """
    if to in CHANGES[ModelState(model.state)]:
        return
    remedy = {
        ACTIVE: "Activate another model first: facefleet model activate V",
        REJECTED: "To use it all the same, activate it with --force.",
    }
    raise ModelStateError(
        f"{model_version(model.id)} is {model.state} and cannot become {to}. Nothing was changed. "
        f"{remedy.get(ModelState(model.state), 'Look at it: facefleet model show ' + model_version(model.id))}"
    )


def why_refused(model: Model) -> str | None:
    """Return why a model must not serve unless somebody insists; None where nothing speaks against it.

    That a person rejected it, or the gate: also of one that was left a candidate as asked. One that served may again.
    """
    if model.state == REJECTED:
        return model.rejected_why or "it was rejected"
    if model.state in {CANDIDATE, SHADOW} and model.gate is not None and not model.gate["passed"]:
        return str(model.gate["reason"])
    return None


def check_not_refused(model: Model) -> None:
    """Make sure that nothing speaks against a model's service.

    Raises:
        ModelStateError: the gate or a person rejected it.
    """
    refused, version = why_refused(model), model_version(model.id)
    if refused is not None:
        raise ModelStateError(
            f"{version} was rejected: {refused.rstrip('.')}. Nothing was changed. To let it serve all the same: "
            f"facefleet model activate {version} --force"
        )


def state_at_rest(session: Session, model: Model) -> ModelState:
    """Return the state of a model that stands aside and was not rejected: whether it served once decides."""
    served = session.scalar(select(Activation.generation).where(Activation.model_id == model.id).limit(1))
    return CANDIDATE if served is None else RETIRED
