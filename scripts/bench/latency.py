"""`facefleet bench latency`: how long one photo takes from the submission to its stored outcome, on an idle cluster."""

import math
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.bench.options import choose_work, fleet_options, open_bench_fleet
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.output import add_row, make_console, make_table, print_fields, say, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from scripts.bench.fleet import BenchFleet

_LOOK_S = 0.001
_PATIENCE_S = 60.0
_PAUSE_S = (0.05, 0.3)
"""Between two photos, drawn by chance, so that no photo comes at the same moment of the workers' own turns."""
_WARM_PHOTOS = 10
_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@command(
    "latency",
    example="facefleet bench latency\nfacefleet bench latency --faces detect --people faces/ --count 500 --json",
)
@fleet_options
@click.option("--count", type=click.IntRange(1, 100_000), default=200, help="Photos, one after the other.")
def latency(
    invocation: Invocation, faces: str, photos: str | None, people: Path | None, workers: int, count: int
) -> None:
    """Measure how long one photo takes on an idle cluster.

    Each photo is a job of its own, submitted when the one before has its outcome and a moment has passed: from the
    call that submits to the moment when the outcome can be read from the database. Nothing of it is kept.
    """
    work = choose_work(faces, photos, people, workers)
    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    load_before = os.getloadavg()
    with show_progress("Measuring", count, unit="photos") as bar, open_bench_fleet(work, count) as fleet:
        measured = measure(fleet, count, lambda done: bar.update(done=done))
        machine = fleet.machine()
    document = {
        "faces": work.faces.value,
        "source": work.source,
        "count": count,
        "workers": workers,
        **measured,
        "machine": {**machine, "load": [load_before, os.getloadavg()]},
    }
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)
    if document["photos_failed"]:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def measure(fleet: "BenchFleet", count: int, on_photo: Callable[[int], None]) -> dict[str, Any]:
    """Submit photos one at a time; return how long each took, as JSON.

    Args:
        fleet: up and idle.
        count: photos; the first few beyond it are not counted, as workers wake up with them.
        on_photo: told how many are done.
    """
    chance = random.Random(0)
    submitting, stored, failed = [], [], 0
    for number in range(-_WARM_PHOTOS, count):
        time.sleep(chance.uniform(*_PAUSE_S))
        took = _time_one(fleet, fleet.uris[number % len(fleet.uris)])
        if number >= 0:
            submitting.append(took[0])
            stored.append(took[1])
            failed += took[2]
            on_photo(number + 1)
    return {"stored_ms": summary(stored), "submitted_ms": summary(submitting), "photos_failed": failed}


def _time_one(fleet: "BenchFleet", uri: str) -> tuple[float, float, int]:
    """Submit a photo; return the seconds until the call came back and until the outcome was there, and failures."""
    begun_s = time.perf_counter()
    job_public_id = fleet.submit([uri])
    submitted_s = time.perf_counter() - begun_s
    while (job := fleet.look(job_public_id)).finished_at is None:
        if time.perf_counter() - begun_s > _PATIENCE_S:
            raise TimeoutError(f"a photo had no outcome after {_PATIENCE_S:.0f} s")
        time.sleep(_LOOK_S)
    return submitted_s, time.perf_counter() - begun_s, job.items_error


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return percentiles (the smallest value that so many do not exceed), the mean and the extremes, in ms."""
    ordered = sorted(seconds)
    percentiles = {name: ordered[math.ceil(share * len(ordered)) - 1] for name, share in _SHARES.items()}
    figures = {**percentiles, "mean": sum(ordered) / len(ordered), "min": ordered[0], "max": ordered[-1]}
    return {name: 1e3 * value for name, value in figures.items()}


def _print(document: dict[str, Any]) -> None:
    """Show the percentiles."""
    console = make_console()
    table = make_table(["", ">p50", ">p95", ">p99", ">fastest", ">slowest"])
    for key, title in (("submitted_ms", "submitted"), ("stored_ms", "outcome stored")):
        figures = document[key]
        add_row(table, title, *(f"{figures[name]:.0f} ms" for name in ("p50", "p95", "p99", "min", "max")))
    console.print(table)
    machine = document["machine"]
    print_fields(
        console,
        [
            ("work", f"{document['count']:,} photos, one at a time, {document['source']}"),
            ("mode", f"{document['faces']}, {machine['backbone']}, {document['workers']} processes"),
            ("photos that failed", document["photos_failed"] or None),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}"),
            ("load", " before, ".join(f"{load[0]:.1f}" for load in machine["load"]) + " after"),
        ],
    )
    say("From the call that submits a photo. Other work on the machine makes all of it longer.")
