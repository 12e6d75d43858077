"""`facefleet model`: the model versions, what they are and when they served."""

from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.documents import model_summary
from scripts.model_diff import diff
from scripts.model_report import print_model, print_models
from scripts.output import make_console, write_json

if TYPE_CHECKING:
    from db.tables import Activation


@click.group()
def model() -> None:
    """Look at the model versions and their history."""


model.add_command(diff)


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
    summary = {**model_summary(found, generation), "manifest": found.manifest}
    return write_json({**summary, "activations": [_activation(each) for each in history]})


def _activation(activation: "Activation") -> dict[str, Any]:
    return {
        "generation": activation.generation,
        "at": activation.at.isoformat(),
        "who": activation.who,
        "why": activation.why,
    }
