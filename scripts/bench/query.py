"""`facefleet bench query`: how long a page of results takes out of a large ledger, by what is asked for."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.machine import describe_machine
from scripts.bench.options import database_option
from scripts.common import Invocation, command
from scripts.output import (
    add_row,
    make_console,
    make_table,
    print_fields,
    say,
    show_bytes,
    show_count,
    show_duration,
    write_json,
)
from scripts.progress import show_progress

if TYPE_CHECKING:
    from db.engine import Database
    from scripts.bench.outcomes import MadeUpLedger

LIMIT_MS = 20.0
"""What 95 of 100 pages of every filter are to keep to."""


@command(
    "query",
    example="facefleet bench query --rows 1000000\n"
    "facefleet bench query --database postgresql+psycopg://localhost/bench --picture query.svg --json",
)
@click.option(
    "--rows", type=click.IntRange(1000, 1_000_000_000), default=10_000_000, help="Results in the ledger, about."
)
@click.option("--repeats", type=click.IntRange(1, 10_000), default=40, help="Pages of each kind, with other values.")
@database_option
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw it too, as .png or .svg.")
def query(invocation: Invocation, rows: int, repeats: int, url: str | None, picture: Path | None) -> None:
    """Measure how long a page of results takes, for each filter of `facefleet results` and those that go together.

    The ledger is made up: 200 jobs of very different sizes over 90 days, 2,000 people of whom few are seen often, nine
    models. Of each filter the first pages, pages in the midst and the last ones are read, as `facefleet results` does.
    """
    from scripts.bench.database import describe_database, empty_database, tidy
    from scripts.bench.outcomes import fill_ledger
    from scripts.bench.query_picture import draw_query
    from scripts.bench.questions import QUESTIONS
    from scripts.scorecard_picture import check_picture

    invocation.on_interrupt = "What was made to measure with is removed."
    check_picture(picture)
    with empty_database(url) as database:
        begun_s = time.perf_counter()
        with show_progress("Filling", rows, unit="rows") as bar:
            ledger = fill_ledger(database, rows, lambda done: bar.update(done=done))
        filled_s = time.perf_counter() - begun_s
        tidy(database)
        tidied_s = time.perf_counter() - begun_s - filled_s
        with show_progress("Asking", len(QUESTIONS)) as bar:
            asked = ask_all(database, ledger, repeats, lambda done, name: bar.update(done=done, note=name))
        described = describe_database(database)
    document = {
        "rows": ledger.rows,
        "photos": sum(job.photos for job in ledger.jobs),
        "jobs": len(ledger.jobs),
        "repeats": repeats,
        "limit_ms": LIMIT_MS,
        "fill": {
            "seconds": round(filled_s, 1),
            "rows_per_s": round(ledger.rows / filled_s, 1),
            "tidy_seconds": round(tidied_s, 1),
        },
        **asked,
        "database": described,
        "machine": {**describe_machine(), "load": os.getloadavg()},
    }
    if picture is not None:
        draw_query(picture, document)
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)


def ask_all(
    database: "Database", ledger: "MadeUpLedger", repeats: int, on_question: Callable[[int, str], None]
) -> dict[str, Any]:
    """Time pages of every question; return how long they took, as JSON.

    Args:
        database: filled.
        ledger: what with.
        repeats: pages of each place.
        on_question: told how many are done, and the next one's name.
    """
    from db.results import PAGE
    from scripts.bench.questions import QUESTIONS
    from scripts.bench.reading import time_pages

    filters = []
    for number, question in enumerate(QUESTIONS):
        on_question(number, question.name)
        filters.append({"filter": question.name, **time_pages(database, ledger, question, repeats)})
    missed = [each["filter"] for each in filters if each["p95_ms"] > LIMIT_MS]
    return {"page": PAGE, "filters": filters, "missed": missed}


def _print(document: dict[str, Any]) -> None:
    """Show milliseconds by filter."""
    console = make_console()
    heads = [f">{place}, {figure}" for place in ("first", "middle", "last") for figure in ("p50", "p95")]
    table = make_table(["Pages of", *heads, ">max", ""], title="Milliseconds")
    for each in document["filters"]:
        cells: list[str | None] = []
        for place in ("first", "middle", "last"):
            figures = each["places"][place]
            cells += [None, None] if figures is None else [f"{figures[key]:.1f}" for key in ("p50_ms", "p95_ms")]
        misses = f"over {document['limit_ms']:g}" if each["filter"] in document["missed"] else None
        add_row(table, each["filter"], *cells, f"{each['max_ms']:.1f}", misses)
    console.print(table)
    fill, database, machine = document["fill"], document["database"], document["machine"]
    filled = f"{show_duration(fill['seconds'])}, {fill['rows_per_s']:,.0f} rows/s"
    print_fields(
        console,
        [
            ("ledger", f"{document['rows']:,} results of {document['photos']:,} photos in {document['jobs']} jobs"),
            ("filled in", f"{filled}; then tidied in {show_duration(fill['tidy_seconds'])}"),
            ("a page", show_count(document["page"], "row")),
            ("database", f"{database['kind']} {database['version']}, {show_bytes(database['bytes'])}"),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, load {machine['load'][0]:.1f}"),
        ],
    )
    say(f"{len(document['missed'])} of {len(document['filters'])} miss {document['limit_ms']:g} ms in 95 of 100 pages.")
