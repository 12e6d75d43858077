"""`facefleet model activate`, `rollback` and `reject`: which model serves, as a person says."""

from typing import TYPE_CHECKING

import click

from core.clock import utc_now
from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.output import write_json

if TYPE_CHECKING:
    from db.engine import Database
    from db.registry import ServingModel
    from db.tables import Model

_WHY = "Why, for the history."


@command("activate", example='facefleet model activate v3\nfacefleet model activate v4 --force --why "the twins"')
@click.argument("version", metavar="V")
@click.option("--why", metavar="TEXT", help=_WHY, show_default="activated by hand")
@click.option("--force", is_flag=True, help="Also a model that the gate or a person rejected.")
def activate(invocation: Invocation, version: str, why: str | None, force: bool) -> None:
    """Make a model the one that serves.

    Its file is read and compared with what was registered first. Workers load it within seconds, and go on with the one
    before until it has proved itself. When another model is activated in the same moment, one of the two is refused.
    """
    from db.model_states import check_not_refused
    from db.registry import get_model, serving_model

    settings = Settings.from_env()
    invocation.on_interrupt = "No model was activated."
    with open_database(settings) as database:
        with database.read() as session:
            model, serving = get_model(session, version), serving_model(session)
        if serving is not None and serving.model_id == model.id:
            return _tell(invocation, serving.version, serving.generation, serving, activated=False)
        if not force:
            check_not_refused(model)
        generation = _activate(database, settings, model, serving, why=why or "activated by hand", force=force)
    return _tell(invocation, _version(model), generation, serving)


@command("rollback", example='facefleet model rollback\nfacefleet model rollback --why "names the twins wrong" --json')
@click.option("--why", metavar="TEXT", help=_WHY)
def rollback(invocation: Invocation, why: str | None) -> None:
    """Go back to the model that served before; once more, to the one before that.

    A rollback is never taken back by the next one: it goes on from where the first one arrived. Models that were
    rejected since are passed over.
    """
    from db.registry import require_serving_model
    from db.rollback import find_rollback

    settings = Settings.from_env()
    invocation.on_interrupt = "No model was activated."
    with open_database(settings) as database:
        with database.read() as session:
            serving, step = require_serving_model(session), find_rollback(session)
        reason = f"rolled back from {serving.version}" + (f": {why}" if why else "")
        generation = _activate(database, settings, step.model, serving, why=reason, restores=step.restores)
    _tell(invocation, _version(step.model), generation, serving)


@command("reject", example='facefleet model reject v4 --why "names the twins wrong"')
@click.argument("version", metavar="V")
@click.option("--why", required=True, metavar="TEXT", help=_WHY)
def reject(invocation: Invocation, version: str, why: str) -> None:
    """Say of a model that it must not serve.

    It cannot be activated any more unless somebody insists, and a rollback passes it over. The model that serves cannot
    be rejected; activate another one first.
    """
    from db.registry import get_model, reject_model

    with open_database(Settings.from_env()) as database, database.write() as session:
        model = get_model(session, version)
        reject_model(session, model, who=current_user(), why=why, now=utc_now())
    if invocation.as_json:
        write_json({"model": _version(model), "state": model.state, "why": why})
    else:
        click.echo(f"{_version(model)} is rejected: {why}")


def _activate(
    database: "Database",
    settings: Settings,
    model: "Model",
    serving: "ServingModel | None",
    *,
    why: str,
    restores: int | None = None,
    force: bool = False,
) -> int:
    """Check a model's file and activate it; return the generation.

    Raises:
        ArtifactMissingError: its file is not in the store; nothing was changed.
        ArtifactCorruptError: its file is not what was registered; nothing was changed.
        ActivationConflictError: another model was activated meanwhile.
    """
    from core.models.store import ModelStore
    from db.registry import activate_model
    from db.tables import Model as ModelRow

    ModelStore.from_settings(settings).verify(model.sha256)
    with database.write() as session:
        return activate_model(
            session,
            session.get_one(ModelRow, model.id),
            who=current_user(),
            why=why,
            now=utc_now(),
            expected=serving.generation if serving else 0,
            restores=restores,
            override=force,
        )


def _tell(
    invocation: Invocation, version: str, generation: int, before: "ServingModel | None", *, activated: bool = True
) -> None:
    if invocation.as_json:
        previous = before.version if before and activated else None
        write_json({"model": version, "generation": generation, "activated": activated, "before": previous})
    elif not activated:
        click.echo(f"{version} serves already (generation {generation}); nothing was changed.")
    else:
        instead = f" instead of {before.version}" if before else ""
        click.echo(f"{version} serves{instead} (generation {generation}). Workers change over within seconds.")


def _version(model: "Model") -> str:
    from db.ids import model_version

    return model_version(model.id)
