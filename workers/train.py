"""Running a training run: claim, freeze the dataset, train, export; then it is judged and registered (workers/publish).

Plain code that knows no Celery and no Redis; the networks are in core/training. A run that is given back resumes from
its last checkpoint.
"""

import logging
import shutil
import time
from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.clock import Clock
from core.disk import told_when_full
from core.errors import (
    ArtifactsUnreachableError,
    DatabaseUnreachableError,
    DiskFullError,
    FacefleetError,
    LeaseLostError,
    RunCancelledError,
    SourceUnreachableError,
)
from core.faces.rule import DEFAULT_FPIR
from core.machine import describe_environment
from core.records import RunState
from core.settings import Settings
from db import people, registry, runs
from db.engine import Database
from db.run_requests import first_queued
from db.runs import RunLease
from workers.heartbeat import Heartbeat
from workers.judge import Judging
from workers.preparation import DEFAULT_TOLERANCE, HEAD_RECIPE, Preparation, prepare_training
from workers.publish import publish
from workers.pulse import SlotReporter
from workers.retry import is_device_error
from workers.seen import LedgerFaces
from workers.snapshot import Snapshot
from workers.stop import StopFlag, StopRequested

if TYPE_CHECKING:
    from core.models.manifest import Manifest
    from core.training.request import TrainedNetwork

_log = logging.getLogger(__name__)

_CHECKPOINTS = "checkpoints"
_STAGED = "model.pt"
_SKIPPED_KEPT = 50
"""Photos left out that are named in the metrics; their number is kept in full."""


class RunEnd(Enum):
    """How a doorbell for a training run ended."""

    ENDED = "ended"  # succeeded, failed or cancelled: recorded
    NOT_TO_BE_HAD = "not to be had"  # ended already, held by another trainer, or cancelled
    GIVEN_BACK = "given back"  # queued again; it resumes from its last checkpoint
    LOST = "lost"  # another trainer has it, or the ledger cannot be told: nothing more is written
    RESTART = "restart"  # queued again, and this process must be replaced


@dataclass(frozen=True, kw_only=True)
class TrainContext:
    """What training needs."""

    database: Database
    settings: Settings
    reporter: SlotReporter
    stop: StopFlag
    clock: Clock
    devices: tuple[str, ...]
    """As torch calls them: the first does what is done once, networks that learn side by side are spread over all."""
    threads: int
    disk_wait_s: float = 30.0
    """How long a run is held whose disk is full, before it is given back."""


def run_training(run_id: int, context: TrainContext) -> RunEnd:
    """Answer a doorbell for a training run, and go on with those that had to wait for it."""
    end = _run(run_id, context)
    while end is RunEnd.ENDED and not context.stop.requested and (waiting := _first_queued(context)) is not None:
        end = _run(waiting, context)
    return end


def _first_queued(context: TrainContext) -> int | None:
    try:
        with context.database.read() as session:
            return first_queued(session)
    except DatabaseUnreachableError as error:  # the sweeper rings when it is back
        _log.warning("%s", error)
        return None


def _run(run_id: int, context: TrainContext) -> RunEnd:
    try:
        lease = _claim(run_id, context)
    except DatabaseUnreachableError as error:
        _log.warning("%s", error)
        return RunEnd.LOST
    if lease is None:
        return RunEnd.NOT_TO_BE_HAD
    _log.info("run %s: attempt %d", lease.public_id, lease.attempt)
    end = _attempt(lease, context)
    if end is RunEnd.ENDED:
        _clean_up(lease, context)
    return end


def _claim(run_id: int, context: TrainContext) -> RunLease | None:
    with context.database.write() as session:
        return runs.claim_run(session, run_id, context.reporter.claimant, context.clock(), context.settings.lease_s)


def _attempt(lease: RunLease, context: TrainContext) -> RunEnd:
    """Work on a run while keeping its lease."""
    with Heartbeat(lease, context.database, context.clock, context.settings.lease_s, context.stop) as heartbeat:
        try:
            with told_when_full(_folder(lease, context)):
                _work(lease, heartbeat, context)
        except Exception as error:
            return _settle(lease, error, heartbeat, context)
    return RunEnd.ENDED


