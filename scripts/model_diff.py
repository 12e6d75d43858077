"""`facefleet model diff`: who would gain a name, lose it or get another under one model instead of another."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import InputError
from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.failures import ExitCode
from scripts.output import add_row, make_console, make_table, print_text, say, show_count, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from scripts.deciding import DecidingModel
    from scripts.model_changes import Changes
    from scripts.pictures import Written

_PEOPLE_SHOWN = 20
_FACES_SHOWN = 10


@command("diff", example="facefleet model diff v1 v2\nfacefleet model diff v1 v2 --pictures changed/ --limit 50 --json")
@click.argument("before", metavar="V")
@click.argument("after", metavar="W")
@click.option("--job", "job", metavar="ID", help="Only the faces of this job.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Draw the changed faces that are listed, as JPEG, into this folder.",
)
@click.option("--limit", type=click.IntRange(0), default=100, metavar="N", help="How many changed faces are listed.")
def diff(invocation: Invocation, before: str, after: str, job: str | None, pictures: Path | None, limit: int) -> None:
    """Compare what two models make of all stored faces, without writing it.

    Both decide from the stored embeddings, under what people said of the faces. Their backbones must be the same.
    """
    from db.jobs import get_job
    from scripts.model_changes import find_changes
    from scripts.pictures import check_folder

    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was changed."
    if pictures:
        check_folder(pictures)
    with open_database(settings) as database, database.read() as session:
        models = _load_models(session, settings, before, after)
        job_id = get_job(session, job).id if job else None
        with show_progress("Comparing", unit="faces") as bar:
            changes = find_changes(session, models, job_id, limit, bar)
        written = _write_pictures(session, settings, changes, pictures) if pictures and changes.first else None
    _tell(invocation, changes, written)
    if written is not None and written.failed:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _load_models(
    session: "Session", settings: Settings, before: str, after: str
) -> tuple["DecidingModel", "DecidingModel"]:
    """Return both models.

    Raises:
        UnknownIdError: there is no such version.
        InputError: they cannot decide about the same embeddings.
    """
    from db.registry import get_model
    from scripts.deciding import load_deciding_model

    first, second = (load_deciding_model(settings, get_model(session, version)) for version in (before, after))
    if first.backbone_sha256 != second.backbone_sha256:
        raise InputError(
            f"{first.version} and {second.version} have different backbones, whose embeddings cannot be compared. "
            "Nothing was looked at. Compare models of one backbone: facefleet model list"
        )
    return first, second


def _write_pictures(session: "Session", settings: Settings, changes: "Changes", folder: Path) -> "Written":
    from scripts.pictures import PictureWriter

    return PictureWriter(settings, folder).write((face.as_row() for face in changes.first), session)


def _tell(invocation: Invocation, changes: "Changes", written: "Written | None") -> None:
    document = changes.to_json()
    if invocation.as_json:
        write_json({**document, "pictures": written.to_json() if written else None})
        return
    _print(document)
    if written is not None:
        written.tell()


def _print(document: dict[str, Any]) -> None:
    """Print the totals, the people, and the first faces."""
    before, after = document["before"], document["after"]
    click.echo(
        f"{show_count(document['faces'], 'face')}: under {after}, {document['gained']:,} gain a name, "
        f"{document['lost']:,} lose it, {document['renamed']:,} get another than under {before}."
    )
    console = make_console()
    if document["people"]:
        table = make_table(["Person", f">{before}", f">{after}", ">Gained", ">Lost"])
        for person in document["people"][:_PEOPLE_SHOWN]:
            add_row(table, person["name"], person["before"], person["after"], person["gained"], person["lost"])
        console.print(table)
        if (more := len(document["people"]) - _PEOPLE_SHOWN) > 0:
            say(f"and {more:,} more people (all: --json)")
    for face in document["first"][:_FACES_SHOWN]:
        print_text(console, f"{face['face']}  {face['before']} \u2192 {face['after']}  {face['uri']}")
    if (more := document["changed"] - _FACES_SHOWN) > 0:
        say(f"and {show_count(more, 'more changed face', 'more changed faces')} (see --json, --limit and --pictures)")
    if document["without_embedding"]:
        say(f"{show_count(document['without_embedding'], 'face')} without an embedding could not be compared.")
