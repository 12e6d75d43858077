"""A new try for the photos of an ended job that failed: some thousand at a time, however many there are.

A retry under way is a number on its job. Between two pages every photo has an outcome or waits in a chunk, and the
counters say so; whoever comes first queues the next page, and the job does not end before the last.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from core.errors import JobStateError
from core.records import ItemOutcome, JobState
from db import audit
from db.control import begin_stretch, lock_job
from db.jobs import add_chunks, close_finished_jobs
from db.outcomes import ITEM_VALUES
from db.results import has_outcome
from db.tables import Item, Job

# Photos that may be to blame for the end of their worker are tried again without neighbours.
MAY_END_PROCESSES = frozenset({"worker_crashed", "timed_out"})

PAGE_ITEMS = 10_000
"""Photos that are queued again in one transaction."""


def begin_retry(session: Session, public_id: str, who: str, now: datetime) -> int:
    """Let the photos of an ended job be tried again whose outcome is an error, or take up a retry that broke off.

    `queue_page` queues them. The caller does so until nothing is left, and rings.

    Returns:
        How many photos are to be queued.

    Raises:
        UnknownIdError: there is no such job.
        JobStateError: it has not ended.
    """
    job = lock_job(session, public_id)
    if job.finished_at is None and job.retry_from is None:
        raise JobStateError(
            f"Job {public_id} has not ended (it is {job.state}), so nothing of it is tried again yet. Nothing was "
            f"changed. Wait for its end (`facefleet job watch {public_id}`) and try again."
        )
    photos = session.scalar(select(func.count()).select_from(Item).where(*_failed(job, job.retry_from or 0))) or 0
    if not photos or job.retry_from is not None:
        return photos
    audit.record(session, who=who, action="job.retry", subject=public_id, now=now, before=job.state, photos=photos)
    job.retry_from = 0
    job.state = JobState.RUNNING
    job.finished_at = None
    job.started_at = job.started_at or now
    begin_stretch(job, now)
    job.decided_before -= photos
    return photos


def queue_page(session: Session, public_id: str, chunk_size: int, now: datetime, limit: int = PAGE_ITEMS) -> int:
    """Queue the next photos of a retry that is under way, and clear their errors.

    Args:
        session: a write session.
        public_id: the job.
        chunk_size: photos a chunk holds at most; one that may have killed its worker is alone in its chunk.
        now: aware time.
        limit: photos that are queued at most.

    Returns:
        How many photos; 0 when the retry has come to its end, or was cancelled.

    Raises:
        UnknownIdError: there is no such job.
    """
    job = lock_job(session, public_id)
    if job.retry_from is None:
        return 0
    failed = _failed(job, job.retry_from)
    rows = session.execute(select(Item.ordinal, Item.error_code).where(*failed).order_by(Item.ordinal).limit(limit))
    page = [(row.ordinal, row.error_code) for row in rows]
    if page:
        last, _ = page[-1]
        add_chunks(session, job.id, list(_ranges(page, chunk_size)))
        session.execute(
            update(Item)
            .where(*failed, Item.ordinal <= last)
            .values(dict.fromkeys(ITEM_VALUES))
            .execution_options(synchronize_session=False)
        )
        job.items_error -= len(page)
        job.retry_from = last + 1  # what fails again lies before it
    if len(page) < limit:
        job.retry_from = None
        close_finished_jobs(session, now, job.id)  # the workers may have been faster
    return len(page)


def find_under_way(session: Session) -> list[str]:
    """Return the public ids of jobs with a retry that has not queued all its photos, whoever began it."""
    may_run = Job.state.in_([JobState.RUNNING, JobState.PAUSED])
    return list(session.scalars(select(Job.public_id).where(may_run, Job.retry_from.is_not(None)).order_by(Job.id)))


def _failed(job: Job, first: int) -> tuple[ColumnElement[bool], ...]:
    """The photos of a job from an ordinal on that ended in an error."""
    return (Item.job_id == job.id, Item.ordinal >= first, has_outcome(ItemOutcome.ERROR))


def _ranges(failed: Iterable[tuple[int, str]], longest: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of consecutive photos, as first ordinal and length, that cover exactly those that failed.

    Args:
        failed: ordinal and error code of each, by ordinal.
        longest: photos a range holds at most.
    """
    first, count = 0, 0
    for ordinal, code in failed:
        joins = 0 < count < longest and ordinal == first + count and code not in MAY_END_PROCESSES
        if count and not joins:
            yield first, count
        if not joins:
            first, count = ordinal, 0
        count += 1
        if code in MAY_END_PROCESSES:
            yield first, count
            count = 0
    if count:
        yield first, count
