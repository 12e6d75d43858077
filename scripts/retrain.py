"""`facefleet retrain`: queues a training run and, if wanted, follows it to its end."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.errors import RedisUnreachableError
from core.faces.rule import DEFAULT_FPIR
from core.records import FacesMode, RunState
from core.settings import Settings
from core.weights.store import WeightsStore
from scripts.choices import FPIR
from scripts.common import Invocation, command, current_user, find_doorbell, open_database
from scripts.documents import run_document
from scripts.failures import ExitCode
from scripts.model_report import print_run_end
from scripts.output import make_console, say, write_json
from scripts.training_choice import RECIPES, choose_training
from scripts.waiting import wait_for_run, why_run_waits
from workers.preparation import DEFAULT_TOLERANCE

if TYPE_CHECKING:
    from db.engine import Database
    from db.tables import Model, Run


@command("retrain", example="facefleet retrain --wait\nfacefleet retrain --fpir 0.003 --no-activate --json")
@click.option("--wait", is_flag=True, help="Show progress until the run ends.")
@click.option("--recipe", type=click.Choice(RECIPES), help="How to train.", show_default="the backbone's")
@click.option(
    "--backbone",
    metavar="NAME",
    help="Pretrained weights to build on (see `facefleet weights list`), or compact or seed: from scratch.",
    show_default="face-reidentification-retail-0095 if it is there, else compact",
)
@click.option(
    "--faces",
    type=click.Choice([mode.value for mode in FacesMode]),
    help="Find the face in each labelled photo (detect), or take each photo as a face (crop).",
    show_default="detect with pretrained weights, else crop",
)
@click.option("--epochs", type=click.IntRange(1, 10_000), help="Rounds over the photos.", show_default="the recipe's")
@click.option(
    "--fpir",
    type=FPIR,
    metavar="SHARE",
    default=DEFAULT_FPIR,
    help="Share of strangers that may get a name: 0.01 is 1 %.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Seed of all that is drawn by chance.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0.0, 1.0),
    metavar="SHARE",
    default=DEFAULT_TOLERANCE,
    help="Share of the held-out photos by which the model may be worse than the active one and still serve.",
)
@click.option("--no-activate", is_flag=True, help="Register the model without letting it serve.")
def retrain(
    invocation: Invocation,
    wait: bool,
    recipe: str | None,
    backbone: str | None,
    faces: str | None,
    epochs: int | None,
    fpir: float,
    seed: int,
    tolerance: float,
    no_activate: bool,
) -> None:
    """Train a model from the labelled photos and make it the one that serves.

    The run is queued at once and a trainer works on it; the model that serves goes on serving until the new one is
    trained, compiled, checked, and not worse on the same held-out photos. One that is worse is kept and does not serve;
    the reason is said, and the exit code of --wait is 1. Without Redis the run is recorded all the same, and the exit
    code is 3.
    """
    settings = Settings.from_env()
    choice = choose_training(
        WeightsStore.from_settings(settings), recipe, backbone, FacesMode(faces) if faces else None
    )
    options = {
        "backbone": choice.backbone,
        "faces": choice.faces.value,
        "epochs": epochs,
        "fpir": fpir,
        "seed": seed,
        "tolerance": tolerance,
        "activate": not no_activate,
        "who": current_user(),
    }
    with open_database(settings) as database:
        run, rung = _request(database, settings, choice.recipe, options)
        if wait and rung:
            run = wait_for_run(database, run.public_id, invocation)
        elif waits := _why_it_waits(database):
            say(waits)
        model = _find_model(database, run)
    _print(invocation, run, model)
    if not rung:
        raise click.exceptions.Exit(ExitCode.UNREACHABLE)
    refused = run.state == RunState.SUCCEEDED and not run.activated and not no_activate
    if refused or run.state in {RunState.FAILED, RunState.CANCELLED}:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _request(database: "Database", settings: Settings, recipe: str, options: dict[str, Any]) -> tuple["Run", bool]:
    """Queue the run and ring; return it, and whether a trainer was told. Say what the user would not expect."""
    from workers.retrain import request_training

    why_none = None
    with ExitStack() as stack:
        try:
            doorbell = stack.enter_context(find_doorbell(settings))
        except RedisUnreachableError as error:  # the run is recorded all the same
            doorbell, why_none = None, error.message
        asked = request_training(database, doorbell, recipe=recipe, options=options)
    if asked.repeated:
        say(f"The same training is queued already: run {asked.run.public_id} will learn from all labels of now.")
    if asked.ring_error is not None:
        why = why_none or asked.ring_error
        say(f"{why} Run {asked.run.public_id} is recorded all the same and starts when the services run.")
    return asked.run, asked.ring_error is None


def _why_it_waits(database: "Database") -> str | None:
    with database.read() as session:
        return why_run_waits(session, utc_now())


def _find_model(database: "Database", run: "Run") -> "Model | None":
    """Return the model that a run gave."""
    from db.registry import model_of_run

    with database.read() as session:
        return model_of_run(session, run.id)


def _print(invocation: Invocation, run: "Run", model: "Model | None") -> None:
    if invocation.as_json:
        write_json(run_document(run, model))
    elif run.state in {RunState.QUEUED, RunState.RUNNING}:
        click.echo(f"Training run {run.public_id} is queued. Its model will be in: facefleet model list")
    else:
        print_run_end(make_console(), run, model)
