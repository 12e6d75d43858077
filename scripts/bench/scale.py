"""`facefleet bench scale`: how fast a fleet of any size would be, simulated with what its work costs here."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import InputError
from core.machine import describe_machine
from core.records import FacesMode
from core.settings import Settings
from scripts.bench.options import database_option
from scripts.common import Invocation, command
from scripts.output import write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from scripts.simulate_costs import ComputeCost, UnitCosts
    from scripts.simulate_fleet import Plan

_WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000, 5000, 10_000)
_MOST_WORKERS = 10_000
_MB = 1e6


@command(
    "scale",
    example="facefleet bench scale --json > scale.json\n"
    "facefleet bench scale --costs scale.json --chunk-size 1024 --jobs 16 --picture scale.svg",
)
@click.option("--photos", metavar="DIR", help="Photos that are one face each.", show_default="drawn faces")
@database_option
@click.option(
    "--rows", type=click.IntRange(20_000, 100_000_000), default=200_000, help="Photos that it is filled with."
)
@click.option("--processes", type=click.IntRange(1, 64), multiple=True, default=(1, 2, 4), help="Fleets that are run.")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=5000, help="Photos a round; DIR is repeated.")
@click.option("--rounds", type=click.IntRange(1, 100), default=6, help="Rounds; the quieter half of them counts.")
@click.option(
    "--costs", type=click.Path(path_type=Path), metavar="FILE", help="What --json wrote; nothing is measured."
)
@click.option(
    "--workers",
    type=click.IntRange(1, _MOST_WORKERS),
    multiple=True,
    default=_WORKERS,
    help="Fleets that are simulated.",
)
@click.option(
    "--faces",
    type=click.Choice([mode.value for mode in FacesMode]),
    default=FacesMode.CROP.value,
    help="crop: photos are one face each; detect: faces are found.",
)
@click.option(
    "--faster", type=click.FloatRange(0.01, 10_000), default=1.0, help="A worker's speed, in cores of this machine."
)
@click.option("--chunk-size", type=click.IntRange(1, 10_000), default=128, help="Photos a worker claims at once.")
@click.option("--jobs", type=click.IntRange(1, 10_000), default=1, help="Jobs that run at once in each database.")
@click.option("--databases", type=click.IntRange(1, 1000), default=1, help="Databases that share the jobs.")
@click.option("--database-cores", type=click.IntRange(1, 1000), default=16, help="Of each PostgreSQL server.")
@click.option("--round-trip-ms", type=click.FloatRange(0, 1000), default=0.5, help="Of the network, to the database.")
@click.option("--photo-bytes", type=click.IntRange(1, 10**9), help="Of a photo on average.", show_default="as measured")
@click.option(
    "--store-mb-s", type=click.FloatRange(0.1, 1e9), default=1250.0, help="MB/s that the photos' store gives."
)
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw it too, as .png or .svg.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of what is drawn by chance.")
def scale(invocation: Invocation, costs: Path | None, picture: Path | None, seed: int, **options: Any) -> None:
    """Simulate fleets of 1 to 10,000 workers over 1,000,000,000 photos, and say what holds each up.

    What a chunk costs is measured on this machine first: recognising, claiming, committing, ringing, reading. Real
    fleets of a few processes are run beside and compared with what the simulation says of them. docs/scaling.md tells
    what is simulated and what is not.
    """
    from scripts.bench.scale_picture import draw_scale
    from scripts.bench.scale_report import print_scale
    from scripts.scorecard_picture import check_picture

    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    check_picture(picture)
    measured = _measure(seed, **options) if costs is None else _read(costs)
    document = {**measured, **_simulate(measured["costs"], seed, **options)}
    if picture is not None:
        draw_scale(picture, document)
    if invocation.as_json:
        write_json(document)
    else:
        print_scale(document)


def _read(file: Path) -> dict[str, Any]:
    """Return what an earlier call measured.

    Raises:
        InputError: the file holds something else.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return {key: document[key] for key in ("costs", "check")}
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}. Nothing was simulated. Measure anew: leave --costs out."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file} is not what `facefleet bench scale --json` writes. Nothing was simulated. "
            "Measure anew: leave --costs out."
        ) from error


