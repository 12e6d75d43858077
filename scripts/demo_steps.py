"""What the demo asks of the running system, step by step: enrol, train, identify. Prints nothing but progress."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.clock import utc_now
from core.errors import InputError, TrainingError
from core.images.decode import DecodeLimits
from core.images.read import PhotoReader
from core.models.manifest import Manifest
from core.records import EpochProgress, FacesMode, RunState, Skipped, Split
from core.settings import Settings
from db import people, registry, results, runs
from db.engine import Database
from db.ids import model_version
from db.result_filter import ResultFilter
from scripts.demo_photos import DemoPhotos
from scripts.demo_score import ScoredPhoto, score_people, score_row
from scripts.progress import show_progress
from scripts.report import ReportData, Seconds, write_report
from scripts.report_pictures import Thumbnails
from scripts.training_choice import SCRATCH_RECIPES
from scripts.waiting import fresh_nodes, wait_for_job, wait_for_run
from workers.doorbell import Doorbell
from workers.enrolment import import_people
from workers.submit import SubmitRequest, submit_job

if TYPE_CHECKING:
    from scripts.common import Invocation

_AUTHOR = "demo"
_CHUNKS, _SMALLEST_CHUNK = 32, 8


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The running system, as the steps see it."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    invocation: "Invocation"


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """Who was imported."""

    train_photos: Mapping[str, int]
    """Photos to learn from, by name."""
    portraits: Mapping[str, str]
    """URI of the first of them, by name."""
    failed: tuple[Skipped, ...]
    """Photos and people that could not be used."""


@dataclass(frozen=True, kw_only=True)
class ServingModel:
    """The model that the run gave and that serves now."""

    version: str
    sha256: str
    manifest: Manifest
    epochs: tuple[EpochProgress, ...]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of the photos that were not learned from."""

    photos: tuple[ScoredPhoto, ...]
    failed: tuple[Skipped, ...]
    """Photos that could not be read, and people who could not be tried."""


def enrol(stage: Stage, photos: DemoPhotos) -> Enrolment:
    """Import the photos to learn from.

    Raises:
        InputError: fewer than two people have a usable photo.
    """
    with show_progress("Importing", photos.train_count, unit="photos") as bar:
        report = import_people(
            stage.database,
            stage.settings,
            photos.train_folder,
            Split.TRAIN,
            _AUTHOR,
            on_progress=lambda done: bar.update(done=done),
        )
    failed = tuple(_left_out(photos, failure.path, failure.message) for failure in report.failed)
    with stage.database.read() as session:
        labelled = list(people.labelled_photos(session))
    portraits: dict[str, str] = {}
    for photo in labelled:
        portraits.setdefault(photo.person, photo.uri)
    if len(portraits) < 2:
        first = f" First of {len(failed)} failures: {failed[0].name}: {failed[0].reason}" if failed else ""
        raise InputError(
            f"Telling people apart takes two or more, and {len(portraits)} of those given can be learned. "
            f"Nothing was trained.{first}"
        )
    return Enrolment(train_photos=Counter(photo.person for photo in labelled), portraits=portraits, failed=failed)


def train(stage: Stage, epochs: int | None) -> ServingModel:
    """Queue a training run, ring for it, and follow it until its model serves.

    Args:
        stage: where it runs.
        epochs: None for the recipe's.

    Raises:
        TrainingError: it gave no model, or one that was not activated.
        RedisUnreachableError: Redis did not answer.
    """
    options = {"epochs": epochs, "seed": 0, "activate": True, "who": _AUTHOR}
    with stage.database.write() as session:
        queued = runs.create_run(session, recipe=SCRATCH_RECIPES[0], options=options, now=utc_now())
    stage.doorbell.ring_run(queued.id)
    with stage.database.write() as session:
        runs.mark_rung(session, queued.id, utc_now())
    run = wait_for_run(stage.database, queued.public_id, stage.invocation)
    if run.state != RunState.SUCCEEDED or not run.activated:
        raise TrainingError(run.reason or f"The training run ended as {run.state} and gave no model that serves.")
    return _serving(stage.database, run.id)


