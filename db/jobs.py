"""Jobs: submitted in pages, counted by the workers' commits, closed when every item has its outcome.

What people do to a job stands in db/control.py (pause, resume, cancel) and db/retries.py.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, insert, select, update
from sqlalchemy.orm import Session

from core.errors import IdempotencyConflictError, JobStateError, UnknownIdError
from core.records import ChunkState, FacesMode, JobState, SkipLog
from db.bulk import Bulk
from db.ids import insert_with_public_id
from db.tables import Chunk, Item, Job


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What a submission asks for."""

    name: str
    faces_mode: FacesMode
    request_digest: str
    """sha256 over the sources and options: tells a repeated submission from another one under the same key."""
    idempotency_key: str | None = None
    max_parallel: int | None = None
    """Chunks of it that workers may hold at once; None for any number."""
    fpir: float | None = None
    """Share of strangers that may get a name, within core.faces.rule.FPIR_RANGE; None: as models were trained for."""


def create_job(session: Session, new: NewJob, now: datetime) -> Job:
    """Insert an empty job that is being submitted."""
    job = Job(
        name=new.name,
        idempotency_key=new.idempotency_key,
        request_digest=new.request_digest,
        faces_mode=new.faces_mode,
        max_parallel=new.max_parallel,
        fpir=new.fpir,
        state=JobState.SUBMITTING,
        created_at=now,
        touched_at=now,
    )
    insert_with_public_id(session, job, "j", now)
    return job


def find_repeated(session: Session, new: NewJob) -> Job | None:
    """Return the job that was submitted before under the same idempotency key, if any.

    Of two submissions in the same moment both may find none. Then `create_job` raises IntegrityError for the later
    one, which looks again.

    Raises:
        IdempotencyConflictError: the key was used for other sources or options.
    """
    if new.idempotency_key is None:
        return None
    job = session.scalar(select(Job).where(Job.idempotency_key == new.idempotency_key))
    if job is not None and job.request_digest != new.request_digest:
        raise IdempotencyConflictError(
            f"The idempotency key {new.idempotency_key!r} belongs to job {job.public_id}, which was submitted with "
            f"other sources or options. Nothing was submitted. Use another key, or submit the same thing again."
        )
    return job


def add_page(
    session: Session, job_id: int, first_ordinal: int, uris: Sequence[str], chunk_size: int, now: datetime
) -> None:
    """Insert consecutive items and the chunks that cover them.

    Args:
        session: a write session.
        job_id: the job, which is being submitted.
        first_ordinal: ordinal of the first of `uris`.
        uris: at least one.
        chunk_size: items a chunk holds at most.
        now: aware time.

    Raises:
        JobStateError: the job was cancelled meanwhile.
        UnknownIdError: the job was removed meanwhile, or is open already.
    """
    _touch(session, job_id, now)
    _insert_items(session, job_id, first_ordinal, uris)
    starts = range(0, len(uris), chunk_size)
    add_chunks(session, job_id, [(first_ordinal + start, min(chunk_size, len(uris) - start)) for start in starts])


def add_chunks(session: Session, job_id: int, ranges: Sequence[tuple[int, int]]) -> None:
    """Queue chunks that cover ranges of a job's items, each given by its first ordinal and its length."""
    queued = {"job_id": job_id, "state": ChunkState.QUEUED, "attempts": 0}
    session.execute(insert(Chunk), [{**queued, "first_ordinal": first, "item_count": count} for first, count in ranges])


def _touch(session: Session, job_id: int, now: datetime, **values: Any) -> None:
    """Change a job that is being submitted; no sweeper takes it for broken off before this transaction ends."""
    touched = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state == JobState.SUBMITTING)
        .values(touched_at=now, **values)
        .execution_options(synchronize_session=False)
    )
    if touched.rowcount == 1:  # type: ignore[attr-defined]
        return
    if session.scalar(select(Job.state).where(Job.id == job_id)) == JobState.CANCELLED:
        raise JobStateError(
            "The job was cancelled while its photos were being recorded. Those recorded until then have the outcome "
            "`error` with the code `cancelled`; no photo will be looked at. Submit again to have them identified."
        )
    raise UnknownIdError(
        "The submission stood still for so long that it was taken for broken off and removed. "
        "Nothing of it will run. Submit again."
    )


