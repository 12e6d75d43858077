"""`facefleet bench swap`: what it costs a fleet that models are swapped while it works."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from core.settings import Settings
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.output import add_row, make_console, make_table, print_fields, say, show_bytes, show_share, write_json
from scripts.progress import show_progress


@command(
    "swap",
    example="facefleet bench swap\nfacefleet bench swap --count 4000 --rounds 1 --swaps 0 --json",
)
@click.option("--photos", metavar="DIR", help="Photos that are one face each.", show_default="drawn faces")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=20_000, help="Photos a round; DIR is repeated.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, help="Processes that identify.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, help="Rounds, each with and without swaps.")
@click.option("--every", type=click.FloatRange(0.1, 3600), default=1.0, help="Seconds from one swap to the next.")
@click.option("--swaps", type=click.IntRange(0, 100_000), default=200, help="Swaps for what memory does; 0: none.")
def swap(
    invocation: Invocation, photos: str | None, count: int, workers: int, rounds: int, every: float, swaps: int
) -> None:
    """Measure what it costs that models are swapped while a fleet identifies photos.

    Every round identifies the same photos twice, undisturbed and while a model is activated every second. Then models
    are swapped many times while a job runs, and what the processes hold is compared. Nothing of it is kept.
    """
    from scripts.bench.fleet import BenchFleet
    from scripts.bench.swaps import run_swaps

    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    with tempfile.TemporaryDirectory(prefix="facefleet-bench-") as folder:
        settings = replace(Settings.from_env(), home=Path(folder), database_url="", redis_url="", artifacts="")
        with (
            show_progress("Measuring", rounds + swaps) as bar,
            BenchFleet(settings, source=photos, count=count, workers=workers) as fleet,
        ):
            document = run_swaps(
                fleet, rounds=rounds, every_s=every, swaps=swaps, on_step=lambda done: bar.update(done=done)
            )
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)
    if document["errors"] or document["chunks_with_two_models"] or document["faces_of_another_model"]:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _print(document: dict[str, Any]) -> None:
    """Show the figures side by side."""
    console = make_console()
    table = make_table(["", ">photos/s, median", ">slowest round", ">fastest round"])
    for key, title in (("undisturbed", "undisturbed"), ("swapping", f"a swap every {document['every_s']:g} s")):
        figures = document[key]["images_per_s"]
        add_row(table, title, *(f"{figures[name]:,.0f}" for name in ("median", "min", "max")))
    console.print(table)
    ratio, computing = document["swapping_over_undisturbed"], document["by_computing"]
    lag, machine = document["lag_s"], document["machine"]
    print_fields(
        console,
        [
            ("swapping / undisturbed", f"{ratio['median']:.2f} (median; {ratio['min']:.2f} to {ratio['max']:.2f})"),
            ("by what was computed", f"{computing['median']:.2f} ({computing['min']:.2f} to {computing['max']:.2f})"),
            ("work", f"{document['count']:,} photos a round, {document['rounds']} rounds, {document['source']}"),
            ("activations", f"{document['activations']}, after which {document['workers']} workers switched "
             f"{document['switches']} times"),
            ("served after", f"{lag['median']:.1f} s (median), {lag['max']:.1f} s at most"),
            ("errors", document["errors"]),
            ("chunks with two models", document["chunks_with_two_models"]),
            ("faces of another model", document["faces_of_another_model"]),
            *_memory(document["memory"]),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}"),
        ],
    )  # fmt: skip
    say("Figures of a shared machine drift; compare ratios.")


def _memory(memory: dict[str, Any] | None) -> list[tuple[str, str | None]]:
    """Say what the processes took before the first swap, after the first tenth of them, and at the end."""
    if memory is None:
        return []
    resident = "; ".join(" > ".join(map(show_bytes, of_process)) for of_process in memory["resident_bytes"])
    files = "; ".join(" > ".join(map(str, of_process)) for of_process in memory["open_files"])
    return [
        (f"memory, {memory['swaps']} swaps", f"{resident} (grew by {show_share(memory['resident_growth'])} at most)"),
        ("open files", files),
        ("replaced", f"{memory['restarted']} processes" if memory["restarted"] else None),
    ]
