"""`facefleet bench engine`: embedding alone, facefleet's engine against OpenVINO in both its modes."""

import os
from typing import TYPE_CHECKING, Any

import click

from core.weights.spec import DEFAULT_EMBEDDER
from scripts.bench.compare import print_absent, show_ratio, show_versions
from scripts.bench.options import bench_settings
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.output import add_row, make_console, make_table, print_fields, say, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.bench.contender import Timed
    from scripts.bench.engine_sides import EngineSide

_CROPS = 512


@command("engine", example="facefleet bench engine\nfacefleet bench engine --count 8192 --rounds 15 --json")
@click.option("--backbone", metavar="NAME", default=DEFAULT_EMBEDDER, help="The pretrained weights to measure.")
@click.option("--count", type=click.IntRange(_CROPS, 10_000_000), default=4096, help="Crops a round, in whole 512s.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, help="Processes of facefleet's side.")
@click.option("--rounds", type=click.IntRange(1, 100), default=9, help="Rounds; each times every side.")
def engine(invocation: Invocation, backbone: str, count: int, workers: int, rounds: int) -> None:
    """Measure how fast a pretrained backbone embeds aligned faces, against OpenVINO.

    Each side uses all cores as it does best: facefleet a process on each core, OpenVINO its THROUGHPUT and its LATENCY
    mode at the batch that is fastest here. All embed the same crops, and their embeddings are compared.
    """
    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    document = measure(backbone, count, workers, rounds)
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)
    if any(each["broke_down"] for each in document["absent"]):
        raise click.exceptions.Exit(ExitCode.FAILURES)


def measure(backbone: str, count: int, workers: int, rounds: int) -> dict[str, Any]:
    """Set all sides up, time them in changing order, and return all figures as JSON."""
    from core.machine import describe_machine
    from core.weights.store import WeightsStore
    from scripts.bench.compare_field import versions
    from scripts.bench.compare_rounds import describe_absent, order_of_round
    from scripts.bench.computing import computed_s
    from scripts.bench.contender import Timed
    from scripts.bench.engine_sides import make_crops, open_sides

    load_before, repeats = os.getloadavg(), count // _CROPS
    with bench_settings(pretrained=True, backbone=backbone) as settings, show_progress("Measuring", rounds) as bar:
        spec = WeightsStore.from_settings(settings).get_spec(backbone)
        size = spec.embedder.input_size_px if spec.embedder else 0
        with open_sides(settings, spec, make_crops(size, _CROPS), workers) as (sides, absent):
            by_key = {side.card.key: side for side in sides}
            timed: dict[str, list[Timed]] = {key: [] for key in by_key}
            for number in range(rounds):
                for key in order_of_round(list(by_key), number):
                    before_s = computed_s()
                    seconds = by_key[key].run(repeats)
                    spent_s = computed_s() - before_s
                    timed[key].append(Timed(seconds=seconds, faces=count, computing_s=spent_s))
                bar.update(done=number + 1)
    return {
        "backbone": backbone,
        "count": repeats * _CROPS,
        "rounds": rounds,
        "workers": workers,
        "sides": _describe(sides, timed, repeats * _CROPS),
        "absent": describe_absent(absent),
        "machine": {**describe_machine(), "versions": versions(), "load": [load_before, os.getloadavg()]},
    }


def _describe(sides: "Sequence[EngineSide]", timed: "dict[str, list[Timed]]", count: int) -> dict[str, Any]:
    """Return the figures of each side; the first is ours."""
    from scripts.bench.compare_rounds import ratios
    from scripts.bench.rounds import rates, spread

    ours, own = sides[0], timed[sides[0].card.key]
    described = {}
    for side in sides:
        times = timed[side.card.key]
        seconds = [each.seconds for each in times]
        described[side.card.key] = {
            "title": side.card.title,
            "does": side.card.does,
            "ran_as": side.ran_as,
            "seconds": seconds,
            "crops_per_s": rates(seconds, count)["images_per_s"],
            "computing_ms": spread([1e3 * (each.computing_s or 0.0) / count for each in times]),
            "facefleet_over": None if side is ours else ratios(times, own, "seconds"),
            "facefleet_over_by_computing": None if side is ours else ratios(times, own, "computing_s"),
            "least_cosine_to_ours": None if side is ours else least_cosine(ours, side),
        }
    return described


def least_cosine(ours: "EngineSide", theirs: "EngineSide") -> float:
    """Return how alike the two embeddings of a crop are, of the crop where they are least."""
    from core.faces.vectors import directions

    if ours.vectors is None or theirs.vectors is None:
        raise ValueError("a side has not run")
    return float((directions(ours.vectors) * directions(theirs.vectors)).sum(axis=1).min())


def _print(document: dict[str, Any]) -> None:
    """Show the figures side by side."""
    console = make_console()
    headings = ["", ">crops/s, median", ">slowest", ">fastest", ">facefleet / this", ">computing, ms a crop"]
    table = make_table([*headings, ">least cosine"])
    for figures in document["sides"].values():
        rates = [f"{figures['crops_per_s'][name]:,.0f}" for name in ("median", "min", "max")]
        cosine = figures["least_cosine_to_ours"]
        ratio = show_ratio(figures["facefleet_over"])
        computing = f"{figures['computing_ms']['median']:.2f}"
        add_row(table, figures["title"], *rates, ratio, computing, None if cosine is None else f"{cosine:.4f}")
    console.print(table)
    print_absent(console, document["absent"])
    machine = document["machine"]
    print_fields(
        console,
        [
            ("work", f"{document['count']:,} crops a round, {document['rounds']} rounds, {document['backbone']}"),
            *((each["title"], f"{each['does']} {each['ran_as']}") for each in document["sides"].values()),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, {show_versions(machine['versions'])}"),
            ("load", " before, ".join(f"{load[0]:.1f}" for load in machine["load"]) + " after"),
        ],
    )
    say("Figures of a shared machine drift; compare ratios.")
