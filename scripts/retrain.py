"""`facefleet retrain`: queues a training run and, if wanted, follows it to its end."""

from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.errors import InputError, RedisUnreachableError, TooFewPeopleError
from core.faces.rule import DEFAULT_FPIR
from core.records import FacesMode, RunState
from core.settings import Settings
from core.weights.store import WeightsStore
from scripts.common import Invocation, command, current_user, open_database
from scripts.documents import run_document
from scripts.failures import ExitCode
from scripts.model_report import print_run_end
from scripts.output import make_console, say, write_json
from scripts.training_choice import RECIPES, choose_training
from scripts.waiting import wait_for_run, why_run_waits
from workers.preparation import DEFAULT_TOLERANCE, HEAD_RECIPE

if TYPE_CHECKING:
    from db.engine import Database
    from db.tables import Model, Run

_FPIR_RANGE = (0.0001, 0.2)
"""Beyond, no number of labels tells a threshold, or most strangers have somebody's name."""


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
    type=float,
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
    _check_fpir(fpir)
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
        run = _queue_run(database, choice.recipe, options)
        rung = _ring(database, settings, run)
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


def _check_fpir(fpir: float) -> None:
    """Refuse a share of strangers that no threshold can be chosen for.

    Raises:
        InputError: it is none, or so small or large that it must be a mistake.
    """
    if not _FPIR_RANGE[0] <= fpir <= _FPIR_RANGE[1]:  # NaN too
        raise InputError(
            f"--fpir {fpir:g} is no share of strangers from {_FPIR_RANGE[0]:g} to {_FPIR_RANGE[1]:g}; nothing was "
            "queued. Write 1 % as 0.01."
        )


def _queue_run(database: "Database", recipe: str, options: dict[str, Any]) -> "Run":
    """Record the run.

    Raises:
        TooFewPeopleError: there is nobody to know, or from scratch nobody to tell them from.
    """
    from db.people import list_people
    from db.runs import create_run

    with database.write() as session:
        people = sum(person.train_photos > 0 for person in list_people(session))
        fewest, what = (1, "one person") if recipe == HEAD_RECIPE else (2, "two people")
        if people < fewest:
            raise TooFewPeopleError(
                f"A model of this kind takes training photos of at least {what}; there are photos of {people}. "
                "Nothing was queued. Import labelled photos: `facefleet people import DIR`, with DIR/<person>/<image>."
            )
        return create_run(session, recipe=recipe, options=options, now=utc_now())


def _ring(database: "Database", settings: Settings, run: "Run") -> bool:
    """Wake a trainer up; return False without Redis, when the sweeper does so later."""
    from db.clock import LedgerClock
    from db.runs import mark_rung
    from workers.doorbell import Doorbell
    from workers.embedded import find_redis_url

    try:
        doorbell = Doorbell(find_redis_url(settings))
        try:
            doorbell.ring_run(run.id)
        finally:
            doorbell.close()
    except RedisUnreachableError as error:
        say(f"{error.message} Run {run.public_id} is recorded all the same and starts when the services run.")
        return False
    with database.write() as session:
        mark_rung(session, run.id, LedgerClock(database)())  # the sweeper compares with it
    return True


def _why_it_waits(database: "Database") -> str | None:
    with database.read() as session:
        return why_run_waits(session, utc_now())


def _find_model(database: "Database", run: "Run") -> "Model | None":
    """Return the model that a run gave."""
    from db.registry import list_models

    with database.read() as session:
        return next((model for model in list_models(session) if model.run_id == run.id), None)


def _print(invocation: Invocation, run: "Run", model: "Model | None") -> None:
    if invocation.as_json:
        write_json(run_document(run, model))
    elif run.state in {RunState.QUEUED, RunState.RUNNING}:
        click.echo(f"Training run {run.public_id} is queued. Its model will be in: facefleet model list")
    else:
        print_run_end(make_console(), run, model)
