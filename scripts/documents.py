"""The JSON documents that several commands print: of a job, of a training run, of a model. Their keys are stable."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.records import FaceOutcome, ItemOutcome, JobState, ModelState

if TYPE_CHECKING:
    from db.tables import Job, Model, Run


def job_document(job: "Job", now: datetime) -> dict[str, Any]:
    """Return a job with its counters and, from them, its speed and how long it will still take.

    `seconds` runs until the job ends. `images_per_s` is since the job was last opened, resumed or retried.
    """
    seconds = _seconds_of(job, now)
    rate = _images_per_s(job, now)
    left = job.total - items_decided(job)
    return {
        "job": job.public_id,
        "state": job.state,
        "total": job.total,
        "items": {outcome.value: getattr(job, f"items_{outcome}") for outcome in ItemOutcome},
        "faces": {outcome.value: getattr(job, f"faces_{outcome}") for outcome in FaceOutcome},
        "seconds": None if seconds is None else round(seconds, 3),
        "images_per_s": round(rate, 2) if rate else None,
        "eta_s": round(left / rate, 1) if rate and job.state == JobState.RUNNING else None,
        "threshold_fpir": job.fpir,
    }


def items_decided(job: "Job") -> int:
    """Return how many of a job's photos have their outcome."""
    return job.items_faces + job.items_no_face + job.items_error


def run_document(run: "Run", model: "Model | None") -> dict[str, Any]:
    """Return a training run and the model it gave."""
    return {
        "run": run.public_id,
        "state": run.state,
        "model": model_document(model) if model is not None else None,
        "activated": run.activated,
        "reason": run.reason,
    }


def model_document(model: "Model") -> dict[str, Any]:
    """Return what identifies a model, whom it knows and how good it was."""
    from db.ids import model_version

    return {
        "version": model_version(model.id),
        "sha256": model.sha256,
        "backbone": model.backbone,
        "classes": len(model.manifest["classes"]),
        "metrics": model.manifest["metrics"],
    }


def model_summary(model: "Model", generation: int | None) -> dict[str, Any]:
    """Return a model as lists show it.

    Args:
        model: the row.
        generation: the newest activation it serves under; None when it does not serve.
    """
    from db.ids import model_version

    manifest = model.manifest
    return {
        **model_document(model),
        "recipe": model.recipe,
        "state": model.state,
        "reason": model.rejected_why or (model.gate or {}).get("reason"),
        "parent": None if model.parent_id is None else model_version(model.parent_id),
        "licence": manifest.get("licence"),
        "dataset_digest": manifest["dataset_digest"],
        "shadow_share": model.shadow_share,
        "canary_share": model.canary_share,
        "serves": model.state == ModelState.ACTIVE,
        "generation": generation,
        "photos": manifest["train_count"],
        "threshold": manifest["rule"]["threshold"],
        "created_at": model.created_at.isoformat(),
    }


def _seconds_of(job: "Job", now: datetime) -> float | None:
    """Return how long a job has been running, or ran."""
    if job.started_at is None:
        return None
    return ((job.finished_at or now) - job.started_at).total_seconds()


def _images_per_s(job: "Job", now: datetime) -> float | None:
    """Return the photos a second since the job last began to run; None where that says nothing."""
    since = job.resumed_at or job.started_at
    decided = items_decided(job) - job.decided_before
    if since is None or not decided or job.state == JobState.CANCELLED:
        return None
    seconds = ((job.finished_at or now) - since).total_seconds()
    return decided / seconds if seconds > 0 else None