def _clean_up(lease: RunLease, context: TrainContext) -> None:
    """Remove what only a further attempt would have needed; the dataset snapshot stays."""
    folder = _folder(lease, context)
    shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)
    (folder / _STAGED).unlink(missing_ok=True)


def _folder(lease: RunLease, context: TrainContext) -> Path:
    return context.settings.runs_dir / lease.public_id


def _work(lease: RunLease, heartbeat: Heartbeat, context: TrainContext) -> None:
    """Turn labels into a registered model."""
    folder = _folder(lease, context)
    _set_stage(lease, "reading labels", context, reason=None)  # why the attempt before had to wait
    snapshot = _freeze(folder / "snapshot.jsonl", context)
    environment = describe_environment(context.devices, context.threads)
    _set_stage(lease, "training", context, dataset_digest=snapshot.digest, environment=environment)
    prepared = prepare_training(
        lease.recipe, lease.options, context.settings, device=context.devices[0], threads=context.threads
    )
    trained = _train(lease, snapshot, prepared, folder / _CHECKPOINTS, heartbeat, context)
    _set_stage(lease, "exporting", context)
    staged = folder / _STAGED
    manifest = _export(trained, prepared, staged, snapshot.digest, context)
    _set_stage(lease, "judging", context)
    judging = Judging(
        trained=trained,
        manifest=manifest,
        snapshot=snapshot,
        tolerance=lease.options.get("tolerance", DEFAULT_TOLERANCE),
        database=context.database,
        settings=context.settings,
        device=context.devices[0],
        threads=context.threads,
        should_stop=heartbeat.should_stop,
    )
    publish(lease, staged, judging, context.reporter, context.clock)


def _set_stage(lease: RunLease, stage: str, context: TrainContext, **known: Any) -> None:
    with context.database.write() as session:
        runs.set_stage(session, lease, stage, **known)


def _freeze(file: Path, context: TrainContext) -> Snapshot:
    """Return the run's dataset: the one it was begun with, or the labels that hold now."""
    if file.exists():
        return Snapshot.load(file)
    with context.database.read() as session:
        classes, train, test = people.training_set(session)
    snapshot = Snapshot(classes=tuple(classes), train=tuple(train), test=tuple(test))
    snapshot.save(file)
    return snapshot


def _train(
    lease: RunLease,
    snapshot: Snapshot,
    prepared: Preparation,
    checkpoints: Path,
    heartbeat: Heartbeat,
    context: TrainContext,
) -> "TrainedNetwork":
    """Train the network, or a head on a pretrained one; each epoch is recorded when it ends."""
    from core.training.finetune import begin_from
    from core.training.head import train_head
    from core.training.train import TrainingRequest, train_network

    request = TrainingRequest(
        classes=snapshot.classes,
        train=snapshot.train,
        test=snapshot.test,
        recipe=lease.recipe,
        epochs=lease.options.get("epochs"),
        fpir=lease.options.get("fpir", DEFAULT_FPIR),
        seed=lease.options.get("seed", 0),
        device=context.devices[0],
        more_devices=context.devices[1:],
        threads=context.threads,
        read_threads=context.settings.read_threads,
    )
    watched: dict[str, Any] = {
        "load_crop": prepared.load_crop,
        "on_epoch": heartbeat.record_epoch,
        "should_stop": heartbeat.should_stop,
    }
    if prepared.embedder is not None and lease.recipe == HEAD_RECIPE:
        return train_head(
            request,
            prepared.embedder,
            backbone=prepared.backbone,
            published=prepared.published,
            cache=_open_cache(prepared, context),
            **watched,
        )
    checkpoints.mkdir(parents=True, exist_ok=True)
    pretrained = (
        begin_from(prepared.embedder, prepared.backbone, prepared.published) if prepared.embedder is not None else None
    )
    return train_network(request, checkpoints=checkpoints, pretrained=pretrained, **watched)


