"""`facefleet bench growth`: does a photo cost the same in a large job as in a small one, and does memory stay flat?"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.bench.options import BenchWork, choose_work, database_option, fleet_options, open_bench_fleet
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.output import write_json
from scripts.progress import show_progress
from scripts.scorecard_picture import check_picture

if TYPE_CHECKING:
    from scripts.bench.fleet import BenchFleet

_MOST = 10_000_000
_MINUTE_S = 60.0


def _read_counts(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> tuple[int, ...]:
    """Return the sizes that were asked for, the smallest first.

    Raises:
        BadParameter: one of them is no number of photos.
    """
    counts = set()
    for word in (word.strip() for words in given for word in words.split(",")):
        if not word.isdecimal() or not 1 <= int(word) <= _MOST:
            raise click.BadParameter(f"{word!r} is no number from 1 to {_MOST:,}. Write sizes as 1000,10000.")
        counts.add(int(word))
    return tuple(sorted(counts))


@command(
    "growth",
    example="facefleet bench growth --counts 1000,10000,100000 --picture growth.png\n"
    "facefleet bench growth --faces detect --people faces/ --counts 500 --counts 5000 --minutes 60 --json",
)
@fleet_options
@click.option(
    "--counts",
    multiple=True,
    default=("1000", "10000", "100000"),
    callback=_read_counts,
    metavar="N,N",
    help="Photos of the jobs to compare; may be given several times. Photos are repeated.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=3, help="Jobs of each size.")
@click.option(
    "--minutes", type=click.FloatRange(0, 10_000), default=0.0, help="Then watch memory for so long; 0: do not."
)
@database_option
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw it too, as .png or .svg.")
def growth(
    invocation: Invocation,
    faces: str,
    photos: str | None,
    people: Path | None,
    workers: int,
    counts: tuple[int, ...],
    rounds: int,
    minutes: float,
    url: str | None,
    picture: Path | None,
) -> None:
    """Measure whether a photo costs the same in a large job as in a small one, and whether memory stays flat.

    Every job is added to one ledger, and each that is measured stands between two of the smallest size, so that what
    the machine drifts meanwhile cancels. Then the fleet goes on from job to job for some minutes while memory and open
    files of its workers are read. Nothing of it is kept.
    """
    from scripts.bench.growth_report import print_growth

    work = choose_work(faces, photos, people, workers)
    check_picture(picture)
    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    document = measure(work, counts, rounds, minutes, url)
    if picture is not None:
        from scripts.bench.growth_picture import draw_growth

        draw_growth(picture, document)
    if invocation.as_json:
        write_json(document)
    else:
        print_growth(document)
    if document["photos_failed"] or document["photos_lost"]:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def measure(work: BenchWork, counts: Sequence[int], rounds: int, minutes: float, url: str | None) -> dict[str, Any]:
    """Bring a fleet up, run the jobs, watch it, and return all figures as JSON.

    Args:
        work: what it works on.
        counts: photos of the jobs to compare, the smallest first.
        rounds: jobs of each size.
        minutes: how long it is watched afterwards.
        url: of an empty database; None: a SQLite file.
    """
    load_before = os.getloadavg()
    with open_bench_fleet(work, max(counts), url) as fleet:
        figures = _measure_fleet(fleet, counts, rounds, _MINUTE_S * minutes)
        machine = fleet.machine()
    return {
        "faces": work.faces.value,
        "source": work.source,
        "workers": work.workers,
        "counts": list(counts),
        "rounds": rounds,
        **figures,
        "machine": {**machine, "load": [load_before, os.getloadavg()]},
    }


def _measure_fleet(fleet: "BenchFleet", counts: Sequence[int], rounds: int, seconds: float) -> dict[str, Any]:
    from scripts.bench.database import describe_database
    from scripts.bench.growing import GrowingLedger
    from scripts.bench.growth_figures import schedule, sum_up
    from scripts.bench.watching import Watch, Watched, describe_watch

    ledger, sizes = GrowingLedger(fleet), schedule(counts, rounds)
    ledger.warm_up()
    with show_progress("Identifying", sum(sizes), unit="photos") as bar:
        jobs = ledger.measure(sizes, lambda done: bar.update(done=done))
    watched = Watched(readings=[])
    if seconds:
        with show_progress("Watching", seconds, unit="seconds", rate=False) as bar:
            watched = Watch(fleet, ledger, max(counts)).run(seconds, lambda at_s: bar.update(done=at_s))
    return {
        "chunk_size": fleet.settings.chunk_size,
        "ledger_photos": ledger.photos,
        "photos_failed": sum(job.photos_failed for job in jobs) + watched.photos_failed,
        "photos_lost": sum(job.photos_lost for job in jobs) + watched.photos_lost,
        "sizes": sum_up(jobs),
        "jobs": [job.to_json() for job in jobs],
        "watch": describe_watch(watched.readings, seconds) if watched.readings else None,
        "database": describe_database(fleet.database),
    }
