"""`facefleet results`: filters, and where the rows go. Writing stands in result_formats.py and result_table.py."""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.records import FaceOutcome, ItemOutcome
from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.failures import ExitCode
from scripts.files import replacing
from scripts.output import say, show_count, write_json
from scripts.result_formats import WRITERS, write_json_array
from scripts.result_table import write_table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.result_filter import ResultFilter

_OUTCOMES = [*(outcome.value for outcome in FaceOutcome), ItemOutcome.NO_FACE.value, ItemOutcome.ERROR.value]
_AGO = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Since(click.ParamType[datetime]):
    """A point in time: `30m`, `2h` or `7d` ago, or an ISO date or time, UTC unless it says otherwise."""

    name = "T"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read what the user typed."""
        if ago := _AGO.fullmatch(value):
            return utc_now() - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time. Write 30m, 2h, 7d, 2026-11-23 or 2026-11-23T14:00+01:00.", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@command(
    "results",
    example="facefleet results --job j1p3k9x2mf4qa\n"
    'facefleet results --person "Ada Lovelace" --min-confidence 0.9 --format csv > ada.csv\n'
    "facefleet results --since 7d --format parquet --output week.parquet\n"
    "facefleet results --job j1p3k9x2mf4qa --pictures pictures/",
)
@click.option("--job", metavar="ID", help="Only of this job.")
@click.option(
    "--person", metavar="P", help="Only faces identified as this person, or as somebody who was merged into them."
)
@click.option(
    "--outcome", type=click.Choice(_OUTCOMES), metavar="O", help=f"Only with this outcome: {', '.join(_OUTCOMES)}."
)
@click.option("--model", metavar="V", help="Only decided by this model version.")
@click.option("--since", type=_Since(), help="Only decided since then: 30m, 2h, 7d, or an ISO date or time in UTC.")
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    metavar="F",
    help="Only at least this sure, 0 to 1; named by a label is surest.",
)
@click.option("--format", "format_", type=click.Choice(["table", *WRITERS]), help="How to write.", show_default="table")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write to this file.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write no rows but each photo with its boxes and names, as JPEG, into this folder.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most this many rows.", show_default="all")
def results(
    invocation: Invocation,
    format_: str | None,
    output: Path | None,
    pictures: Path | None,
    limit: int | None,
    **filters: Any,
) -> None:
    """Query results: who is in which photo, and how sure that is.

    One row a face, or one a photo without a face. All formats give the same rows, by job, photo and face. With
    --pictures, a photo that has several rows is one picture.
    """
    _check_combination(invocation, format_, output, pictures)
    with open_database(Settings.from_env()) as database, database.read() as session:
        from db.results import iter_results

        rows = iter_results(session, _read_filters(session, filters), limit)
        if pictures is not None:
            _write_pictures(rows, session, pictures, invocation)
        elif output is None:
            _write_to_stdout(rows, format_, invocation)
        else:
            _write_to_file(rows, format_ or "table", output, invocation)


def _check_combination(invocation: Invocation, format_: str | None, output: Path | None, pictures: Path | None) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: two formats are asked for at once, rows and pictures, or a binary format on a terminal.
    """
    if pictures and (format_ or output):
        raise click.UsageError("--pictures writes pictures, and --format and --output write rows. Ask for one of them.")
    if invocation.as_json and format_ and output is None:
        raise click.UsageError("--json and --format both say how to write. Leave one out, or add --output FILE.")
    if format_ == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is no text for a terminal. Add --output FILE, or redirect the output.")


def _read_filters(session: "Session", filters: dict[str, Any]) -> "ResultFilter":
    """Turn names and ids into keys.

    Raises:
        UnknownIdError: no job, person or model is called so.
    """
    from db.jobs import get_job
    from db.people import find_person
    from db.registry import get_model
    from db.result_filter import ResultFilter

    return ResultFilter(
        job_id=get_job(session, filters["job"]).id if filters["job"] else None,
        person_id=find_person(session, filters["person"]).id if filters["person"] else None,
        model_id=get_model(session, filters["model"]).id if filters["model"] else None,
        outcome=filters["outcome"],
        since=filters["since"],
        min_confidence=filters["min_confidence"],
    )


def _write_pictures(rows: Iterator[dict[str, Any]], session: "Session", folder: Path, invocation: Invocation) -> None:
    """Write pictures and say how many, and what failed.

    Raises:
        Exit: there are photos of which no picture could be made.
    """
    from scripts.pictures import PictureWriter

    invocation.on_interrupt = f"The pictures that were written stay in {folder}. Run it again to write all of them."
    written = PictureWriter(Settings.from_env(), folder).write(rows, session)
    if invocation.as_json:
        write_json(written.to_json())
    else:
        written.tell()
    if written.failed:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _write_to_stdout(rows: Iterator[dict[str, Any]], format_: str | None, invocation: Invocation) -> None:
    if invocation.as_json:
        first = next(rows, None)  # an error before the first row must still fit into the one document
        invocation.began = True
        write_json_array("results", _rejoin(first, rows), sys.stdout.buffer)
    elif format_ is None or format_ == "table":
        if not write_table(rows, sys.stdout):
            say("No result matches. Jobs that still run add theirs as they go: facefleet job list")
    else:
        WRITERS[format_](rows, sys.stdout.buffer)


def _write_to_file(rows: Iterator[dict[str, Any]], format_: str, output: Path, invocation: Invocation) -> None:
    """Write a file that appears whole or not at all."""
    with replacing(output) as stream:
        if format_ == "table":
            with open(stream.fileno(), "w", encoding="utf-8", closefd=False) as text:
                count = write_table(rows, text)
        else:
            count = WRITERS[format_](rows, stream)
    if invocation.as_json:
        write_json({"file": str(output), "format": format_, "rows": count})
    else:
        say(f"{output}: {show_count(count, 'row')}.")


def _rejoin(first: dict[str, Any] | None, rest: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if first is not None:
        yield first
        yield from rest
