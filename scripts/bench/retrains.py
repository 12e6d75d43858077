"""Retrains a head again and again in a fleet of its own, and notes when each stage begins. Prints nothing."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from core.clock import utc_now
from core.errors import TrainingError
from core.images.uris import LocalUri, parse_uri
from core.machine import describe_machine
from core.records import FacesMode, RunState, Split
from core.settings import Settings
from db import nodes, registry, runs
from db.tables import Run
from scripts.bench.fleet import enter_fleet
from workers.enrolment import import_people
from workers.preparation import HEAD_RECIPE
from workers.retrain import request_training

_LOOK_S = 0.02
_REST_S = 2.0
"""Between two runs: so long at most a worker rests between two loads."""
_PATIENCE_S = 600.0
WAITING, LOADING = "waiting", "loading"


@dataclass(frozen=True, kw_only=True)
class RetrainCase:
    """What is retrained."""

    labelled: Mapping[str, Sequence[str]]
    """Photos by person."""
    backbone: str
    workers: int
    """Processes that identify, each of which must serve the new model."""


@dataclass(kw_only=True)
class _Moments:
    """When the stages of a run began."""

    stages: dict[str, datetime] = field(default_factory=dict)

    def see(self, stage: str, at: datetime | None = None) -> None:
        self.stages.setdefault(stage, at or utc_now())

    def lasted_s(self, end: datetime) -> dict[str, float]:
        """Return how long each lasted, until the next began or the end."""
        moments = [*self.stages.values(), end]
        lengths = [(later - sooner).total_seconds() for sooner, later in pairwise(moments)]
        return dict(zip(self.stages, lengths, strict=True))


class RetrainFleet:
    """A fleet that is up, and labelled people.

    Args:
        settings: of a home of its own.
        case: what is retrained.
    """

    def __init__(self, settings: Settings, case: RetrainCase) -> None:
        self._settings = settings
        self._case = case
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with self._exit as exit_stack:  # whatever fails from here on closes what was opened before
            fleet, self._database, self._doorbell = enter_fleet(exit_stack, self._settings, self._case.workers)
            self._settings = fleet.settings
            folder = _link(self._case.labelled, self._settings.home / "labelled")
            import_people(self._database, self._settings, folder, Split.TRAIN, "bench")
            self._exit = exit_stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def retrain(self, seed: int) -> dict[str, Any]:
        """Ask for a run, and wait until every worker serves its model; return what took how long.

        Raises:
            TrainingError: it gave no model that serves.
        """
        options = {"backbone": self._case.backbone, "faces": FacesMode.DETECT.value, "seed": seed, "who": "bench"}
        computed_before_s = self._computed_s()
        moments, asked_at = _Moments(), utc_now()
        moments.see(WAITING, asked_at)
        run = request_training(self._database, self._doorbell, recipe=HEAD_RECIPE, options=options).run
        run = self._wait_ended(run, moments)
        served_at = self._wait_served()
        return {
            "seconds": (served_at - asked_at).total_seconds(),
            "computed_s": self._computed_s() - computed_before_s,
            "stages": moments.lasted_s(served_at),
        }

    def _computed_s(self) -> float:
        """Return how many seconds trainer and workers have computed so far, in all threads."""
        with self._database.read() as session:
            pids = [row.pid for row in nodes.list_nodes(session)]
        times = [psutil.Process(pid).cpu_times() for pid in pids]
        return float(sum(each.user + each.system for each in times))

    def _wait_ended(self, run: Run, moments: _Moments) -> Run:
        until_s = time.monotonic() + _PATIENCE_S
        while run.finished_at is None and time.monotonic() < until_s:
            time.sleep(_LOOK_S)
            with self._database.read() as session:
                run = runs.get_run(session, run.public_id)
            if run.state == RunState.RUNNING and run.stage:
                moments.see(run.stage)
        if not run.activated or run.finished_at is None:
            raise TrainingError(f"The benchmark's run gave no model that serves: {run.reason} Nothing was measured.")
        moments.see(LOADING, run.finished_at)
        return run

    def _wait_served(self) -> datetime:
        """Return when the last worker began to serve the newest model."""
        until_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until_s:
            with self._database.read() as session:
                newest = registry.require_serving_model(session).generation
                workers = [row for row in nodes.list_nodes(session) if row.role == "identify"]
            since = [row.serves_since for row in workers if row.generation == newest and row.serves_since]
            if len(since) == len(workers):
                return max(since)
            time.sleep(_LOOK_S)
        raise TrainingError("A worker does not serve the benchmark's model. Nothing was measured.")


def measure_retrains(
    settings: Settings, case: RetrainCase, count: int, on_run: Callable[[int], None]
) -> dict[str, Any]:
    """Retrain so many times; return all figures as JSON."""
    measured = []
    with RetrainFleet(settings, case) as fleet:
        for number in range(count):
            measured.append(fleet.retrain(seed=number))
            on_run(number + 1)
            time.sleep(_REST_S)
    return {
        "people": len(case.labelled),
        "photos": sum(map(len, case.labelled.values())),
        "backbone": case.backbone,
        "workers": case.workers,
        "runs": measured,
        "first_s": measured[0]["seconds"],
        "later_s": statistics.median(run["seconds"] for run in measured[1:]),
        "later_computed_s": statistics.median(run["computed_s"] for run in measured[1:]),
        "machine": describe_machine(),
    }


def _link(labelled: Mapping[str, Sequence[str]], folder: Path) -> Path:
    """Make a folder of links to the photos, for the import of people."""
    for person, photos in labelled.items():
        (folder / person).mkdir(parents=True)
        for photo in photos:
            place = parse_uri(photo)
            if isinstance(place, LocalUri):
                (folder / person / Path(place.path).name).symlink_to(place.path)
    return folder
