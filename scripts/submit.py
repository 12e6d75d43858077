"""`facefleet submit`: records a job and hands it to the workers."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.errors import InputError, RedisUnreachableError
from core.faces.rule import RejectRule
from core.records import FacesMode, JobState
from core.settings import Settings
from core.weights.store import WeightsStore
from scripts.choices import FPIR
from scripts.common import Invocation, command, find_doorbell, open_database
from scripts.documents import job_document
from scripts.failures import ExitCode
from scripts.job_report import print_job_summary
from scripts.output import make_console, say, show_count, write_json
from scripts.progress import show_progress
from scripts.training_choice import faces_can_be_found
from scripts.waiting import wait_for_job

if TYPE_CHECKING:
    from db.engine import Database
    from workers.submit import Submission, SubmitRequest


@command(
    "submit",
    example="facefleet submit photos/ archive.zip --wait\n"
    "facefleet submit list.csv --json\n"
    "facefleet submit crowd/ --threshold-fpir 0.001",
)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--wait", is_flag=True, help="Show progress until the job is done.")
@click.option(
    "--faces",
    type=click.Choice([mode.value for mode in FacesMode]),
    help="What the photos are: photographs to find faces in (detect), or each one face already (crop).",
    show_default="what the model that serves was trained on",
)
@click.option("--name", default="", help="A name for people to know the job by.", show_default="the first source")
@click.option("--idempotency-key", metavar="K", help="Submitting again under the same key gives the same job.")
@click.option(
    "--max-parallel",
    metavar="N",
    type=click.IntRange(1, 100_000),
    help="Let workers be at N chunks of it at most at once.",
    show_default="any number",
)
@click.option(
    "--threshold-fpir",
    "fpir",
    metavar="SHARE",
    type=FPIR,
    help="Share of strangers that may get a name in this job: 0.003 is 0.3 %. From 0.0001 to 0.2.",
    show_default="what the model was trained for",
)
def submit(
    invocation: Invocation,
    sources: tuple[str, ...],
    wait: bool,
    faces: str | None,
    name: str,
    idempotency_key: str | None,
    max_parallel: int | None,
    fpir: float | None,
) -> None:
    """Submit photos to be identified.

    A SOURCE is a photo, a folder, a glob, a zip or tar archive, a CSV or JSONL manifest, or a URI such as
    s3://bucket/folder. The job is recorded at once; workers identify its photos in the background. Without Redis the
    job is recorded all the same, and the exit code is 3.
    """
    from workers.submit import SubmitRequest

    settings = Settings.from_env()
    with open_database(settings) as database:
        if fpir is not None:
            _check_fpir(database, fpir)
        request = SubmitRequest(
            sources=sources,
            faces_mode=FacesMode(faces) if faces else _choose_mode(database, settings),
            name=name or sources[0],
            idempotency_key=idempotency_key,
            max_parallel=max_parallel,
            fpir=fpir,
        )
        submission = _submit(database, settings, request, invocation)
        wait = wait and submission.rung  # without Redis there is nothing to wait for yet
        document = _follow(database, submission.job_public_id, wait, invocation)
    if not submission.rung:
        raise click.exceptions.Exit(ExitCode.UNREACHABLE)
    if wait and (document["items"]["error"] or document["state"] == JobState.CANCELLED):
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _choose_mode(database: "Database", settings: Settings) -> FacesMode:
    """Return what the model that serves was trained on; before the first, what can be done on this machine."""
    from db.registry import get_model, serving_model

    with database.read() as session:
        serving = serving_model(session)
        if serving is not None:
            return FacesMode(get_model(session, serving.version).manifest["faces"])
    return FacesMode.DETECT if faces_can_be_found(WeightsStore.from_settings(settings)) else FacesMode.CROP


def _check_fpir(database: "Database", fpir: float) -> None:
    """Refuse a share of strangers that the model that serves knows no threshold for.

    Raises:
        InputError: it knows none.
    """
    from db.registry import get_model, serving_model

    with database.read() as session:
        serving = serving_model(session)
        if serving is None:  # whichever is trained first decides
            return
        rule = RejectRule.from_json(get_model(session, serving.version).manifest["rule"])
    if not rule.knows_fpir(fpir):
        raise InputError(
            f"Model {serving.version} has a threshold for {rule.fpir_target:g} of strangers only: it was trained by an "
            f"older facefleet, or from too few people to tell more. Nothing was submitted. Leave --threshold-fpir out, "
            f"or train again: `facefleet retrain --fpir {fpir:g}`."
        )


def _submit(database: "Database", settings: Settings, request: "SubmitRequest", invocation: Invocation) -> "Submission":
    """Record the job, with a bar of the photos found so far, and say what the user would not expect."""
    from workers.submit import submit_job

    invocation.on_interrupt = "Nothing was submitted."
    why_none = None
    with ExitStack() as stack:
        try:
            doorbell = stack.enter_context(find_doorbell(settings))
        except RedisUnreachableError as error:  # the job is recorded all the same
            doorbell, why_none = None, error.message
        bar = stack.enter_context(show_progress("Recording photos", unit="photos"))
        submission = submit_job(database, doorbell, settings, request, lambda done: bar.update(done=done))
    _say_surprises(submission, why_none)
    return submission


def _say_surprises(submission: "Submission", why_no_doorbell: str | None) -> None:
    job_id = submission.job_public_id
    if submission.repeated:
        say(f"This was submitted before under the same idempotency key: it is job {job_id}.")
    if submission.skipped:
        say(f"Passed over as no photos: {show_count(submission.skipped, 'file')} (`facefleet job show {job_id}`).")
    if not submission.rung:
        why = why_no_doorbell or submission.ring_error
        say(f"{why} Job {job_id} is recorded; do not submit it again, it starts when the services run.")


def _follow(database: "Database", public_id: str, wait: bool, invocation: Invocation) -> dict[str, Any]:
    """Wait for the job if that is wanted, and print it."""
    from db.jobs import get_job

    if wait:
        job = wait_for_job(database, public_id, invocation)
    else:
        with database.read() as session:
            job = get_job(session, public_id)
    document = job_document(job, utc_now())
    if invocation.as_json:
        write_json(document)
    elif wait:
        print_job_summary(make_console(), job, utc_now())
    else:
        photos = show_count(job.total, "photo")
        click.echo(f"Job {public_id} is submitted: {photos}.\nFollow it: facefleet job watch {public_id}")
    return document
