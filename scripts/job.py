"""`facefleet job`: list, show and watch jobs. What is done to them stands in scripts/job_control.py."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.records import ItemOutcome, JobState
from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.documents import items_decided, job_document
from scripts.failures import ExitCode
from scripts.job_control import cancel, pause, resume, retry
from scripts.job_report import print_job_summary
from scripts.output import add_row, make_console, make_table, print_text, show_minute, show_share, write_json
from scripts.waiting import wait_for_job, why_job_waits

if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy.orm import Session

    from db.results import FailureCount
    from db.tables import AuditEntry, Job

_FAILURES_SHOWN = 5
_HISTORY_SHOWN = 20


@click.group()
def job() -> None:
    """Look at jobs, follow them, and stop them or let them go on."""


for each in (pause, resume, cancel, retry):
    job.add_command(each)


@command("list", group=job, example="facefleet job list --limit 5")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, help="How many jobs to show.")
def list_(invocation: Invocation, limit: int) -> None:
    """List jobs, newest first."""
    from db.jobs import list_jobs

    with open_database(Settings.from_env()) as database, database.read() as session:
        jobs = list_jobs(session, limit)
    now = utc_now()
    if invocation.as_json:
        write_json({"jobs": [{**job_document(each, now), **_about(each)} for each in jobs]})
    elif jobs:
        _print_list(jobs)
    else:
        click.echo("There is no job yet. Submit photos: facefleet submit photos/ --wait")


@command("show", group=job, example="facefleet job show j1p3k9x2mf4qa")
@click.argument("job_id", metavar="ID")
def show(invocation: Invocation, job_id: str) -> None:
    """Show a job: its outcomes, what was passed over, what failed and why, and who stopped it or let it go on."""
    from db.audit import list_entries
    from db.jobs import get_job
    from db.results import count_failures

    now = utc_now()
    with open_database(Settings.from_env()) as database, database.read() as session:
        found = get_job(session, job_id)
        failures = _first_failures(session, found)
        by_code = count_failures(session, found.id)
        history = list_entries(session, _HISTORY_SHOWN, found.public_id)
        waits = why_job_waits(session, found, now) if found.state in {JobState.RUNNING, JobState.PAUSED} else None
    if invocation.as_json:
        skipped = {"count": found.skipped_count, "first": found.skipped}
        document = {**job_document(found, now), **_about(found), "skipped": skipped, "failures": failures}
        document |= {"failures_by_code": [asdict(each) for each in by_code], "waits_because": waits}
        write_json({**document, "history": [_entry(each) for each in history]})
        return
    console = make_console()
    print_job_summary(console, found, now)
    _print_troubles(console, found, waits)
    _print_failures(console, by_code, failures)
    _print_history(console, history)


@command("watch", group=job, example="facefleet job watch j1p3k9x2mf4qa")
@click.argument("job_id", metavar="ID")
def watch(invocation: Invocation, job_id: str) -> None:
    """Follow a job until it is done."""
    with open_database(Settings.from_env()) as database:
        found = wait_for_job(database, job_id, invocation)
    now = utc_now()
    if invocation.as_json:
        write_json(job_document(found, now))
    else:
        print_job_summary(make_console(), found, now)
    if found.items_error or found.state == JobState.CANCELLED:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _about(job: "Job") -> dict[str, Any]:
    """Return what a person knows a job by."""
    times = {name: getattr(job, name) for name in ("created_at", "started_at", "finished_at")}
    return {
        "name": job.name,
        "faces_mode": job.faces_mode,
        "max_parallel": job.max_parallel,
        **{name: at.isoformat() if at else None for name, at in times.items()},
    }


def _first_failures(session: "Session", job: "Job") -> list[dict[str, Any]]:
    """Return the first photos of a job that ended in an error."""
    from db.result_filter import ResultFilter
    from db.results import iter_results

    wanted = ResultFilter(job_id=job.id, outcome=ItemOutcome.ERROR)
    rows = iter_results(session, wanted, limit=_FAILURES_SHOWN)
    return [{name: row[name] for name in ("item", "uri", "error")} for row in rows]


def _entry(entry: "AuditEntry") -> dict[str, Any]:
    return {"at": entry.at.isoformat(), "who": entry.who, "action": entry.action, **entry.detail}


def _print_list(jobs: list["Job"]) -> None:
    table = make_table(["Job", "State", ">Photos", ">Done", ">Errors", "Submitted", "Name"])
    for each in jobs:
        done = show_share(items_decided(each) / each.total, 0) if each.total else None
        counts = (f"{each.total:,}", done, f"{each.items_error:,}")
        add_row(table, each.public_id, each.state, *counts, show_minute(each.created_at), each.name)
    make_console().print(table)


def _print_troubles(console: "Console", job: "Job", waits: str | None) -> None:
    """Print what a person may want to mend."""
    if waits:
        console.print()
        print_text(console, waits)
    if job.skipped_count:
        console.print(f"\nPassed over as no photos: {job.skipped_count:,}, such as", style="bold")
        for entry in job.skipped[:_FAILURES_SHOWN]:
            print_text(console, f"{entry['name']}: {entry['reason']}", indent=2)


def _print_failures(console: "Console", by_code: list["FailureCount"], failures: list[dict[str, Any]]) -> None:
    """Print what failed: how many photos of each kind and why, and the first of them."""
    if not by_code:
        return
    console.print("\nFailed, by code", style="bold")
    table = make_table(["Code", ">Photos", "Such as"])
    for each in by_code:
        add_row(table, each.code, f"{each.photos:,}", each.message)
    console.print(table)
    console.print("\nThe first of them", style="bold")
    for row in failures:
        print_text(console, row["uri"], indent=2)
        print_text(console, f"{row['error']['code']}: {row['error']['message']}", indent=4)


def _print_history(console: "Console", history: list["AuditEntry"]) -> None:
    """Print what people did to the job, the last first."""
    if not history:
        return
    table = make_table(["When", "Who", "What"], title="What was done to it")
    for each in history:
        add_row(table, show_minute(each.at), each.who, each.action.removeprefix("job."))
    console.print()
    console.print(table)
