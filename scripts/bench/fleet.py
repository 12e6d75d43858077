"""A fleet for benchmarks: in a home of its own, with a model that serves and photos to identify. Prints nothing."""

import json
import time
from collections.abc import Sequence
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
from core.weights.spec import DEFAULT_EMBEDDER
from db import jobs, registry, runs
from db.engine import Database
from db.registry import ServingModel
from db.tables import Job
from workers.doorbell import Doorbell
from workers.enrolment import import_people
from workers.submit import SubmitRequest, submit_job
from workers.supervisor import Fleet

_PEOPLE = 4
"""As few as a network can be trained and tried on: how many it knows hardly changes how fast it identifies."""
_TRAINING: dict[FacesMode, tuple[str, dict[str, Any]]] = {
    FacesMode.CROP: ("compact", {"epochs": 1}),
    FacesMode.DETECT: ("head", {"backbone": DEFAULT_EMBEDDER, "faces": FacesMode.DETECT.value}),
}
"""Recipe and options. One epoch: how well a network identifies does not change how fast it does."""
LOOK_S = 0.25  # looking costs time that the workers miss; the ledger knows when the last outcome was stored


def enter_fleet(exit_stack: ExitStack, settings: Settings, workers: int) -> tuple[Fleet, Database, Doorbell]:
    """Bring a fleet up, with its database and its bell; the stack closes all three."""
    fleet = exit_stack.enter_context(Fleet(settings, workers=workers))
    database = Database.from_settings(fleet.settings)
    exit_stack.callback(database.close)
    doorbell = Doorbell(fleet.settings.redis_url)
    exit_stack.callback(doorbell.close)
    return fleet, database, doorbell


class BenchFleet:
    """A fleet that is up, and photos.

    Args:
        settings: of a home of its own; with the URL of its Redis filled in once it is up.
        source: what to identify; None: drawn faces.
        count: photos a round; the source is repeated to reach it.
        workers: processes that identify.
        people: DIR/<person>/<image> with photographs, on whose faces a pretrained backbone is given a head; None: a
            small network learns drawn faces, and every photo is taken as one face.
    """

    def __init__(
        self, settings: Settings, *, source: str | None, count: int, workers: int, people: Path | None = None
    ) -> None:
        self.source = source
        self.faces_mode = FacesMode.CROP if people is None else FacesMode.DETECT
        self.count = count
        self.workers = workers
        self.settings = settings
        self._people = people
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with self._exit as exit_stack:  # whatever fails from here on closes what was opened before
            sample = self.settings.home / "sample"
            if self._people is None:
                write_sample(sample, people=_PEOPLE, train_photos=4, test_photos=18, strangers=0)
            folder = str(sample / "test") if self.source is None else self.source
            self.uris = list(islice(cycle(walk_sources([folder], SkipLog())), self.count))
            self._manifest = self.write_manifest(self.count)
            self._fleet, self.database, self.doorbell = enter_fleet(exit_stack, self.settings, self.workers)
            self.settings = self._fleet.settings
            labelled = self._people or sample / "train"
            import_people(self.database, self.settings, labelled, Split.TRAIN, "bench")
            self.model = self._train()
            self._exit = exit_stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def backbone(self) -> str:
        """The network that it identifies with."""
        recipe, options = _TRAINING[self.faces_mode]
        return str(options.get("backbone", recipe))

    def stop_workers(self) -> None:
        """Stop all processes of the fleet; the database and the model stay."""
        self._fleet.stop()

    def machine(self) -> dict[str, Any]:
        """Describe what figures depend on, as JSON."""
        return {**describe_machine(), "backbone": self.backbone}

    def write_manifest(self, count: int) -> str:
        """List so many photos in a file, which `submit` takes for them; return its path."""
        file = self.settings.home / f"photos-{count}.jsonl"
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps({"uri": uri}) + "\n" for uri in islice(cycle(self.uris), count))
        return str(file)

    def submit(self, uris: Sequence[str] | None = None) -> str:
        """Submit photos, all of them where none are named; return the job's id."""
        request = SubmitRequest(sources=tuple(uris or [self._manifest]), faces_mode=self.faces_mode, name="bench")
        return submit_job(self.database, self.doorbell, self.settings, request).job_public_id

    def look(self, job_public_id: str) -> Job:
        """Return a job as it stands."""
        with self.database.read() as session:
            return jobs.get_job(session, job_public_id)

    def run(self) -> float:
        """Identify all photos; return the seconds from submitting to the last outcome stored."""
        return self.run_job()[0]

    def run_job(self, uris: Sequence[str] | None = None) -> tuple[float, Job]:
        """Do as `run`, with all photos or these; return the job as well, which is done."""
        begun_at = utc_now()
        job = self.look(self.submit(uris))
        while job.state != JobState.DONE or job.finished_at is None:
            time.sleep(LOOK_S)
            job = self.look(job.public_id)
        return (job.finished_at - begun_at).total_seconds(), job

    def _train(self) -> ServingModel:
        """Train the model that serves."""
        recipe, options = _TRAINING[self.faces_mode]
        options = {**options, "seed": 0, "activate": True, "who": "bench"}
        with self.database.write() as session:
            run = runs.create_run(session, recipe=recipe, options=options, now=utc_now())
        self.doorbell.ring_run(run.id)
        while run.state in {RunState.QUEUED, RunState.RUNNING}:
            time.sleep(LOOK_S)
            with self.database.read() as session:
                run = runs.get_run(session, run.public_id)
        if run.state != RunState.SUCCEEDED:
            raise TrainingError(f"The benchmark's model could not be trained: {run.reason} Nothing was measured.")
        with self.database.read() as session:
            return registry.require_serving_model(session)
