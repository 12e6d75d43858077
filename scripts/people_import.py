"""`facefleet people import`: labelled photos out of folders named after people."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.records import Split
from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.failures import ExitCode
from scripts.output import make_console, print_text, show_count, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from workers.enrolment import ImportReport

_SKIPPED_SHOWN = 5


@command(
    "import",
    example="facefleet people import faces/\n"
    "facefleet people import more/ --split test\n"
    "facefleet people import passers_by/ --strangers",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice([split.value for split in Split]),
    help="What the photos are for.",
    show_default="by DIR/train and DIR/test, else train",
)
@click.option("--strangers", is_flag=True, help="DIR holds photos of people who must get no name, flat or nested.")
def import_(invocation: Invocation, folder: Path, split: str | None, strangers: bool) -> None:
    """Import labelled photos: DIR/<person>/<image>, or the same below DIR/train and DIR/test.

    Importing again adds what is new; what somebody has corrected since stays as it is. What cannot be used is listed,
    and the rest goes in.
    """
    from workers.enrolment import import_people, import_strangers

    settings = Settings.from_env()
    invocation.on_interrupt = "The people imported so far stay; run the same command again to go on."
    chosen = Split(split) if split else None
    with open_database(settings) as database, show_progress("Importing", unit="photos") as bar:
        import_them = import_strangers if strangers else import_people
        report = import_them(
            database, settings, folder, chosen, current_user(), on_progress=lambda done: bar.update(done=done)
        )
    if invocation.as_json:
        write_json(_document(report))
    else:
        _print(report, strangers=strangers)
    if report.failed:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _document(report: "ImportReport") -> dict[str, Any]:
    return {
        "people": report.people,
        "photos_added": report.photos_added,
        "photos_known": report.photos_known,
        "photos_kept": report.photos_kept,
        "failed": [{"path": each.path, "code": each.code, "message": each.message} for each in report.failed],
        "skipped": [{"path": each.name, "reason": each.reason} for each in report.skipped],
    }


def _print(report: "ImportReport", *, strangers: bool) -> None:
    console = make_console()
    people = "strangers" if strangers else show_count(report.people, "person", "people")
    known = f"; {report.photos_known:,} were known already" if report.photos_known else ""
    kept = f"; {report.photos_kept:,} were corrected since and stay so" if report.photos_kept else ""
    photos = show_count(report.photos_added, "photo")
    console.print(f"Imported {photos} of {people}{known}{kept}.", soft_wrap=True)
    if report.skipped:
        console.print(f"\nPassed over: {len(report.skipped):,}", style="bold")
        for each in report.skipped[:_SKIPPED_SHOWN]:
            print_text(console, f"{each.name}: {each.reason}", indent=2)
        if len(report.skipped) > _SKIPPED_SHOWN:
            console.print(f"  and {len(report.skipped) - _SKIPPED_SHOWN:,} more (all: --json)")
    if report.failed:
        console.print(f"\nNot imported: {len(report.failed):,}", style="bold")
        for failure in report.failed:
            print_text(console, failure.path, indent=2)
            print_text(console, f"{failure.code}: {failure.message}", indent=4)
    if report.photos_added:
        console.print("\nNext: facefleet retrain --wait")
