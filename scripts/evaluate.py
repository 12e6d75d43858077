"""`facefleet evaluate`: runs a model in this process over labelled photos and strangers. Writes nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.errors import EmptySourceError, InputError
from core.records import PhotoResult, PhotoTask, SkipLog
from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.failures import ExitCode
from scripts.output import make_console, write_json
from scripts.progress import Bar, show_progress
from scripts.scorecard import Scorecard
from scripts.scorecard_report import print_scorecard

if TYPE_CHECKING:
    from core.models.engine import Engine
    from core.recognise import Recogniser

_PHOTOS_A_CALL = 256


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """The model that is measured."""

    version: str
    sha256: str
    names: dict[int, str]
    """Current names of its people, by id."""
    ids: dict[str, int]
    """Their ids by name key: what a folder's name is looked up in."""


@command(
    "evaluate",
    example="facefleet evaluate faces/ --strangers other_faces/\nfacefleet evaluate faces/ --model v3 --json",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--strangers", type=click.Path(path_type=Path), metavar="DIR", help="Photos of people who must get no name."
)
@click.option("--model", "version", metavar="V", help="The model version to measure.", show_default="the active one")
@click.option("--device", help="Where to run it: cpu or cuda:N.", show_default="a GPU if there is one")
def evaluate(
    invocation: Invocation, folder: Path, strangers: Path | None, version: str | None, device: str | None
) -> None:
    """Measure a model on labelled photos and on strangers, without storing anything.

    DIR holds DIR/<person>/<image>, or train/ and test/, of which test/ is taken. A model that finds faces is asked
    about the largest good face of each photo. Rates are of the photos that could be used.
    """
    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was stored."
    labelled = _find_labelled(folder)
    unlabelled = _find_photos(strangers) if strangers else []
    candidate = _find_candidate(settings, version)
    with _open_recogniser(settings, candidate, device) as recogniser:
        card = _score(recogniser, candidate, labelled, unlabelled)
    if invocation.as_json:
        write_json({"model": candidate.version, **card.to_json()})
    else:
        print_scorecard(make_console(), card, candidate.version)
    if card.errors:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _find_labelled(folder: Path) -> dict[str, list[str]]:
    """Return the photos of each person's folder, by the folder's name.

    Raises:
        InputError: there is no such folder, or none with photos in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Nothing was measured. Name one that holds DIR/<person>/<image>.")
    root = folder / "test" if (folder / "test").is_dir() and (folder / "train").is_dir() else folder
    inside = sorted(each for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
    found = {each.name: photos for each in inside if (photos := _photos_below(each))}
    if not found:
        raise InputError(f"{root} holds no folder with photos. Nothing was measured. Make it {root}/<person>/<image>.")
    return found


def _find_photos(folder: Path) -> list[str]:
    """Return all photos of a folder, at any depth.

    Raises:
        InputError: there is no photo.
    """
    photos = _photos_below(folder) if folder.is_dir() else []
    if not photos:
        raise InputError(f"{folder} is no folder with photos. Nothing was measured. Name one that holds some.")
    return photos


def _photos_below(folder: Path) -> list[str]:
    from core.images.sources import walk_sources

    try:
        return list(walk_sources([str(folder)], SkipLog()))
    except EmptySourceError:
        return []


def _find_candidate(settings: Settings, version: str | None) -> _Candidate:
    """Look the model up, and whom it knows.

    Raises:
        UnknownIdError: there is no such version.
        NoActiveModelError: none is named and none is active.
    """
    from db.ids import model_version
    from db.people import name_key, person_names
    from db.registry import get_model, require_serving_model

    with open_database(settings) as database, database.read() as session:
        model = get_model(session, version or require_serving_model(session).version)
        trained = {entry["person_id"]: entry["name"] for entry in model.manifest["classes"]}
        names = {**trained, **person_names(session, set(trained))}
    ids = {name_key(name): person_id for known in (trained, names) for person_id, name in known.items()}
    return _Candidate(version=model_version(model.id), sha256=model.sha256, names=names, ids=ids)


@contextmanager
def _open_recogniser(settings: Settings, candidate: _Candidate, device: str | None) -> Iterator["Recogniser"]:
    """Load the model as a worker does. The user names the photos, so FACEFLEET_IMAGE_ROOTS does not bind."""
    from core.images.decode import DecodeLimits
    from core.images.read import PhotoReader
    from core.recognise import Recogniser

    engine = _load(settings, candidate, device)
    recogniser = Recogniser(
        PhotoReader(max_bytes=settings.max_photo_bytes),
        engine,
        DecodeLimits.from_settings(settings),
        read_threads=settings.read_threads,
    )
    try:
        yield recogniser
    finally:
        recogniser.close()
        engine.close()


def _load(settings: Settings, candidate: _Candidate, device: str | None) -> "Engine":
    import torch

    from core.models.engine import load_engine
    from core.models.store import ModelStore

    place = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    path = ModelStore(settings.artifacts_dir).path(candidate.sha256)
    with show_progress(f"Loading {candidate.version}"):
        return load_engine(path, candidate.sha256, place, batch_size=settings.batch_size)


def _score(
    recogniser: "Recogniser", candidate: _Candidate, labelled: dict[str, list[str]], strangers: list[str]
) -> Scorecard:
    """Run the model over all photos and count."""
    from db.people import name_key

    card = Scorecard(names=candidate.names)
    owners = [name for name, photos in labelled.items() for _ in photos]
    uris = [uri for photos in labelled.values() for uri in photos]
    with show_progress("Measuring", len(uris) + len(strangers), unit="photos") as bar:
        for name, result in zip(owners, _recognise(recogniser, uris, _from(bar, 0)), strict=True):
            truth = candidate.ids.get(name_key(name))
            card.add(result, name if truth is None else candidate.names[truth], truth)
        for result in _recognise(recogniser, strangers, _from(bar, len(uris))):
            card.add_stranger(result)
    return card


def _recognise(recogniser: "Recogniser", uris: list[str], tell: Callable[[int], None]) -> Iterator[PhotoResult]:
    """Yield one result a photo, in order."""
    tasks = (PhotoTask(ordinal=number, uri=uri) for number, uri in enumerate(uris))
    before = 0
    while some := list(islice(tasks, _PHOTOS_A_CALL)):
        yield from recogniser.recognise(some, _from_there(tell, before), faces=recogniser.mode)
        before += len(some)


def _from_there(tell: Callable[[int], None], before: int) -> Callable[[int], None]:
    return lambda done: tell(before + done)


def _from(bar: Bar, start: int) -> Callable[[int], None]:
    return lambda done: bar.update(done=start + done)
