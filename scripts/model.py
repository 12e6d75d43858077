"""`facefleet model`: the model versions, what they are and when they served."""

from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.documents import model_summary
from scripts.model_activate import activate, reject, rollback
from scripts.model_diff import diff
from scripts.model_files import export, prune
from scripts.model_report import print_history, print_model, print_models
from scripts.output import make_console, write_json

if TYPE_CHECKING:
    from db.tables import Activation


@click.group()
def model() -> None:
    """Look at the model versions, say which one serves, and go back."""


for _command in (activate, rollback, reject, diff, export, prune):
    model.add_command(_command)


@command("list", group=model, example="facefleet model list")
def list_(invocation: Invocation) -> None:
    """List the models, newest first."""
    from db.registry import list_models, serving_model

    with open_database(Settings.from_env()) as database, database.read() as session:
        models = list_models(session)
        serving = serving_model(session)
    if invocation.as_json:
        generations = {serving.model_id: serving.generation} if serving else {}
        write_json({"models": [model_summary(each, generations.get(each.id)) for each in models]})
    elif models:
        print_models(make_console(), models)
    else:
        click.echo("There is no model yet. Train one: facefleet retrain --wait")


@command("show", group=model, example="facefleet model show v1")
@click.argument("version", metavar="V")
def show(invocation: Invocation, version: str) -> None:
    """Show a model: whom it knows, how good it was, when it names somebody, when it served."""
    from db.registry import get_model, list_activations, serving_model

    with open_database(Settings.from_env()) as database, database.read() as session:
        found = get_model(session, version)
        history = list_activations(session, found.id)
        serving = serving_model(session)
    if not invocation.as_json:
        return print_model(make_console(), found, history)
    generation = serving.generation if serving and serving.model_id == found.id else None
    summary = {**model_summary(found, generation), "gate": found.gate, "manifest": found.manifest}
    return write_json({**summary, "activations": [_activation(each) for each in history]})


@command("history", group=model, example="facefleet model history\nfacefleet model history --limit 5 --json")
@click.option("--limit", type=click.IntRange(1), default=50, metavar="N", help="How many are shown, newest first.")
def history_(invocation: Invocation, limit: int) -> None:
    """Show which models served, since when, who said so, and why."""
    from db.registry import list_activations

    with open_database(Settings.from_env()) as database, database.read() as session:
        history = list_activations(session, limit=limit)
    if invocation.as_json:
        write_json({"activations": [_activation(each) for each in history]})
    elif history:
        print_history(make_console(), history)
    else:
        click.echo("No model has served yet. Train one: facefleet retrain --wait")


def _activation(activation: "Activation") -> dict[str, Any]:
    from db.ids import model_version

    return {
        "generation": activation.generation,
        "model": model_version(activation.model_id),
        "restores": activation.restores,
        "at": activation.at.isoformat(),
        "who": activation.who,
        "why": activation.why,
    }
