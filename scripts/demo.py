"""`facefleet demo`: the whole story in one go, in a home of its own, from photos to a report.

Holds the order of the story and what is stopped and removed at its end; the steps are in scripts/demo_steps.py.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from core.errors import InputError
from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.failures import ExitCode
from scripts.output import say, show_bytes

if TYPE_CHECKING:
    from scripts.demo_photos import DemoPhotos
    from scripts.demo_steps import Stage
    from scripts.report import ReportData

_WORKERS = 2
# A quarter of the people are held out to choose the threshold by. Of 12 people that is three, and the threshold lay so
# high that nobody was named; of 32 it names most.
_PEOPLE, _PHOTOS_TO_LEARN, _PHOTOS_TO_TRY, _STRANGERS = 32, 10, 4, 32
_EPOCHS_ON_DRAWN = 30  # drawn faces are soon learned, and the whole demo should stay under three minutes on two cores
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@command("demo", example="facefleet demo\nfacefleet demo --photos DIR --report people.html")
@click.option(
    "--photos",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Your photos: DIR/<person>/<image>, or DIR/train and DIR/test. Strangers may lie in DIR/strangers.",
    show_default="drawn faces",
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    help="The page to write. One of the same name is replaced.",
)
@click.option("--keep", is_flag=True, help="Keep the demo's own home folder: database, model, logs.")
def demo(invocation: Invocation, folder: Path | None, report: Path, keep: bool) -> None:
    """Show the whole story in one go, on drawn faces or on your photos.

    Starts Redis, two workers, a trainer and a sweeper, learns people from some of their photos, identifies them in the
    others, leaves strangers nameless, and writes a page about it. Nothing of your own installation is touched.
    """
    from scripts.demo_output import print_summary, summary_document
    from scripts.output import make_console, write_json

    _check_report(report)
    with _stopped_like_ctrl_c(), _own_home(keep) as home:
        try:
            data = _tell_story(invocation, home, folder, report)
        except KeyboardInterrupt:
            invocation.on_interrupt = "Everything that the demo started was stopped. No report was written."
            raise
    if invocation.as_json:
        write_json(summary_document(data, report, home if keep else None))
    else:
        print_summary(make_console(), data, report)
    if data.failed:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _tell_story(invocation: Invocation, home: Path, folder: Path | None, report: Path) -> "ReportData":
    """Go through the steps; everything that was started is stopped at the end."""
    from scripts import demo_steps
    from scripts.demo_output import Narrator
    from scripts.report import Seconds

    began, narrator = time.monotonic(), Narrator(steps=6)
    with narrator.step("Draw made-up people" if folder is None else f"Sort the photos in {folder}") as sorting:
        photos = _choose_photos(home, folder)
        sorting.end = (
            f"{photos.train_count:,} photos to learn from, {len(photos.probes):,} to try, "
            f"{len(photos.strangers):,} of strangers"
        )
    with ExitStack() as stack:
        with narrator.step(f"Start Redis, {_WORKERS} workers, a trainer and a sweeper") as starting:
            stage = stack.enter_context(_running(_own_settings(home), invocation))
        stack.callback(_end_undisturbed)
        with narrator.step(f"Import {photos.train_count:,} labelled photos") as importing:
            enrolment = demo_steps.enrol(stage, photos)
            importing.end = f"{len(enrolment.train_photos):,} people"
        with narrator.step("Train a model through the queue and let it serve") as training:
            model = demo_steps.train(stage, _EPOCHS_ON_DRAWN if photos.drawn else None)
            training.end = f"model {model.version}, {len(model.epochs)} epochs"
        with narrator.step(f"Identify {photos.tried:,} new photos through the queue") as identifying:
            trial = demo_steps.identify(stage, photos, enrolment)
            identifying.end = f"{photos.tried / identifying.elapsed():,.0f} photos/s"
        seconds = Seconds(
            photos=sorting.seconds,
            start=starting.seconds,
            people=importing.seconds,
            training=training.seconds,
            identification=identifying.seconds,
            total=time.monotonic() - began,
        )
        data = demo_steps.gather(photos, enrolment, model, trial, seconds, workers=demo_steps.count_workers(stage))
        with narrator.step(f"Write {report}") as writing:
            demo_steps.write(stage, data, report)
            writing.end = show_bytes(report.stat().st_size)
    return data


@contextmanager
def _running(settings: Settings, invocation: Invocation) -> Iterator["Stage"]:
    """Run everything on this machine, and connect to it."""
    from scripts.demo_steps import Stage
    from workers.doorbell import Doorbell
    from workers.embedded import find_redis_url
    from workers.supervisor import Fleet

    with (
        _temporary_files_in(settings.home / "tmp"),
        Fleet(settings, workers=_WORKERS),
        open_database(settings) as database,
        closing(Doorbell(find_redis_url(settings))) as doorbell,
    ):
        yield Stage(settings=settings, database=database, doorbell=doorbell, invocation=invocation)


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Have processes started meanwhile put their temporary files there: torch leaves a cache behind."""
    folder.mkdir()
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before


def _own_settings(home: Path) -> Settings:
    """Return the settings of the demo: the user's limits, and nothing that leads out of its home."""
    own = Settings(home=home)
    return replace(
        Settings.from_env(),
        **{name: getattr(own, name) for name in ("home", "database_url", "redis_url", "artifacts", "image_roots")},
    )


def _choose_photos(home: Path, folder: Path | None) -> "DemoPhotos":
    """Draw photos, or sort the user's."""
    from core.images.sample import write_sample
    from scripts.demo_photos import sort_photos

    if folder is None:
        write_sample(
            home / "sample",
            people=_PEOPLE,
            train_photos=_PHOTOS_TO_LEARN,
            test_photos=_PHOTOS_TO_TRY,
            strangers=_STRANGERS,
        )
        return replace(sort_photos(home / "sample", home / "photos"), source="drawn faces", drawn=True)
    return sort_photos(folder, home / "photos")


def _check_report(report: Path) -> None:
    """Find out now, not after minutes, that the page cannot be written."""
    folder = report.absolute().parent
    if report.is_dir():
        raise InputError(f"{report} is a folder; the report needs the name of a file. Nothing was done.")
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {folder} to write the report to. Nothing was done. Make it, or name another."
        )
    if not os.access(folder, os.W_OK):
        raise InputError(
            f"The folder {folder} may not be written by your user. Nothing was done. Give `--report FILE`."
        )


@contextmanager
def _own_home(keep: bool) -> Iterator[Path]:
    """Make a fresh home folder; it is removed at the end unless it is to be kept."""
    home = Path(tempfile.mkdtemp(prefix="facefleet-demo-"))
    try:
        yield home
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
        if home.exists():
            why = "Kept, as asked" if keep else "Could not be removed; remove it yourself"
            say(f"{why}: {home} (look around with FACEFLEET_HOME={home})")


@contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """Let a signal to terminate, or a terminal that is closed, end the demo as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_undisturbed() -> None:
    """Ignore a second Ctrl-C: stopping takes seconds, and what is not stopped and removed would stay behind."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
