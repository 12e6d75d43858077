"""Where workers' time went while they identified photos: what they kept of their stages, made shares of the whole."""

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.stages import Spent, Stage
from scripts.bench.holding import list_workers
from workers.stage_times import StageReport, read_reports

if TYPE_CHECKING:
    from scripts.bench.fleet import BenchFleet

ON_READING_THREADS = frozenset({Stage.READ, Stage.DECODE})
"""Stages beside those of the thread that works on chunks."""
NO_BELL, OTHER_THREADS = "no_bell", "other_threads"
"""What is told from the whole by taking the stages off: waiting for work, and what threads without stages computed."""

_LOOK_S = 0.02
_PATIENCE_S = 10.0
"""What a worker may take to keep its last times when its work is done; it asks once more for work before."""


def measure(fleet: "BenchFleet") -> dict[str, Any]:
    """Identify all photos, and return where the workers' time went meanwhile, as JSON. They should be warm.

    Args:
        fleet: whose workers keep their times.

    Raises:
        RuntimeError: the workers did not keep their times.
    """
    folder = Path(fleet.settings.stage_times)
    before = read_reports(folder)
    seconds, job = fleet.run_job()
    chunks = math.ceil(job.total / fleet.settings.chunk_size)
    spent = _await_chunks(folder, before, chunks)
    return {
        "seconds": seconds,
        "images_per_s": job.total / seconds,
        "photos_failed": job.items_error,
        **where_time_went(spent, wall_s=seconds * len(list_workers(fleet.database)), photos=job.total),
    }


def where_time_went(spent: Iterable[StageReport], *, wall_s: float, photos: int) -> dict[str, Any]:
    """Make shares of what workers spent, as JSON: of all their time by the clock, and of what they computed.

    Args:
        spent: what each worker spent.
        wall_s: how long they were there for it, together.
        photos: that they identified.
    """
    reports = list(spent)
    stages: dict[Stage, Spent] = {}
    for report in reports:
        for stage, part in report.stages.items():
            stages.setdefault(stage, Spent()).add(part)
    process_s, main_s = (sum(getattr(report, name) for report in reports) for name in ("process_s", "main_s"))
    mine = [part for stage, part in stages.items() if stage not in ON_READING_THREADS]
    read_s = sum(part.computing_s for stage, part in stages.items() if stage in ON_READING_THREADS)
    rest = {
        NO_BELL: Spent(
            wall_s=max(0.0, wall_s - sum(part.wall_s for part in mine)),
            computing_s=max(0.0, main_s - sum(part.computing_s for part in mine)),
        ),
        OTHER_THREADS: Spent(computing_s=max(0.0, process_s - main_s - read_s)),
    }

    def shares(name: str, part: Spent) -> dict[str, Any]:
        beside = name in ON_READING_THREADS
        return {
            "wall_ms": 1e3 * part.wall_s / photos,
            "wall_share": part.wall_s / wall_s,
            "computing_ms": 1e3 * part.computing_s / photos,
            "computing_share": part.computing_s / process_s if process_s else 0.0,
            "overlap": part.beside_s / part.wall_s if beside and part.wall_s else None,
        }

    ordered = {str(stage): stages[stage] for stage in Stage if stage in stages}
    return {
        "photos": photos,
        "worker_s": wall_s,
        "computing_s": process_s,
        "stages": {name: shares(name, part) for name, part in {**ordered, **rest}.items()},
    }


def _await_chunks(folder: Path, before: dict[int, StageReport], chunks: int) -> list[StageReport]:
    """Wait until the workers have kept what so many chunks took; return what each spent since `before`."""
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        spent = [
            report.since(before.get(pid, StageReport(slot=report.slot, pid=pid)))
            for pid, report in read_reports(folder).items()
        ]
        if sum(report.stages.get(Stage.STORE, Spent()).entered for report in spent) >= chunks:
            return spent
        if time.monotonic() > until_s:
            raise RuntimeError(f"the workers kept no times of {chunks} chunks in {folder}")
        time.sleep(_LOOK_S)
