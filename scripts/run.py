"""`facefleet run`: list, show, watch and cancel training runs. `facefleet retrain` queues them."""

from typing import TYPE_CHECKING

import click

from core.clock import utc_now
from core.records import RunState
from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.documents import run_document
from scripts.failures import ExitCode
from scripts.model_report import print_model_of_run, print_run_end
from scripts.output import make_console, print_text, write_json
from scripts.run_report import print_run, print_runs, run_progress, run_summary
from scripts.waiting import wait_for_run, why_run_waits

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import Model, Run


@click.group("run")
def run_() -> None:
    """Look at training runs, follow them and cancel them."""


@command("list", group=run_, example="facefleet run list --limit 5")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, help="How many runs to show.")
def list_(invocation: Invocation, limit: int) -> None:
    """List training runs, newest first."""
    from db.run_requests import list_runs

    with open_database(Settings.from_env()) as database, database.read() as session:
        runs = list_runs(session, limit)
    if invocation.as_json:
        write_json({"runs": [run_summary(each) for each in runs]})
    elif runs:
        print_runs(make_console(), runs)
    else:
        click.echo("Nothing was trained yet. Import labelled photos, then: facefleet retrain --wait")


@command("show", group=run_, example="facefleet run show r1p3k9x2mf4qa")
@click.argument("run_id", metavar="ID")
def show(invocation: Invocation, run_id: str) -> None:
    """Show a training run: what was asked for, how far it is, its curve, and how it ended."""
    from db.runs import get_run, list_epochs

    with open_database(Settings.from_env()) as database, database.read() as session:
        found = get_run(session, run_id)
        epochs = list_epochs(session, found.id)
        model = _model_of(session, found)
        waits = why_run_waits(session, utc_now()) if found.state == RunState.QUEUED else None
    if invocation.as_json:
        document = {**run_document(found, model), **run_summary(found), **run_progress(epochs, found)}
        write_json({**document, "options": found.options, "environment": found.environment, "waits_because": waits})
        return
    console = make_console()
    print_run(console, found, epochs)
    if waits:
        print_text(console, f"\n{waits}")
    if model is not None:
        print_model_of_run(console, found, model)


@command("watch", group=run_, example="facefleet run watch r1p3k9x2mf4qa")
@click.argument("run_id", metavar="ID")
def watch(invocation: Invocation, run_id: str) -> None:
    """Follow a training run until it ends."""
    with open_database(Settings.from_env()) as database:
        found = wait_for_run(database, run_id, invocation)
        with database.read() as session:
            model = _model_of(session, found)
    if invocation.as_json:
        write_json(run_document(found, model))
    else:
        print_run_end(make_console(), found, model)
    if found.state in {RunState.FAILED, RunState.CANCELLED}:
        raise click.exceptions.Exit(ExitCode.FAILURES)


@command("cancel", group=run_, example="facefleet run cancel r1p3k9x2mf4qa")
@click.argument("run_id", metavar="ID")
def cancel(invocation: Invocation, run_id: str) -> None:
    """Cancel a training run: one that waits at once, one that is on within seconds.

    The model that serves goes on serving. A run that has ended stays as it is.
    """
    from db.run_requests import cancel_run

    with open_database(Settings.from_env()) as database, database.write() as session:
        found, changed = cancel_run(session, run_id, current_user(), utc_now())
    if invocation.as_json:
        write_json({"run": found.public_id, "state": found.state, "changed": changed})
    elif found.state == RunState.CANCELLED and changed:
        click.echo(f"Run {run_id} is cancelled; it had not begun.")
    elif found.state == RunState.RUNNING:
        click.echo(f"Run {run_id} stops within seconds. The active model goes on serving.")
    else:
        click.echo(f"Run {run_id} had ended before: {found.state}. Nothing was changed.")


def _model_of(session: "Session", run: "Run") -> "Model | None":
    from db.registry import model_of_run

    return model_of_run(session, run.id)
