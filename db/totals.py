"""Totals over all jobs and all training runs, from the counters in their rows: no photo and no face is counted anew."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.records import FaceOutcome, ItemOutcome, JobState, RunState
from db.tables import Job, Run

_PHOTOS = {
    ItemOutcome.FACES: Job.items_faces,
    ItemOutcome.NO_FACE: Job.items_no_face,
    ItemOutcome.ERROR: Job.items_error,
}
_FACES = {
    FaceOutcome.IDENTIFIED: Job.faces_identified,
    FaceOutcome.UNKNOWN: Job.faces_unknown,
    FaceOutcome.AMBIGUOUS: Job.faces_ambiguous,
    FaceOutcome.LOW_QUALITY: Job.faces_low_quality,
}


@dataclass(frozen=True, kw_only=True)
class JobTotals:
    """All jobs together; every state and every outcome is there, if only with 0."""

    jobs: Mapping[JobState, int]
    photos: Mapping[ItemOutcome, int]
    """By outcome. A retry takes errors back until the photos have been looked at again."""
    faces: Mapping[FaceOutcome, int]
    """By outcome, as labels and new decisions left them."""
    waiting_photos: Mapping[JobState, int]
    """Photos without an outcome in jobs that run, and in jobs that are paused."""


def job_totals(session: Session) -> JobTotals:
    """Add up the counters of all jobs: one row a submission, however many photos."""
    decided = Job.items_faces + Job.items_no_face + Job.items_error
    counters = [*_PHOTOS.values(), *_FACES.values(), Job.total - decided]
    sums = [func.sum(counter) for counter in counters]
    jobs = dict.fromkeys(JobState, 0)
    of_state: dict[JobState, list[int]] = {state: [0] * len(sums) for state in JobState}
    for state, count, *values in session.execute(select(Job.state, func.count(), *sums).group_by(Job.state)):
        jobs[JobState(state)] = count
        of_state[JobState(state)] = [int(value) for value in values]  # PostgreSQL adds up to a Decimal
    summed = [sum(column) for column in zip(*of_state.values(), strict=True)]
    return JobTotals(
        jobs=jobs,
        photos=dict(zip(_PHOTOS, summed[: len(_PHOTOS)], strict=True)),
        faces=dict(zip(_FACES, summed[len(_PHOTOS) : -1], strict=True)),
        waiting_photos={state: of_state[state][-1] for state in (JobState.RUNNING, JobState.PAUSED)},
    )


def run_totals(session: Session) -> Mapping[RunState, int]:
    """Count training runs by state; every state is there."""
    found = {
        RunState(state): count for state, count in session.execute(select(Run.state, func.count()).group_by(Run.state))
    }
    return {state: found.get(state, 0) for state in RunState}
