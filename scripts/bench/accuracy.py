"""`facefleet bench accuracy`: how well a pretrained backbone verifies and identifies on labelled photos."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.machine import describe_machine
from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER
from core.weights.store import WeightsStore
from scripts.bench.accuracy_report import print_accuracy
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.output import make_console, write_json
from scripts.photo_folders import find_labelled, find_photos
from scripts.progress import show_progress

if TYPE_CHECKING:
    from scripts.bench.learning import Backbone
    from scripts.bench.seen import SeenPhotos

_ERRORS_KEPT = 20


@command(
    "accuracy",
    example="facefleet bench accuracy faces/ --strangers other_faces/\n"
    "facefleet bench accuracy faces/ --photos-a-person 1 --photos-a-person 3 --draws 20 --json",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--strangers", type=click.Path(path_type=Path), metavar="DIR", help="Photos of people who must get no name."
)
@click.option("--backbone", metavar="NAME", default=DEFAULT_EMBEDDER, help="The pretrained weights to measure.")
@click.option(
    "--photos-a-person",
    "counts",
    metavar="K",
    type=click.IntRange(1, 1000),
    multiple=True,
    default=(3,),
    help="Photos that a person is learned from; may be given several times.",
)
@click.option(
    "--draws", metavar="N", type=click.IntRange(1, 1000), default=6, help="Seeded draws that figures are the mean of."
)
def accuracy(
    invocation: Invocation, folder: Path, strangers: Path | None, backbone: str, counts: tuple[int, ...], draws: int
) -> None:
    """Measure how well a pretrained backbone tells the people of labelled photos apart, without storing anything.

    DIR holds DIR/<person>/<image>, or train/ and test/, of which test/ is taken. Faces are found, aligned, judged and
    embedded as workers do it. A photo is taken to be about one face: the largest and nearest the middle, a good one
    before a poor one. That is right for labelled press photos, and wrong for photos of groups.
    """
    from scripts.bench.learning import Backbone
    from scripts.bench.protocols import check_people
    from scripts.bench.seen import look_at, open_backbone

    settings = Settings.from_env()
    spec = WeightsStore.from_settings(settings).get_spec(backbone).embedder
    measured = Backbone(name=backbone, published=spec.scores if spec else None)
    invocation.on_interrupt = "Nothing was stored."
    labelled = find_labelled(folder)
    unlabelled = find_photos(strangers) if strangers else []
    check_people([len(photos) for photos in labelled.values()], max(counts), "photos")
    begun_s = time.monotonic()
    with open_backbone(settings, backbone) as recogniser:
        known, others = look_at(recogniser, labelled, unlabelled)
        variant = recogniser.engine.variant
    document = {
        "backbone": backbone,
        **measure(known, others, counts, draws, measured),
        "seconds": time.monotonic() - begun_s,
        "machine": {**describe_machine(), "variant": variant},
    }
    if invocation.as_json:
        write_json(document)
    else:
        print_accuracy(make_console(), document)
    if known.errors or others.errors:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def measure(
    known: "SeenPhotos",
    strangers: "SeenPhotos",
    counts: Sequence[int],
    draws: int,
    backbone: "Backbone",
) -> dict[str, Any]:
    """Return all figures as JSON.

    Args:
        known: photos of people to be told apart.
        strangers: photos of others; may be none.
        counts: how many photos a person is learned from.
        draws: how often each choice is drawn.
        backbone: what made the embeddings.

    Raises:
        InputError: fewer than two people have more good photos than are learned from.
    """
    from scripts.bench.protocols import measure_identification, measure_verification

    errors = [*known.errors, *strangers.errors]
    identification = []
    with show_progress("Learning people", len(counts) * draws) as bar:
        for place, count in enumerate(counts):

            def tell(done: int, before: int = place * draws) -> None:
                bar.update(done=before + done)

            identification.append(measure_identification(known, strangers, count, draws, tell, backbone))
    return {
        "known": {"people": len(set(known.owners.tolist())), **known.to_json()},
        "strangers": strangers.to_json() if len(strangers) or strangers.errors else None,
        "verification": measure_verification(known, draws),
        "identification": identification,
        "first_errors": [
            {"uri": uri, "code": error.code, "message": error.message} for uri, error in errors[:_ERRORS_KEPT]
        ],
    }
