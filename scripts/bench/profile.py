"""`facefleet bench profile`: where a worker's time goes while a real fleet identifies photos through the queue."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import InputError
from core.stages import Stage
from scripts.bench.options import choose_work, fleet_options, open_bench_fleet
from scripts.bench.stage_words import WORDS
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.files import replacing
from scripts.output import add_row, make_console, make_table, print_fields, say, show_share, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from scripts.bench.fleet import BenchFleet

_WARM_CHUNKS = 2
"""For each worker, before anything is measured."""
_STEPS = 2  # the stages, then what py-spy sees


@command(
    "profile",
    example="facefleet bench profile\n"
    "facefleet bench profile --faces detect --people faces/ --count 1000 --flame flame.svg",
)
@fleet_options
@click.option("--count", type=click.IntRange(1, 1_000_000), default=4000, help="Photos; DIR is repeated.")
@click.option(
    "--flame",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw a flame graph of the workers, with py-spy, as an SVG file.",
)
def profile(
    invocation: Invocation,
    faces: str,
    photos: str | None,
    people: Path | None,
    workers: int,
    count: int,
    flame: Path | None,
) -> None:
    """Measure where a worker's time goes while a fleet identifies photos.

    How long each stage takes of a worker's time and of its computing, how much of reading and decoding overlaps with
    computing, and what no stage counts. Where py-spy is installed the photos are then identified once more, for the
    functions in which the workers are seen most often, and for the flame graph. Nothing else of it is kept.
    """
    work = choose_work(faces, photos, people, workers)
    if flame is not None and not flame.absolute().parent.is_dir():
        raise InputError(f"The folder of {flame} does not exist. Nothing was measured. Make it, or name another file.")
    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    load_before = os.getloadavg()
    with (
        show_progress("Measuring", _STEPS) as bar,
        open_bench_fleet(work, count, timing_stages=True) as fleet,
    ):
        from scripts.bench.worker_time import measure

        _warm(fleet)
        measured = measure(fleet)
        bar.update(done=1)
        seen = _watch(fleet, flame)
        bar.update(done=_STEPS)
        machine = fleet.machine()
    document = {
        "faces": work.faces.value,
        "source": work.source,
        "count": count,
        "workers": workers,
        **measured,
        **seen,
        "machine": {**machine, "load": [load_before, os.getloadavg()]},
    }
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)
    if document["left_out"]:
        say(document["left_out"])
    if document["photos_failed"]:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _warm(fleet: "BenchFleet") -> None:
    """Let every worker identify some photos first."""
    fleet.run_job(fleet.uris[: _WARM_CHUNKS * fleet.workers * fleet.settings.chunk_size])


def _watch(fleet: "BenchFleet", flame: Path | None) -> dict[str, Any]:
    """Have py-spy look at the workers while they work; return the hottest functions, or why there are none, as JSON."""
    from scripts.bench.hot import NotWatchedError, watch_workers
    from scripts.bench.pyspy import INSTALL, find_pyspy

    program = find_pyspy()
    if program is None:
        why = f"py-spy is not installed, so hot functions and the flame graph are left out. To install it: {INSTALL}"
        return {"hottest": None, "flame": None, "left_out": why}
    try:
        seen = watch_workers(fleet, program, drawing=flame is not None)
    except NotWatchedError as refusal:
        return {"hottest": None, "flame": None, "left_out": str(refusal)}
    if flame is not None:
        with replacing(flame) as stream:
            stream.write(seen.flame)
    return {
        "hottest": [asdict(each) for each in seen.hottest],
        "flame": None if flame is None else str(flame),
        "left_out": None,
    }


def _print(document: dict[str, Any]) -> None:
    """Show the stages below each other, then the hottest functions."""
    console = make_console()
    table = make_table(["Stage", ">ms a photo", ">of the time", ">computing", ">of computing", ">beside it", "What"])
    for name, cost in document["stages"].items():
        add_row(
            table,
            name.replace("_", " "),
            f"{cost['wall_ms']:.3f}",
            show_share(cost["wall_share"]),
            f"{cost['computing_ms']:.3f}",
            show_share(cost["computing_share"]),
            show_share(cost["overlap"]),
            _words(name),
        )
    console.print(table)
    if document["hottest"] is not None:
        console.print()
        console.print(_hottest(document["hottest"]))
    machine = document["machine"]
    print_fields(
        console,
        [
            ("photos/s", f"{document['images_per_s']:,.0f}"),
            ("work", f"{document['photos']:,} photos, {document['source']}"),
            ("mode", f"{document['faces']}, {machine['backbone']}, {document['workers']} processes"),
            ("photos that failed", document["photos_failed"] or None),
            ("flame graph", document["flame"]),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}"),
            ("load", " before, ".join(f"{load[0]:.1f}" for load in machine["load"]) + " after"),
        ],
    )
    say(
        "Of the time: shares of the workers' time on the wall; reading and decoding are on threads of their own. "
        "Beside it: the share of their time in which photos were computed on meanwhile."
    )


def _words(name: str) -> str:
    """Say what a row is."""
    from scripts.bench.worker_time import NO_BELL, OTHER_THREADS

    rest = {
        NO_BELL: "Wait for work, and take it from the queue",
        OTHER_THREADS: "Compute in threads that no stage counts",
    }
    return rest.get(name) or WORDS[Stage(name)]


def _hottest(functions: list[dict[str, Any]]) -> Any:
    table = make_table(["Function", "Where", ">innermost", ">on the stack"])
    for each in functions:
        add_row(table, each["function"], each["file"], show_share(each["own"]), show_share(each["total"]))
    return table
