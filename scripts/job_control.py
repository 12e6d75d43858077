"""`facefleet job pause`, `resume`, `cancel` and `retry`: what a person does to a job."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.errors import RedisUnreachableError
from core.settings import Settings
from scripts.common import Invocation, command, current_user, find_doorbell, open_database
from scripts.documents import job_document
from scripts.failures import ExitCode
from scripts.output import say, show_count, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.engine import Database
    from db.tables import Job


@command("pause", example="facefleet job pause j1p3k9x2mf4qa")
@click.argument("job_id", metavar="ID")
def pause(invocation: Invocation, job_id: str) -> None:
    """Let nothing more of a job begin; what workers are at is finished."""
    from db.control import pause_job

    with open_database(Settings.from_env()) as database:
        changed = _change(database, lambda session: pause_job(session, job_id, current_user(), utc_now()))
        job = _read(database, job_id)
    if changed:
        words = f"is paused: what workers are at is finished, nothing new begins.\nGo on: facefleet job resume {job_id}"
    else:
        words = "is paused already."
    _tell(invocation, job, words, changed=changed)


@command("resume", example="facefleet job resume j1p3k9x2mf4qa")
@click.argument("job_id", metavar="ID")
def resume(invocation: Invocation, job_id: str) -> None:
    """Let a paused job go on."""
    from db.control import resume_job

    settings = Settings.from_env()
    with open_database(settings) as database:
        changed = _change(database, lambda session: resume_job(session, job_id, current_user(), utc_now()))
        why_unheard = _ring(database, settings) if changed else None
        job = _read(database, job_id)
    words = f"goes on.\nFollow it: facefleet job watch {job_id}" if changed else "runs already."
    _tell(invocation, job, words, changed=changed)
    _end_unheard(why_unheard, job)


@command("cancel", example="facefleet job cancel j1p3k9x2mf4qa")
@click.argument("job_id", metavar="ID")
def cancel(invocation: Invocation, job_id: str) -> None:
    """Stop a job for good. Photos without an outcome get the error `cancelled`.

    What workers are at is not waited for: they write nothing more of this job.
    """
    from db.control import cancel_job, settle_cancelled_jobs

    with open_database(Settings.from_env()) as database:
        changed = _change(database, lambda session: cancel_job(session, job_id, current_user(), utc_now()))
        invocation.on_interrupt = f"Job {job_id} is cancelled; the sweeper ends what is left of it."
        while _change(database, lambda session: settle_cancelled_jobs(session, utc_now())):
            pass
        job = _read(database, job_id)
    again = f"\nIdentify the rest after all: facefleet job retry {job_id}" if job.items_error else ""
    kept = show_count(job.items_faces + job.items_no_face, "photo")
    words = f"is cancelled: {kept} identified before, {job.items_error:,} not identified.{again}"
    _tell(invocation, job, words if changed else "is cancelled already.", changed=changed)


@command("retry", example="facefleet job retry j1p3k9x2mf4qa")
@click.argument("job_id", metavar="ID")
def retry(invocation: Invocation, job_id: str) -> None:
    """Try the photos of an ended job again that ended in an error, and no others."""
    from db.retries import begin_retry, queue_page

    settings = Settings.from_env()
    with open_database(settings) as database:
        photos = _change(database, lambda session: begin_retry(session, job_id, current_user(), utc_now()))
        invocation.on_interrupt = f"Job {job_id} is being tried again; the sweeper queues the photos that are left."
        queued = 0
        with show_progress("Queueing again", photos, unit="photos") as bar:
            while page := _change(
                database, lambda session: queue_page(session, job_id, settings.chunk_size, utc_now())
            ):
                queued += page
                bar.update(done=queued)
        why_unheard = _ring(database, settings) if photos else None
        job = _read(database, job_id)
    if photos:
        words = f"tries {show_count(photos, 'photo')} again.\nFollow it: facefleet job watch {job_id}"
    else:
        words = "has no failed photo: there is nothing to try again."
    _tell(invocation, job, words, changed=bool(photos), retried=photos)
    _end_unheard(why_unheard, job)


def _change(database: "Database", act: Callable[["Session"], int]) -> int:
    """Act in one transaction; return what the act returns."""
    with database.write() as session:
        return act(session)


def _read(database: "Database", job_id: str) -> "Job":
    from db.jobs import get_job

    with database.read() as session:
        return get_job(session, job_id)


def _ring(database: "Database", settings: Settings) -> str | None:
    """Tell the workers; return why that failed, or None."""
    from workers.doorbell import ring_for_due_chunks

    try:
        with find_doorbell(settings) as doorbell:
            ring_for_due_chunks(database, doorbell)
    except RedisUnreachableError as error:
        return error.message
    return None


def _tell(invocation: Invocation, job: "Job", words: str, **about: Any) -> None:
    """Print the job and what became of it."""
    if invocation.as_json:
        write_json({**job_document(job, utc_now()), **about})
    else:
        click.echo(f"Job {job.public_id} {words}")


def _end_unheard(why: str | None, job: "Job") -> None:
    """End with the exit code of an absent service when no worker could be told."""
    if why is not None:
        say(f"{why} Job {job.public_id} is recorded as running; it goes on when the services run.")
        raise click.exceptions.Exit(ExitCode.UNREACHABLE)
