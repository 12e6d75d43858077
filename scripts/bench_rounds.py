"""Sets the two sides of a benchmark up, and times them in turn. Prints nothing."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.clock import utc_now
from core.errors import TrainingError
from core.images.sample import write_sample
from core.images.sources import walk_sources
from core.machine import describe_machine
from core.records import FacesMode, JobState, RunState, SkipLog, Split
from core.settings import Settings
from db import jobs, registry, runs
from db.engine import Database
from db.registry import ServingModel
from scripts.bench_bare import BareProcesses
from workers.doorbell import Doorbell
from workers.enrolment import import_people
from workers.submit import SubmitRequest, submit_job
from workers.supervisor import Fleet

_LOOK_S = 0.25  # looking costs time that the workers miss; the ledger knows when the last outcome was stored


class Bench:
    """Both sides, warm: a fleet with a model that serves, and as many bare processes with the same model.

    Args:
        settings: of a home of its own.
        source: what to identify; None: drawn faces.
        count: photos a round; the source is repeated to reach it.
        workers: processes on either side.
    """

    def __init__(self, settings: Settings, *, source: str | None, count: int, workers: int) -> None:
        self.source = source
        self.count = count
        self.workers = workers
        self._settings = settings
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with self._exit as exit_stack:  # whatever fails from here on closes what was opened before
            sample = self._settings.home / "sample"
            write_sample(sample)
            self.uris = self._list_photos(sample)
            fleet = exit_stack.enter_context(Fleet(self._settings, workers=self.workers))
            self._settings = fleet.settings
            self._database = Database.from_settings(self._settings)
            exit_stack.callback(self._database.close)
            self._doorbell = Doorbell(self._settings.redis_url)
            exit_stack.callback(self._doorbell.close)
            self.model = self._train(sample)
            self._bare = exit_stack.enter_context(BareProcesses(self._settings, self.model, self.workers))
            self.run_cluster()  # every worker has loaded the model when this is done
            self._bare.run(self.uris)
            self._exit = exit_stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def variant(self) -> str:
        """The way in which the bare processes run the network."""
        return self._bare.variant

    def run_bare(self) -> float:
        """Identify all photos in the bare loops; return the seconds from start to last outcome."""
        return self._bare.run(self.uris)

    def run_cluster(self) -> float:
        """Identify all photos through the queue; return the seconds from submitting to the last outcome stored."""
        begun_at = utc_now()
        submission = submit_job(
            self._database,
            self._doorbell,
            self._settings,
            SubmitRequest(sources=(str(self._manifest),), faces_mode=FacesMode.CROP, name="bench"),
        )
        while True:
            time.sleep(_LOOK_S)
            with self._database.read() as session:
                job = jobs.get_job(session, submission.job_public_id)
            if job.state == JobState.DONE and job.finished_at is not None:
                return (job.finished_at - begun_at).total_seconds()

    def _list_photos(self, sample: Path) -> list[str]:
        """Return the photos of a round, and write them into a manifest for submitting."""
        folder = str(sample / "test") if self.source is None else self.source
        uris = list(islice(cycle(walk_sources([folder], SkipLog())), self.count))
        self._manifest = self._settings.home / "photos.jsonl"
        self._manifest.write_text("".join(json.dumps({"uri": uri}) + "\n" for uri in uris), encoding="utf-8")
        return uris

    def _train(self, sample: Path) -> ServingModel:
        """Train for one epoch: how well a network identifies does not change how fast it does."""
        import_people(self._database, self._settings, sample / "train", Split.TRAIN, "bench")
        with self._database.write() as session:
            options = {"epochs": 1, "seed": 0, "activate": True, "who": "bench"}
            run = runs.create_run(session, recipe="compact", options=options, now=utc_now())
        self._doorbell.ring_run(run.id)
        while run.state in {RunState.QUEUED, RunState.RUNNING}:
            time.sleep(_LOOK_S)
            with self._database.read() as session:
                run = runs.get_run(session, run.public_id)
        if run.state != RunState.SUCCEEDED:
            raise TrainingError(f"The benchmark's model could not be trained: {run.reason} Nothing was measured.")
        with self._database.read() as session:
            return registry.require_serving_model(session)


def run_rounds(prepared: Bench, rounds: int, on_round: Callable[[int], None]) -> dict[str, Any]:
    """Time both sides in every round, the order changing from round to round; return all figures as JSON."""
    seconds: dict[str, list[float]] = {"bare": [], "cluster": []}
    sides = {"bare": prepared.run_bare, "cluster": prepared.run_cluster}
    for number in range(rounds):
        for side in sorted(sides, reverse=bool(number % 2)):
            seconds[side].append(sides[side]())
        on_round(number + 1)
    ratios = [bare / cluster for bare, cluster in zip(seconds["bare"], seconds["cluster"], strict=True)]
    return {
        "count": prepared.count,
        "rounds": rounds,
        "workers": prepared.workers,
        "source": prepared.source or "drawn faces",
        **{side: _rates(times, prepared.count) for side, times in seconds.items()},
        "cluster_over_bare": _spread(ratios),
        "machine": {**describe_machine(), "backbone": "compact", "variant": prepared.variant},
    }


def _rates(seconds: Sequence[float], count: int) -> dict[str, Any]:
    return {"seconds": list(seconds), "images_per_s": _spread([count / time_s for time_s in seconds])}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
