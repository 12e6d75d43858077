"""How a job is shown to people: its counters as a table, and what to type next."""

from datetime import datetime
from typing import TYPE_CHECKING

from core.records import FaceOutcome, ItemOutcome, JobState
from scripts.documents import items_decided, job_document
from scripts.output import add_row, make_table, print_fields, show_duration, show_share, show_time

if TYPE_CHECKING:
    from rich.console import Console

    from db.tables import Job

_MEANING = {
    FaceOutcome.IDENTIFIED: "a name is given",
    FaceOutcome.UNKNOWN: "nobody in the gallery is similar enough",
    FaceOutcome.AMBIGUOUS: "two people are too close to tell apart",
    FaceOutcome.LOW_QUALITY: "the face is below the quality gate",
    ItemOutcome.NO_FACE: "the photo shows no face",
    ItemOutcome.ERROR: "the photo could not be used",
}


def print_job_summary(console: "Console", job: "Job", now: datetime) -> None:
    """Print where a job stands, its outcomes, and the next command."""
    document = job_document(job, now)
    rate, eta_s = document["images_per_s"], document["eta_s"]
    decided = f"{items_decided(job):,} of {job.total:,}"
    print_fields(
        console,
        [
            ("Job", f"{job.public_id}  {job.name}"),
            ("State", job.state),
            ("Photos", decided if job.state != JobState.DONE else f"{job.total:,}"),
            ("Strangers named", f"{100 * job.fpir:g} %, as asked" if job.fpir is not None else None),
            ("Submitted", show_time(job.created_at)),
            ("Time", show_duration(document["seconds"])),
            ("Speed", f"{rate:,.1f} photos/s" if rate else None),
            ("Time left", f"about {show_duration(eta_s)}" if eta_s is not None else None),
        ],
    )
    console.print()
    _print_outcomes(console, job)
    console.print(f"\nResults: facefleet results --job {job.public_id}", soft_wrap=True)
    if job.items_error:
        console.print(f"Failures: facefleet results --job {job.public_id} --outcome error", soft_wrap=True)
        if job.finished_at:
            console.print(f"Try them again: facefleet job retry {job.public_id}", soft_wrap=True)


def _print_outcomes(console: "Console", job: "Job") -> None:
    """Print the counters that are not zero: faces first, then photos without one."""
    faces = sum(getattr(job, f"faces_{outcome}") for outcome in FaceOutcome)
    table = make_table(["Outcome", ">Count", ">Share", "Meaning"])
    for face_outcome in FaceOutcome:
        count = getattr(job, f"faces_{face_outcome}")
        if count:
            add_row(table, face_outcome, f"{count:,}", show_share(count / faces), _MEANING[face_outcome])
    for outcome in (ItemOutcome.NO_FACE, ItemOutcome.ERROR):
        count = getattr(job, f"items_{outcome}")
        if count:
            share = show_share(count / job.total)
            add_row(table, outcome, f"{count:,}", share, _MEANING[outcome])
    if table.row_count:
        console.print(table)
    else:
        console.print("No photo has an outcome yet.")
