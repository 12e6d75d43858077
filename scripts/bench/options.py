"""What the benchmarks of a fleet share: their options, and the fleet that these ask for."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import InputError
from core.records import FacesMode
from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER, DETECTOR
from core.weights.store import WeightsStore

if TYPE_CHECKING:
    from scripts.bench.fleet import BenchFleet


@dataclass(frozen=True, kw_only=True)
class BenchWork:
    """What is identified, and how."""

    faces: FacesMode
    photos: str | None
    """A folder; None: drawn faces."""
    people: Path | None
    """Labelled photographs, for the gallery; None for face crops."""
    workers: int

    @property
    def source(self) -> str:
        """What is identified, for people."""
        return self.photos or "drawn faces"


database_option = click.option(
    "--database",
    "url",
    metavar="URL",
    help="An empty database to measure in; its tables are removed again.",
    show_default="a SQLite file that is removed",
)
"""Where a ledger is measured; `scripts.bench.database.empty_database` takes it."""


def fleet_options(function: Callable[..., None]) -> Callable[..., None]:
    """Declare the options that say what a fleet works on; `choose_work` takes them."""
    options: list[Callable[..., Any]] = [
        click.option(
            "--faces",
            type=click.Choice([mode.value for mode in FacesMode]),
            default=FacesMode.CROP.value,
            help="Take each photo as a face for a small network (crop), or find faces for a pretrained one (detect).",
        ),
        click.option("--photos", metavar="DIR", help="Photos to identify.", show_default="drawn faces, or --people"),
        click.option(
            "--people",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="DIR/<person>/<image> whose faces make the gallery, for --faces detect.",
        ),
        click.option("--workers", type=click.IntRange(1, 64), default=2, help="Processes, of every side."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def choose_work(faces: str, photos: str | None, people: Path | None, workers: int) -> BenchWork:
    """Make sense of the options.

    Raises:
        InputError: they do not go together.
    """
    mode = FacesMode(faces)
    if mode is FacesMode.CROP and people is not None:
        raise InputError("--people is for --faces detect. Nothing was measured. Leave it out, or add --faces detect.")
    if mode is FacesMode.DETECT and people is None:
        raise InputError(
            "--faces detect needs people to compare with. Nothing was measured. Name a folder of "
            "DIR/<person>/<image> with --people."
        )
    folder = photos or (str(people) if people else None)
    return BenchWork(faces=mode, photos=folder, people=people, workers=workers)


@contextmanager
def bench_settings(*, pretrained: bool, backbone: str = DEFAULT_EMBEDDER) -> Iterator[Settings]:
    """Make a home that is removed at the end, for processes that share nothing with the user's.

    Args:
        pretrained: whether weights are needed, wherever they lie.
        backbone: whose.

    Raises:
        WeightsMissingError: pretrained weights are needed and are not on this machine.
        WeightsAlteredError: they are not what they should be.
    """
    settings = Settings.from_env()
    if pretrained:
        settings = replace(settings, weights=str(_weights_folder(settings, backbone)))
    with tempfile.TemporaryDirectory(prefix="facefleet-bench-") as folder:
        yield replace(settings, home=Path(folder), database_url="", redis_url="", artifacts="")


@contextmanager
def open_bench_fleet(
    work: BenchWork, count: int, url: str | None = None, *, timing_stages: bool = False
) -> Iterator["BenchFleet"]:
    """Bring a fleet up for the work, with a model that serves.

    Args:
        work: what it works on.
        count: photos a round.
        url: of an empty database, whose tables are removed at the end; None: a SQLite file in the fleet's own home.
        timing_stages: whether its workers keep how long their stages take, in the folder that its settings name.

    Raises:
        InputError: the database holds tables already.
    """
    from scripts.bench.database import empty_database
    from scripts.bench.fleet import BenchFleet

    with (
        bench_settings(pretrained=work.faces is FacesMode.DETECT) as own,
        empty_database(url) if url else nullcontext() as database,
    ):
        folder = str(own.home / "stage-times") if timing_stages else ""
        settings = replace(own, stage_times=folder, database_url=database.url if database else own.database_url)
        with BenchFleet(settings, source=work.photos, count=count, workers=work.workers, people=work.people) as fleet:
            yield fleet


def _weights_folder(settings: Settings, backbone: str) -> Path:
    """Return the folder that holds the embedder's and the detector's weights."""
    store = WeightsStore.from_settings(settings)
    store.find(DETECTOR)
    return store.find(backbone).folder.parent
