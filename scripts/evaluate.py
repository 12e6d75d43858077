"""`facefleet evaluate`: runs a model in this process over labelled photos and strangers. Stores nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import InputError
from core.faces.corrections import as_counted
from core.models.store import ModelStore
from core.records import PhotoResult
from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.failures import ExitCode
from scripts.looking import open_recogniser, recognise_all
from scripts.output import make_console, write_json
from scripts.person_groups import PersonGroups, read_groups, stranger_names
from scripts.photo_folders import find_labelled, find_strangers
from scripts.progress import show_progress
from scripts.scorecard import Scorecard
from scripts.scorecard_picture import check_picture, write_picture
from scripts.scorecard_report import print_evaluation

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
    """Their ids by name key: what a folder's name is looked up in. A merged person has the id of whom they count as."""
    counts_as: dict[int, int]
    """Whom merged people count as, by id."""

    def find(self, folder: str) -> tuple[str, int | None]:
        """Return the name and the id of the person of a folder; its own name and None for somebody unknown."""
        from db.people import name_key

        truth = self.ids.get(name_key(folder))
        return (folder if truth is None else self.names[truth]), truth


@dataclass(frozen=True, kw_only=True)
class _Probes:
    """What the model is asked about, as URIs by person."""

    labelled: dict[str, list[str]]
    strangers: dict[str, list[str]]
    groups: PersonGroups = field(default_factory=PersonGroups)


@command(
    "evaluate",
    example="facefleet evaluate faces/ --strangers other_faces/ --picture scorecard.png\n"
    "facefleet evaluate faces/ --groups ages.csv\nfacefleet evaluate faces/ --model v3 --json",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--strangers", type=click.Path(path_type=Path), metavar="DIR", help="Photos of people who must get no name."
)
@click.option("--model", "version", metavar="V", help="The model version to measure.", show_default="the active one")
@click.option(
    "--groups",
    "groups_file",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Figures by group too: a column `person` and one of groups.",
)
@click.option("--group-by", metavar="COLUMN", help="The column of the groups.", show_default="the only other one")
@click.option(
    "--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw the scorecard, as FILE.png or FILE.svg."
)
@click.option("--device", help="Where to run it: cpu or cuda:N.", show_default="a GPU if there is one")
def evaluate(
    invocation: Invocation,
    folder: Path,
    strangers: Path | None,
    version: str | None,
    groups_file: Path | None,
    group_by: str | None,
    picture: Path | None,
    device: str | None,
) -> None:
    """Measure a model on labelled photos and on strangers, without storing anything.

    DIR holds DIR/<person>/<image>, or train/ and test/, of which test/ is taken. A model that finds faces is asked
    about one good face of each photo, the largest and nearest the middle. Rates are of the photos that could be used.
    Photos in one folder of strangers show one person; those that lie in none, one each.
    """
    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was stored."
    check_picture(picture)
    probes = _gather(folder, strangers, groups_file, group_by)
    candidate = _find_candidate(settings, version)
    if groups_file:
        probes.groups.check_people(_everybody(probes, candidate), groups_file)
    path = ModelStore.from_settings(settings).path(candidate.sha256)
    with open_recogniser(settings, path, candidate.sha256, device, label=f"Loading {candidate.version}") as recogniser:
        card, figures = _score(recogniser, candidate, probes)
    document = {"model": candidate.version, **card.to_json(), "group_by": probes.groups.column, "scorecard": figures}
    if picture:
        write_picture(picture, figures, title=f"Model {candidate.version}", group_by=probes.groups.column)
    if invocation.as_json:
        write_json(document)
    else:
        print_evaluation(make_console(), card, document, picture)
    if card.errors:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _gather(folder: Path, strangers: Path | None, groups_file: Path | None, group_by: str | None) -> _Probes:
    """Find the photos, and who is in which group.

    Raises:
        InputError: a folder has none, or the groups cannot be read.
    """
    if group_by and not groups_file:
        raise InputError(
            f"--group-by {group_by} needs a file with that column. Nothing was measured. Add --groups FILE."
        )
    return _Probes(
        labelled=find_labelled(folder),
        strangers=find_strangers(strangers) if strangers else {},
        groups=read_groups(groups_file, group_by) if groups_file else PersonGroups(),
    )


def _everybody(probes: _Probes, candidate: _Candidate) -> list[str]:
    """Return all names that people may have in the file of the groups."""
    strangers = [name for stranger in probes.strangers for name in stranger_names(stranger)]
    return [*probes.labelled, *candidate.ids, *strangers]


def _find_candidate(settings: Settings, version: str | None) -> _Candidate:
    """Look the model up, and whom it knows.

    Raises:
        UnknownIdError: there is no such version.
        NoActiveModelError: none is named and none is active.
    """
    from db.ids import model_version
    from db.merges import load_merges
    from db.people import name_key, person_names
    from db.registry import get_model, require_serving_model

    with open_database(settings) as database, database.read() as session:
        model = get_model(session, version or require_serving_model(session).version)
        trained = {entry["person_id"]: entry["name"] for entry in model.manifest["classes"]}
        merges = load_merges(session)
        names = {**trained, **person_names(session, {*trained, *(merges.get(each, each) for each in trained)})}
    ids = {
        name_key(name): merges.get(person_id, person_id)
        for known in (trained, names)
        for person_id, name in known.items()
    }
    return _Candidate(version=model_version(model.id), sha256=model.sha256, names=names, ids=ids, counts_as=merges)


def _score(recogniser: "Recogniser", candidate: _Candidate, probes: _Probes) -> tuple[Scorecard, dict[str, Any]]:
    """Run the model over all photos, count, and work the figures out."""
    from core.training.scoring import make_scorecard
    from scripts.scorecard_rows import Rows

    rule = recogniser.engine.manifest.rule

    def look_at(photos: list[str], before: int) -> Iterator[PhotoResult]:
        for result in recognise_all(recogniser, photos, bar, before=before):
            yield replace(result, faces=tuple(as_counted(face, rule, candidate.counts_as) for face in result.faces))

    card, known, strangers = Scorecard(names=candidate.names), Rows(), Rows()
    groups, owners, uris = probes.groups, *_flat(probes.labelled)
    others, other_uris = _flat(probes.strangers)
    with show_progress("Measuring", len(uris) + len(other_uris), unit="photos") as bar:
        for folder, result in zip(owners, look_at(uris, 0), strict=True):
            name, truth = candidate.find(folder)
            card.add(result, name, truth)
            if truth is not None:
                known.add(result, str(truth), truth, groups.find(folder, name))
        for stranger, result in zip(others, look_at(other_uris, len(uris)), strict=True):
            card.add_stranger(result)
            strangers.add(result, stranger, None, groups.find(*stranger_names(stranger)))
    figures = make_scorecard(known.photos(), strangers.photos(), fpir_target=rule.fpir_target, groups=groups.names)
    return card, figures.to_json()


def _flat(photos: dict[str, list[str]]) -> tuple[list[str], list[str]]:
    """Return whose each photo is, and the photos."""
    return [name for name, uris in photos.items() for _ in uris], [uri for uris in photos.values() for uri in uris]
