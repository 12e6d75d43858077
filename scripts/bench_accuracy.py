"""`facefleet bench accuracy`: how well a pretrained backbone verifies and identifies on labelled photos."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.machine import describe_machine
from scripts.output import (
    add_row,
    make_console,
    make_table,
    print_fields,
    print_text,
    say,
    show_count,
    show_duration,
    show_share,
    write_json,
)
from scripts.photo_folders import find_labelled, find_photos
from scripts.progress import show_progress

if TYPE_CHECKING:
    from rich.console import Console

    from scripts.bench_seen import SeenPhotos

_ERRORS_KEPT = 20
_ERRORS_SHOWN = 5
_DIGITS = 2


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
    from scripts.bench_protocols import check_people
    from scripts.bench_seen import look_at, open_backbone

    settings = Settings.from_env()
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
        **_measure(known, others, counts, draws),
        "seconds": time.monotonic() - begun_s,
        "machine": {**describe_machine(), "variant": variant},
    }
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)
    if known.errors or others.errors:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _measure(known: "SeenPhotos", strangers: "SeenPhotos", counts: Sequence[int], draws: int) -> dict[str, Any]:
    """Count everything."""
    from scripts.bench_protocols import measure_identification, measure_verification

    errors = [*known.errors, *strangers.errors]
    identification = []
    with show_progress("Learning people", len(counts) * draws) as bar:
        for place, count in enumerate(counts):

            def tell(done: int, before: int = place * draws) -> None:
                bar.update(done=before + done)

            identification.append(measure_identification(known, strangers, count, draws, tell))
    return {
        "known": {"people": len(set(known.owners.tolist())), **known.to_json()},
        "strangers": strangers.to_json() if len(strangers) or strangers.errors else None,
        "verification": measure_verification(known, draws),
        "identification": identification,
        "first_errors": [
            {"uri": uri, "code": error.code, "message": error.message} for uri, error in errors[:_ERRORS_KEPT]
        ],
    }


def _print(document: dict[str, Any]) -> None:
    """Show what was looked at, verification, and a row for each number of photos learned from."""
    console = make_console()
    verification = document["verification"]
    folds = verification["fold_accuracy"]
    print_fields(
        console,
        [
            ("Backbone", document["backbone"]),
            ("Known people", f"{document['known']['people']:,}: {_show_photos(document['known'])}"),
            ("Strangers", document["strangers"] and _show_photos(document["strangers"])),
            (
                "Pairs verified",
                f"{verification['pairs_within']:,} of one person, {verification['pairs_across']:,} of two; "
                f"mean of {show_count(verification['draws'], 'draw')}",
            ),
            (
                "  best threshold",
                f"{_show_spread(verification['best_accuracy'])} right, at {verification['best_threshold']['mean']:.3f}",
            ),
            (
                "  threshold of others",
                folds and f"{_show_spread(folds)} right, each of {verification['folds']} folds by the other people's",
            ),
        ],
    )
    console.print()
    _print_identification(console, document["identification"])
    console.print()
    machine = document["machine"]
    print_fields(
        console,
        [
            ("run as", f"{machine['variant']}, in {show_duration(document['seconds'])}"),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}"),
        ],
    )
    for error in document["first_errors"][:_ERRORS_SHOWN]:
        say(f"Unusable: {error['uri']}: {error['message']}")


def _print_identification(console: "Console", rows: Sequence[dict[str, Any]]) -> None:
    """Print a row for each number of photos learned from; cells without strangers stay empty."""
    fpirs = list(rows[0]["tpir_at_fpir"] or ())
    table = make_table(
        [
            ">Learned from",
            ">Tried",
            ">Nearest right",
            *(f">TPIR, FPIR {show_share(float(fpir))}" for fpir in fpirs),
            ">Rule: TPIR",
            ">FPIR",
            ">named wrong",
        ],
        title=f"People identified, mean of {show_count(rows[0]['draws'], 'draw')}",
    )
    for row in rows:
        rule = row["rule"]
        figures = [row["rank1"], *(row["tpir_at_fpir"][fpir] for fpir in fpirs)]
        figures += [rule["tpir"], rule["fpir"], rule["named_wrong"]]
        learned = f"{row['people']:,} x {show_count(row['photos_a_person'], 'photo')}"
        shares = [figure and show_share(figure["mean"], _DIGITS) for figure in figures]
        add_row(table, learned, f"{row['photos']:,}", *shares)
    console.print(table)
    print_text(
        console,
        "TPIR, FPIR: named right, under the threshold that lets this share of these very strangers get a name. "
        "Rule: the reject rule that training chose without seeing any of them, and the quality gate.",
    )


def _show_photos(counts: dict[str, Any]) -> str:
    """Say what photos show."""
    parts = {
        "without a face": counts["no_face"],
        "with several faces": counts["several_faces"],
        "with a poor face": counts["poor_face"],
        "unusable": counts["errors"],
    }
    return ", ".join([show_count(counts["photos"], "photo"), *(f"{count:,} {what}" for what, count in parts.items())])


def _show_spread(figure: dict[str, float] | None) -> str | None:
    """Show a rate as mean and range."""
    if figure is None:
        return None
    low, high = (f"{100 * figure[end]:.{_DIGITS}f}" for end in ("min", "max"))
    return f"{show_share(figure['mean'], _DIGITS)} ({low} to {high})"