def identify(stage: Stage, photos: DemoPhotos, enrolment: Enrolment) -> Trial:
    """Submit the photos as one job, follow it to its end, and judge its results.

    Raises:
        InputError: no photo is left of anybody who was enrolled.
    """
    probes, dropped = _without_unknown(photos.probes, enrolment.train_photos)
    truth = [*probes.values(), *(None for _ in photos.strangers)]
    if not probes:
        raise InputError(
            "Nobody whose photos were learned from has a photo left to try the model on. There is nothing to report."
        )
    manifest = stage.settings.home / "new-photos.jsonl"
    manifest.write_text("".join(json.dumps({"uri": uri}) + "\n" for uri in (*probes, *photos.strangers)))
    submission = submit_job(
        stage.database,
        stage.doorbell,
        replace(stage.settings, chunk_size=_chunk_size(len(truth), stage.settings.chunk_size)),
        SubmitRequest(sources=(str(manifest),), faces_mode=FacesMode.CROP, name="demo"),
    )
    job = wait_for_job(stage.database, submission.job_public_id, stage.invocation)
    with stage.database.read() as session:
        rows = results.iter_results(session, ResultFilter(job_id=job.id))
        scored = tuple(score_row(row, truth[row["item"]]) for row in rows)  # items are in the manifest's order
    unreadable = [Skipped(name=photo.uri, reason=photo.error) for photo in scored if photo.error is not None]
    return Trial(photos=scored, failed=(*dropped, *unreadable))


def count_workers(stage: Stage) -> int:
    """Return how many processes identify photos."""
    with stage.database.read() as session:
        return len(fresh_nodes(session, "identify", utc_now()))


def gather(
    photos: DemoPhotos, enrolment: Enrolment, model: ServingModel, trial: Trial, seconds: Seconds, *, workers: int
) -> ReportData:
    """Put together what the report tells."""
    return ReportData(
        made_at=utc_now(),
        drawn=photos.drawn,
        source=photos.source,
        photos=trial.photos,
        people=score_people(trial.photos, enrolment.train_photos),
        portraits=enrolment.portraits,
        model_version=model.version,
        model_sha256=model.sha256,
        manifest=model.manifest,
        epochs=model.epochs,
        seconds=seconds,
        workers=workers,
        failed=(*enrolment.failed, *trial.failed),
        skipped=photos.skipped,
    )


def write(stage: Stage, data: ReportData, report: Path) -> None:
    """Write the report.

    Raises:
        InputError: the disk does not take it.
    """
    with closing(PhotoReader.from_settings(stage.settings)) as reader:
        thumbnails = Thumbnails(reader.read, DecodeLimits.from_settings(stage.settings))
        try:
            write_report(data, thumbnails, report)
        except OSError as error:
            raise InputError(f"The report {report} cannot be written: {error.strerror}. Name another file.") from error


def _chunk_size(photos: int, largest: int) -> int:
    """Small chunks let both workers have a part of a small job, and let its progress be seen."""
    return min(max(photos // _CHUNKS, _SMALLEST_CHUNK), largest)


def _without_unknown(probes: Mapping[str, str], known: Mapping[str, int]) -> tuple[dict[str, str], list[Skipped]]:
    """Split off the photos of people who could not be enrolled: the model cannot know them."""
    dropped = Counter(name for name in probes.values() if name not in known)
    return {uri: name for uri, name in probes.items() if name in known}, [
        Skipped(name=name, reason=f"none of their photos could be learned from, so {count} others were not tried")
        for name, count in dropped.items()
    ]


def _serving(database: Database, run_id: int) -> ServingModel:
    with database.read() as session:
        serving = registry.require_serving_model(session)
        model = registry.get_model(session, serving.version)
        epochs = runs.list_epochs(session, run_id)
    return ServingModel(
        version=model_version(model.id),
        sha256=model.sha256,
        manifest=Manifest.from_json(json.dumps(model.manifest)),
        epochs=tuple(
            EpochProgress(
                epoch=row.epoch,
                epochs=row.epochs,
                train_loss=row.train_loss,
                train_accuracy=row.train_accuracy,
                val_loss=row.val_loss,
                val_accuracy=row.val_accuracy,
                learning_rate=row.learning_rate,
                seconds=row.seconds,
            )
            for row in epochs
        ),
    )


def _left_out(photos: DemoPhotos, path: str, message: str) -> Skipped:
    """Speak of a photo by the path its owner knows."""
    original = photos.originals.get(path, path)
    return Skipped(name=original, reason=message.replace(path, original))
