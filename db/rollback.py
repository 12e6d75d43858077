"""What a rollback goes back to: the model that served before, and with the next one the model before that."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import NothingToUndoError
from core.records import ModelState
from db.registry import require_serving_model
from db.tables import Activation, Model


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """A step back."""

    model: Model
    """What served before."""
    restores: int
    """The generation that made it serve, which was no rollback itself."""
    seen: int
    """The generation that serves, which the step was decided on."""


def find_rollback(session: Session) -> Rollback:
    """Return the step back from what serves now.

    A rollback stands for the generation that it restored. The next one goes on from there, so that it never brings back
    what was just taken away. Models that were rejected since are passed over, and the one that serves.

    Raises:
        NoActiveModelError: none was ever activated.
        NothingToUndoError: nothing else served before that may serve again.
    """
    serving = require_serving_model(session)
    rows = {row.generation: row for row in session.scalars(select(Activation))}
    rejected = set(session.scalars(select(Model.id).where(Model.state == ModelState.REJECTED)))
    at = _stands_for(rows[serving.generation]) - 1
    while at in rows:
        row = rows[at]
        if row.model_id != serving.model_id and row.model_id not in rejected:
            model = session.get_one(Model, row.model_id)
            return Rollback(model=model, restores=_stands_for(row), seen=serving.generation)
        at = _stands_for(row) - 1
    raise NothingToUndoError(
        f"Nothing served before {serving.version} that may serve again, so there is nothing to go back to. Nothing was "
        "changed. See what served: facefleet model history"
    )


def _stands_for(row: Activation) -> int:
    return row.generation if row.restores is None else row.restores