def _open_cache(prepared: Preparation, context: TrainContext) -> LedgerFaces | None:
    """Return what earlier runs saw in the photos; None where the backbone is trained."""
    if prepared.way is None:
        return None
    return LedgerFaces(context.database, prepared.way, prepared.load_crop.has_changed, context.clock)


def _export(
    trained: "TrainedNetwork", prepared: Preparation, staged: Path, digest: str, context: TrainContext
) -> "Manifest":
    """Write the artifact; the photos that could not be learned from stand in its metrics."""
    from core.models.export import export_model

    skipped = [{"uri": photo.uri, "code": photo.code} for photo in trained.skipped[:_SKIPPED_KEPT]]
    by_code = dict(Counter(photo.code for photo in trained.skipped).most_common())
    left_out = {"count": len(trained.skipped), "by_code": by_code, "first": skipped}
    metrics = {**trained.metrics, "photos_left_out": left_out}
    with context.database.read() as session:
        parent = registry.serving_model(session)
    return export_model(
        replace(trained, metrics=metrics),
        staged,
        dataset_digest=digest,
        created_at=context.clock(),
        parent=parent.sha256 if parent else None,
        origin=prepared.origin,
    )


def _settle(lease: RunLease, error: Exception, heartbeat: Heartbeat, context: TrainContext) -> RunEnd:
    """Record how a run ended that gave no model, or give it back."""
    try:
        if isinstance(error, RunCancelledError | StopRequested):
            return _settle_stop(lease, heartbeat, context)
        return _settle_failure(lease, error, heartbeat, context)
    except (LeaseLostError, DatabaseUnreachableError) as outage:
        _log.warning("run %s: %s", lease.public_id, outage)
        return RunEnd.LOST


def _settle_stop(lease: RunLease, heartbeat: Heartbeat, context: TrainContext) -> RunEnd:
    """Training was broken off because the run was cancelled, its lease was lost, or the process stops."""
    if heartbeat.lost:
        _log.warning("run %s has another trainer now; nothing of it is written here", lease.public_id)
        return RunEnd.LOST
    with context.database.write() as session:
        if heartbeat.cancelled:
            runs.finish_run(session, lease, RunState.CANCELLED, now=context.clock(), reason="cancelled")
            return RunEnd.ENDED
        runs.release_run(session, lease)
    return RunEnd.GIVEN_BACK


def _settle_failure(lease: RunLease, error: Exception, heartbeat: Heartbeat, context: TrainContext) -> RunEnd:
    if isinstance(error, LeaseLostError | DatabaseUnreachableError):
        raise error
    if isinstance(error, DiskFullError):
        return _wait_for_room(lease, error, heartbeat, context)
    if isinstance(error, SourceUnreachableError | ArtifactsUnreachableError) or is_device_error(error):
        _log.error("run %s is tried again: %s", lease.public_id, error, exc_info=error)
        heartbeat.end()  # a beat would extend the lease that is to run out
        with context.database.write() as session:
            runs.expire_lease(session, lease, context.clock())
        return RunEnd.RESTART if is_device_error(error) else RunEnd.GIVEN_BACK
    _log.error("run %s failed", lease.public_id, exc_info=error)
    with context.database.write() as session:
        runs.finish_run(session, lease, RunState.FAILED, now=context.clock(), reason=_reason(error))
    return RunEnd.ENDED


def _wait_for_room(lease: RunLease, error: DiskFullError, heartbeat: Heartbeat, context: TrainContext) -> RunEnd:
    """Hold the run for a moment, then give it back uncounted: it resumes from its last checkpoint."""
    _log.error("run %s waits: %s", lease.public_id, error)
    _set_stage(lease, "waiting for disk space", context, reason=error.message)
    until_s = time.monotonic() + context.disk_wait_s
    while time.monotonic() < until_s and not heartbeat.should_stop():
        time.sleep(0.1)
    return _settle_stop(lease, heartbeat, context)


def _reason(error: Exception) -> str:
    """Say to a person why a run failed."""
    if isinstance(error, FacefleetError):
        return error.message
    return (
        f"An error inside facefleet ({type(error).__name__}: {error}). The active model goes on serving. "
        f"The trainer's log says where it happened; please report it."
    )
