"""`facefleet bench compare`: the cluster against other ways to identify the same photos, paired in one run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.bench.options import BenchWork, choose_work, fleet_options, open_bench_fleet
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.output import add_row, make_console, make_table, print_fields, print_text, say, write_json
from scripts.progress import show_progress
from scripts.scorecard_picture import check_picture

if TYPE_CHECKING:
    from rich.console import Console


@command(
    "compare",
    example="facefleet bench compare\n"
    "facefleet bench compare --faces detect --people faces/ --photos photos/ --rounds 5 --picture speed.png",
)
@fleet_options
@click.option("--count", type=click.IntRange(1, 1_000_000), default=4000, help="Photos a round; DIR is repeated.")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, help="Rounds; each times every contender.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw it, as .png or .svg.")
def compare(
    invocation: Invocation,
    faces: str,
    photos: str | None,
    people: Path | None,
    workers: int,
    count: int,
    rounds: int,
    picture: Path | None,
) -> None:
    """Compare the cluster with other ways to identify the same photos.

    Against a bare loop without queue and database; Celery as one writes it first, a task for every photo; a plain
    script of OpenCV and OpenVINO; and Ray Data, with the same recogniser in it and written plainly. All are warm and
    run one after the other in every round, in changing order. What cannot run here is listed with what mends it.
    Nothing of it is kept.
    """
    work = choose_work(faces, photos, people, workers)
    check_picture(picture)
    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    document = measure(work, count, rounds)
    if picture is not None:
        from scripts.bench.compare_picture import write_comparison

        write_comparison(picture, document)
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)
    if document["photos_failed"] or any(each["broke_down"] for each in document["absent"]):
        raise click.exceptions.Exit(ExitCode.FAILURES)


def measure(work: BenchWork, count: int, rounds: int) -> dict[str, Any]:
    """Set all contenders up, time them, and return all figures as JSON."""
    from core.machine import describe_machine
    from scripts.bench.compare_field import open_field, versions
    from scripts.bench.compare_rounds import OURS, describe_absent, describe_contenders, time_rounds

    load_before = os.getloadavg()
    with (
        show_progress("Measuring", rounds) as bar,
        open_bench_fleet(work, count) as fleet,
        open_field(fleet) as (contenders, absent),
    ):
        timed, broken = time_rounds(contenders, fleet.uris, rounds, lambda done: bar.update(done=done))
        backbone = fleet.backbone
    return {
        "faces": work.faces.value,
        "source": work.source,
        "count": count,
        "rounds": rounds,
        "workers": work.workers,
        "backbone": backbone,
        "photos_failed": timed[OURS][-1].errors,
        "contenders": describe_contenders(contenders, timed, count),
        "absent": describe_absent([*absent, *broken]),
        "machine": {**describe_machine(), "versions": versions(), "load": [load_before, os.getloadavg()]},
    }


def _print(document: dict[str, Any]) -> None:
    """Show the figures side by side."""
    console = make_console()
    headings = ["", ">photos/s, median", ">slowest", ">fastest", ">cluster / this", ">computing, ms a photo", ">faces"]
    table = make_table(headings)
    for figures in document["contenders"].values():
        rates = [f"{figures['images_per_s'][name]:,.0f}" for name in ("median", "min", "max")]
        computing = figures["computing_ms"] and f"{figures['computing_ms']['median']:.2f}"
        ratio = show_ratio(figures["cluster_over"])
        add_row(table, figures["title"], *rates, ratio, computing, f"{figures['faces']:,}")
    console.print(table)
    print_absent(console, document["absent"])
    machine = document["machine"]
    print_fields(
        console,
        [
            ("work", f"{document['count']:,} photos a round, {document['rounds']} rounds, {document['source']}"),
            ("mode", f"{document['faces']}, {document['backbone']}, {document['workers']} processes"),
            *(
                (figures["title"], f"{figures['does']} {figures['ran_as']}".strip())
                for figures in document["contenders"].values()
            ),
            ("photos that failed", document["photos_failed"] or None),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, {show_versions(machine['versions'])}"),
            ("load", " before, ".join(f"{load[0]:.1f}" for load in machine["load"]) + " after"),
        ],
    )
    say("Figures of a shared machine drift; compare ratios.")


def print_absent(console: "Console", absent: Sequence[Mapping[str, str]]) -> None:
    """Say who was not compared, why, and what to type to have them."""
    for each in absent:
        print_text(console, f"Not compared: {each['title']}: {each['reason']}. To have it: {each['remedy']}")


def show_ratio(ratio: dict[str, float] | None) -> str | None:
    """Return how many times as fast, with its range; None for the one that the others are compared with."""
    return None if ratio is None else f"{ratio['median']:.2f}x ({ratio['min']:.2f} to {ratio['max']:.2f})"


def show_versions(versions: dict[str, str]) -> str:
    """Return names with their versions."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