def _measure(
    seed: int,
    *,
    photos: str | None,
    url: str | None,
    rows: int,
    processes: tuple[int, ...],
    count: int,
    rounds: int,
    **_: Any,
) -> dict[str, Any]:
    """Measure what work costs, and run the fleets that simulations are compared with."""
    from scripts.bench.database import empty_database
    from scripts.bench.ledger import measure_ledger
    from scripts.bench.scale_check import (
        check_count,
        compare,
        gather_costs,
        measure_detecting,
        one_a_core,
        run_fleet,
    )

    settings = Settings.from_env()
    check_count(count, processes, settings.chunk_size)
    with show_progress("Measuring", len(processes) + 2) as bar:
        with empty_database(url) as database:
            ledger, kind = measure_ledger(database, rows), "sqlite" if database.is_sqlite else "postgresql"
        bar.update(done=1)
        detecting = measure_detecting(settings, photos, rounds)
        bar.update(done=2)
        fleets = []
        for number in processes:
            fleets.append(run_fleet(settings, photos=photos, count=count, processes=number, rounds=rounds, url=url))
            bar.update(done=2 + len(fleets))
    costs = gather_costs(kind, ledger, one_a_core(fleets), detecting, describe_machine())
    return {"costs": costs.to_json(), "check": compare(costs, fleets, seed)}


def _simulate(
    measured: dict[str, Any],
    seed: int,
    *,
    workers: tuple[int, ...],
    faces: str,
    faster: float,
    store_mb_s: float,
    round_trip_ms: float,
    photo_bytes: int | None,
    **options: Any,
) -> dict[str, Any]:
    """Simulate the fleets that were asked for, and what moves the ceiling of the largest."""
    from scripts.simulate_costs import UnitCosts
    from scripts.simulate_fleet import Plan
    from scripts.simulate_levers import climb, count_steps, pull_levers, sweep

    costs = UnitCosts.from_json(measured)
    detect = faces == FacesMode.DETECT
    if detect and costs.detect is None:
        raise InputError(
            "Finding faces was not measured, as the weights are not on this machine. Nothing was simulated. "
            "Get them with `facefleet weights pull --all` and measure anew."
        )
    settings = Settings.from_env()
    kept = {name: options[name] for name in ("chunk_size", "jobs", "databases", "database_cores")}
    plan = Plan(
        workers=max(workers),
        detect=detect,
        round_trip_s=round_trip_ms / 1000,
        photo_bytes=photo_bytes or 0.0,
        store_bytes_per_s=store_mb_s * _MB,
        read_threads=settings.read_threads,
        poll_s=settings.model_poll_s,
        compute=_faster(costs, detect, faster),
        **kept,
    )
    steps = count_steps(costs, plan, workers)
    document: dict[str, Any] = {"plan": _plan_json(plan), "sweep": [], "levers": [], "ladder": []}
    with show_progress("Simulating", steps) as bar:
        parts = (
            ("sweep", sweep(costs, plan, workers, seed)),
            ("levers", pull_levers(costs, plan, seed)),
            ("ladder", climb(costs, plan, seed)),
        )
        done = 0
        for name, fleets in parts:
            for fleet in fleets:
                document[name].append(fleet)
                done += 1
                bar.update(done=done)
    return document


def _faster(costs: "UnitCosts", detect: bool, times: float) -> "ComputeCost":
    """Return what recognising costs a worker that is so many times as fast as a core of this machine."""
    cost = costs.detect if detect and costs.detect else costs.compute
    chunk = replace(cost.chunk, fixed_s=cost.chunk.fixed_s / times, photo_s=cost.chunk.photo_s / times)
    return replace(cost, chunk=chunk)


def _plan_json(plan: "Plan") -> dict[str, Any]:
    """Return what was simulated as JSON, which has no infinity."""
    values = {name: value for name, value in asdict(plan).items() if name not in {"workers", "compute", "shared_cores"}}
    return {name: None if value == math.inf else value for name, value in values.items()}
