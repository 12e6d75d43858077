"""`facefleet worker list`: what each process of the fleet serves, what it cannot load, and when its work advanced."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.output import add_row, make_console, make_table, print_text, say, write_json
from scripts.swap_failures import failure_document, failure_text, show_ago

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from db.registry import ServingModel
    from db.tables import SwapFailure, Worker


@command("list", example="facefleet worker list\nfacefleet worker list --json")
def list_(invocation: Invocation) -> None:
    """List the processes of the fleet: which model each serves, and when its work last went forward.

    A model that could not be loaded somewhere is named with the reason; the one before it goes on serving there.
    """
    from db.clock import LedgerClock
    from db.nodes import list_nodes
    from db.registry import serving_model
    from db.swaps import open_failures

    with open_database(Settings.from_env()) as database, database.read() as session:
        now = LedgerClock(database)()
        serving = serving_model(session)
        rows = list_nodes(session)
        failures: dict[str, list[SwapFailure]] = {row.name: [] for row in rows}
        for failure in open_failures(session, failures.keys()):
            failures[failure.worker].append(failure)
    workers = [_document(row, failures[row.name], serving, now) for row in rows]
    if invocation.as_json:
        write_json({"serving": _serving(serving), "workers": workers})
    elif rows:
        _print(rows, failures, serving, now)
    else:
        click.echo("No worker runs. Start one: facefleet worker --device cpu")


def _document(
    row: "Worker", failures: "Sequence[SwapFailure]", serving: "ServingModel | None", now: datetime
) -> dict[str, Any]:
    from db.ids import model_version
    from db.nodes import is_current, is_silent

    return {
        "name": row.name,
        "role": row.role,
        "host": row.host,
        "pid": row.pid,
        "device": row.device,
        "model": model_version(row.model_id) if row.model_id else None,
        "generation": row.generation,
        "serves_since": _time(row.serves_since),
        "engine": _engine(row),
        "current": is_current(row, serving.generation if serving else None),
        "beside": model_version(row.beside_id) if row.beside_id else None,
        "failed_swaps": [failure_document(failure) for failure in failures],
        "seen_at": row.seen_at.isoformat(),
        "silent": is_silent(row, now),
        "advanced_at": _time(row.advanced_at),
    }


def _engine(row: "Worker") -> dict[str, Any] | None:
    """How a worker runs its model; None of what serves none."""
    if row.variant is None:
        return None
    return {"variant": row.variant, "images_per_s": row.images_per_s, "cached": row.tuning_cached}


def _serving(serving: "ServingModel | None") -> dict[str, Any] | None:
    if serving is None:
        return None
    return {
        "model": serving.version,
        "generation": serving.generation,
        "activated_at": serving.activated_at.isoformat(),
    }


def _print(
    rows: "Sequence[Worker]",
    failures: "Mapping[str, Sequence[SwapFailure]]",
    serving: "ServingModel | None",
    now: datetime,
) -> None:
    """Print the table, and below it what could not be loaded."""
    from db.ids import model_version

    console = make_console()
    headings = ["Process", "Role", "Device", "Model", ">Generation", "Swap", "Runs as", ">Images/s"]
    table = make_table([*headings, "Work advanced", "Seen"])
    for row in rows:
        add_row(
            table,
            row.name,
            row.role,
            row.device,
            model_version(row.model_id) if row.model_id else None,
            row.generation,
            _swap(row, failures[row.name], serving, now),
            f"{row.variant}{' (cached)' if row.tuning_cached else ''}" if row.variant else None,
            f"{row.images_per_s:,.0f}" if row.images_per_s else None,
            show_ago(row.advanced_at, now),
            show_ago(row.seen_at, now),
        )
    console.print(table)
    for of_worker in failures.values():
        for failure in of_worker:
            print_text(console, failure_text(failure, now))
    if serving is not None:
        say(f"{serving.version} is active, generation {serving.generation}.")


def _swap(
    row: "Worker", failures: "Sequence[SwapFailure]", serving: "ServingModel | None", now: datetime
) -> str | None:
    """Say in a word or two how far a worker is with the newest model, if it lives."""
    from db.nodes import is_current, is_silent

    if is_silent(row, now):
        return "silent"
    if failures:
        return f"failed ({failures[0].code})"
    return "loading" if is_current(row, serving.generation if serving else None) is False else None


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