def _insert_items(session: Session, job_id: int, first_ordinal: int, uris: Sequence[str]) -> None:
    rows = ((job_id, ordinal, uri) for ordinal, uri in enumerate(uris, first_ordinal))
    Bulk(session.connection()).fill(Item, ("job_id", "ordinal", "uri"), rows)


def open_job(session: Session, job_id: int, total: int, skipped: SkipLog, now: datetime) -> None:
    """Let the workers at a job whose items are all inserted.

    Raises:
        JobStateError: the job was cancelled meanwhile.
        UnknownIdError: the job was removed meanwhile, or is open already.
    """
    _touch(
        session,
        job_id,
        now,
        state=JobState.RUNNING,
        total=total,
        skipped=[asdict(entry) for entry in skipped.first],
        skipped_count=skipped.count,
        started_at=now,
        resumed_at=now,
    )


def discard_submission(session: Session, job_id: int, untouched_since: datetime | None = None) -> None:
    """Remove a job whose submission broke off, with all that was inserted of it. Does nothing to a job that is open.

    Args:
        session: a write session.
        job_id: the job.
        untouched_since: leave it alone when its producer inserted something at this time or later.
    """
    job = session.get(Job, job_id, with_for_update=True, populate_existing=True)
    if job is None or job.state != JobState.SUBMITTING:
        return
    if untouched_since is not None and job.touched_at >= untouched_since:
        return
    session.execute(delete(Chunk).where(Chunk.job_id == job_id))
    session.execute(delete(Item).where(Item.job_id == job_id))
    session.delete(job)


def find_broken_submissions(session: Session, untouched_since: datetime) -> list[int]:
    """Return jobs whose producer inserted nothing since `untouched_since` and did not finish."""
    found = session.scalars(select(Job.id).where(Job.state == JobState.SUBMITTING, Job.touched_at < untouched_since))
    return list(found)


def get_job(session: Session, public_id: str) -> Job:
    """Return the job of that id.

    Raises:
        UnknownIdError: there is none.
    """
    job = session.scalar(select(Job).where(Job.public_id == public_id))
    if job is None:
        raise UnknownIdError(f"No job has the id {public_id!r}. List the jobs: `facefleet job list`.")
    return job


def list_jobs(session: Session, limit: int, before: str | None = None) -> list[Job]:
    """Return jobs, newest first.

    Args:
        session: a read session.
        limit: how many at most.
        before: public id of the last job of the page before; None for the first page.
    """
    query = select(Job).order_by(Job.public_id.desc()).limit(limit)
    if before is not None:
        query = query.where(Job.public_id < before)
    return list(session.scalars(query))


def close_finished_jobs(session: Session, now: datetime, job_id: int | None = None) -> int:
    """End running and cancelled jobs in which every item has its outcome and none is to be retried; return how many.

    Args:
        session: a write session.
        now: aware time.
        job_id: look at this job only.
    """
    ended_by = {JobState.RUNNING: JobState.DONE, JobState.CANCELLED: JobState.CANCELLED}
    closing = (
        update(Job)
        .where(
            Job.state.in_(ended_by),
            Job.finished_at.is_(None),
            Job.retry_from.is_(None),
            Job.items_faces + Job.items_no_face + Job.items_error >= Job.total,
        )
        .values(state=case(ended_by, value=Job.state), finished_at=now)
        .execution_options(synchronize_session=False)
    )
    if job_id is not None:
        closing = closing.where(Job.id == job_id)
    return session.execute(closing).rowcount  # type: ignore[attr-defined, no-any-return]
