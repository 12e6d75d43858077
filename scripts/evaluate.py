"""`facefleet evaluate`: runs a model in this process over labelled photos and strangers. Writes nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.models.store import ModelStore
from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.failures import ExitCode
from scripts.looking import open_recogniser, recognise_all
from scripts.output import make_console, write_json
from scripts.photo_folders import find_labelled, find_photos
from scripts.progress import show_progress
from scripts.scorecard import Scorecard
from scripts.scorecard_report import print_scorecard

if TYPE_CHECKING:
    from core.recognise import Recogniser


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
    about one good face of each photo, the largest and nearest the middle. Rates are of the photos that could be used.
    """
    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was stored."
    labelled = find_labelled(folder)
    unlabelled = find_photos(strangers) if strangers else []
    candidate = _find_candidate(settings, version)
    path = ModelStore(settings.artifacts_dir).path(candidate.sha256)
    with open_recogniser(settings, path, candidate.sha256, device, label=f"Loading {candidate.version}") as recogniser:
        card = _score(recogniser, candidate, labelled, unlabelled)
    if invocation.as_json:
        write_json({"model": candidate.version, **card.to_json()})
    else:
        print_scorecard(make_console(), card, candidate.version)
    if card.errors:
        raise click.exceptions.Exit(ExitCode.FAILURES)


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


def _score(
    recogniser: "Recogniser", candidate: _Candidate, labelled: dict[str, list[str]], strangers: list[str]
) -> Scorecard:
    """Run the model over all photos and count."""
    from db.people import name_key

    card = Scorecard(names=candidate.names)
    owners = [name for name, photos in labelled.items() for _ in photos]
    uris = [uri for photos in labelled.values() for uri in photos]
    with show_progress("Measuring", len(uris) + len(strangers), unit="photos") as bar:
        for name, result in zip(owners, recognise_all(recogniser, uris, bar), strict=True):
            truth = candidate.ids.get(name_key(name))
            card.add(result, name if truth is None else candidate.names[truth], truth)
        for result in recognise_all(recogniser, strangers, bar, before=len(uris)):
            card.add_stranger(result)
    return card
