"""`facefleet people check`: what looks wrong among the labelled photos, and what mends it. Changes nothing."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import EmptySourceError, InputError
from core.records import FacesMode
from core.settings import Settings
from core.weights.store import WeightsStore
from scripts.common import Invocation, command, open_database
from scripts.failures import ExitCode
from scripts.label_findings import KINDS, count_kinds, mending
from scripts.output import make_console, print_text, say, show_count, write_json
from scripts.progress import show_progress
from scripts.training_choice import choose_training
from workers.preparation import HEAD_RECIPE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.reading import CropReader
    from core.records import Example, PersonClass
    from core.training.hygiene import Finding
    from core.training.request import SkippedPhoto


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedPhotos:
    """The labelled photos that training would learn from, as a backbone sees them, and what looks wrong."""

    classes: "list[PersonClass]"
    photos: "list[Example]"
    """One a row."""
    vectors: "NDArray[np.float32]"
    labels: "NDArray[np.int64]"
    skipped: "tuple[SkippedPhoto, ...]"
    """Photos that training would leave out."""
    findings: "list[Finding]"
    load_crop: "CropReader"


@command("check", example="facefleet people check\nfacefleet people check --pictures check/ --json")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a picture for each person of whom a photo looks wrong, as JPEG, into this folder.",
)
@click.option(
    "--backbone",
    metavar="NAME",
    help="Pretrained weights to compare photos with.",
    show_default="face-reidentification-retail-0095",
)
def check(invocation: Invocation, pictures: Path | None, backbone: str | None) -> None:
    """Look for labelled photos that look wrong: under a wrong name, nearly the same, too few.

    Photos are looked at as training does it. Nothing is changed: each finding stands with the command that mends it.
    The exit code is 1 when something was found.
    """
    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was changed."
    if pictures is not None:
        from scripts.pictures import check_folder

        check_folder(pictures)
    checked = _look(settings, backbone)
    written = _write_pictures(checked, pictures) if pictures else 0
    document = _document(checked, pictures, written)
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)
    if checked.findings:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _look(settings: Settings, backbone: str | None) -> CheckedPhotos:
    """Embed the labelled photos, and compare them.

    Raises:
        EmptySourceError: there are none.
        InputError: the backbone is a network that is trained from scratch.
        WeightsMissingError: its weights are not on this machine.
    """
    from core.training.findings import kept_examples
    from core.training.hygiene import find_problems
    from db.people import training_set
    from workers.preparation import prepare_training

    with open_database(settings) as database, database.read() as session:
        classes, train, _ = training_set(session)
    examples = [example for example in train if example.class_index >= 0]
    if not examples:
        raise EmptySourceError("There are no labelled photos to check. Import some: facefleet people import DIR")
    options = {"backbone": _choose_backbone(settings, backbone), "faces": FacesMode.DETECT}
    prepared = prepare_training(HEAD_RECIPE, options, settings, device="cpu", threads=1)
    vectors, labels, skipped = _embed(examples, classes, prepared, settings)
    return CheckedPhotos(
        classes=classes,
        photos=kept_examples(examples, skipped, labels.tolist()),
        vectors=vectors,
        labels=labels,
        skipped=skipped,
        findings=find_problems(vectors, labels),
        load_crop=prepared.load_crop,
    )


def _choose_backbone(settings: Settings, backbone: str | None) -> str:
    """Return the pretrained weights that training would take, or those that were asked for.

    Raises:
        InputError: they are a network that is trained from scratch.
    """
    choice = choose_training(WeightsStore.from_settings(settings), None, backbone, FacesMode.DETECT)
    if choice.recipe != HEAD_RECIPE:
        raise InputError(
            f"{choice.backbone} is trained from scratch and cannot compare photos before that. Nothing was looked at. "
            "Name pretrained weights: facefleet weights list"
        )
    return choice.backbone


def _embed(
    examples: "list[Example]", classes: "list[PersonClass]", prepared: Any, settings: Settings
) -> "tuple[NDArray[np.float32], NDArray[np.int64], tuple[SkippedPhoto, ...]]":
    """Embed photos as training does it: vectors and labels of those that can be used, and the others."""
    from core.training.embedding import embed_photos, open_embedder
    from core.training.request import TrainingRequest

    request = TrainingRequest(
        classes=tuple(classes),
        train=tuple(examples),
        test=(),
        recipe=HEAD_RECIPE,
        threads=None,
        read_threads=settings.read_threads,
    )
    with (
        show_progress("Looking at photos", len(examples), unit="photos") as bar,
        open_embedder(prepared.embedder, request) as embed,
    ):
        done = 0

        def load_crop(example: "Example") -> "NDArray[np.uint8]":
            nonlocal done
            done += 1
            bar.update(done=done)
            crop: NDArray[np.uint8] = prepared.load_crop(example)
            return crop

        seen, skipped = embed_photos(examples, embed, request, load_crop, lambda: False)
    return seen.vectors.numpy(), seen.labels.numpy(), skipped


def _write_pictures(checked: CheckedPhotos, folder: Path) -> int:
    """Write a picture a person; return how many."""
    from scripts.people_sheets import write_sheets

    people = len({finding.person for finding in checked.findings if finding.photo is not None})
    with show_progress("Writing pictures", people, unit="pictures") as bar:
        return write_sheets(checked, folder, lambda done: bar.update(done=done))


def _document(checked: CheckedPhotos, folder: Path | None, written: int) -> dict[str, Any]:
    from core.training.findings import as_json

    findings = [as_json(finding, checked.photos, checked.classes) for finding in checked.findings]
    return {
        "photos": len(checked.photos),
        "people": len(checked.classes),
        "left_out": dict(Counter(photo.code for photo in checked.skipped).most_common()),
        "by_kind": dict(Counter(finding["kind"] for finding in findings).most_common()),
        "findings": [{**finding, "mend": mending(finding)} for finding in findings],
        "folder": str(folder) if folder else None,
        "pictures": written,
    }


def _print(document: dict[str, Any]) -> None:
    """Print each finding with what mends it."""
    console = make_console()
    for finding in document["findings"]:
        print_text(console, _sentence(finding))
        print_text(console, finding["mend"], indent=4)
    looked = f"{show_count(document['photos'], 'photo')} of {show_count(document['people'], 'person', 'people')}"
    say(f"{looked}: {count_kinds(document['by_kind']) or 'nothing looks wrong'}.")
    if document["left_out"]:
        codes = ", ".join(f"{count:,} {code}" for code, count in document["left_out"].items())
        say(f"Not looked at, as training would leave them out: {codes}.")
    if document["pictures"]:
        say(f"{document['folder']}: {show_count(document['pictures'], 'picture')}.")


def _sentence(finding: dict[str, Any]) -> str:
    """Say what was found of a photo or a person, with the similarities."""
    what = KINDS[finding["kind"]]
    if finding["photo"] is None:
        return f"{finding['person']} {what}."
    own = "" if finding["similarity"] is None else f", {finding['similarity']:.2f} like {finding['person']}"
    if finding["suggested"] is not None:
        what = f"looks like {finding['suggested']} ({finding['suggested_similarity']:.2f}{own})"
    elif finding["kind"] == "duplicate":
        what = f"is nearly the same as {finding['like']} ({finding['similarity']:.2f})"
    else:
        what += f" ({own.removeprefix(', ')})"
    return f"{finding['photo']}, labelled {finding['person']}, {what}."
