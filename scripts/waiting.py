"""Following a job or a training run until it ends, and saying why it does not get on when it does not."""

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from core.clock import utc_now
from core.records import JobState, RunState
from scripts.common import Invocation
from scripts.documents import items_decided
from scripts.progress import Bar, show_progress
from scripts.run_report import sparkline

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from db.engine import Database
    from db.tables import Job, Run, Worker

POLL_S = 0.5
# A node that has not reported for this long counts as gone.
FRESH_S = 30.0
# Nothing is said about waiting before this: services that are just starting need a moment.
_PATIENCE_S = 5.0
_CURVE_WIDTH = 20
_ENDED_RUNS = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}


def wait_for_job(database: "Database", public_id: str, invocation: Invocation) -> "Job":
    """Show a job's progress until it is done or cancelled; return it as it ended.

    Raises:
        UnknownIdError: there is no such job.
    """
    from db.jobs import get_job

    invocation.on_interrupt = f"Job {public_id} goes on without you; look again with `facefleet job watch {public_id}`."
    hints = _Hints(lambda session: why_job_waits(session, get_job(session, public_id), utc_now()))
    with database.read() as session:
        job = get_job(session, public_id)
    with show_progress("Identifying", max(job.total, 1), unit="photos") as bar:
        while job.finished_at is None:
            bar.update(done=items_decided(job), total=max(job.total, 1))
            hints.look(database, bar, items_decided(job))
            time.sleep(POLL_S)
            with database.read() as session:
                job = get_job(session, public_id)
    return job


def wait_for_run(database: "Database", public_id: str, invocation: Invocation) -> "Run":
    """Show a training run's epochs until it ends; return it as it ended.

    Raises:
        UnknownIdError: there is no such run.
    """
    from db.runs import get_run, list_epochs

    invocation.on_interrupt = f"Run {public_id} goes on without you; look again with `facefleet run watch {public_id}`."
    hints = _Hints(lambda session: why_run_waits(session, utc_now()))
    with database.read() as session:
        run = get_run(session, public_id)
    with show_progress("Training", unit="epochs", rate=False) as bar:
        seen, losses = 0, list[float]()
        while run.state not in _ENDED_RUNS:
            with database.read() as session:
                run = get_run(session, public_id)
                epochs = list_epochs(session, run.id, after=seen)
            if epochs:
                last = epochs[-1]
                seen = last.epoch
                losses += [epoch.train_loss for epoch in epochs]
                curve = sparkline(losses, _CURVE_WIDTH)
                note = (
                    f"loss {curve} {last.train_loss:.3f}  accuracy {_accuracy(last.train_accuracy, last.val_accuracy)}"
                )
                bar.update(done=last.epoch, total=last.epochs, note=note)
            elif run.state == RunState.QUEUED:
                hints.look(database, bar, seen)
            elif run.stage and not seen:
                bar.update(note=run.stage)
            time.sleep(POLL_S)
    return run


def why_job_waits(session: "Session", job: "Job", now: datetime) -> str | None:
    """Return why no photo of a job is identified now, and what to do; None when all is in place."""
    from db.registry import serving_model

    if job.state == JobState.PAUSED:
        return f"Job {job.public_id} is paused. Let it go on with `facefleet job resume {job.public_id}`."
    nodes = fresh_nodes(session, "identify", now)
    if not nodes:
        return "No worker runs: the job waits. Start one with `facefleet up`, or with `facefleet worker --device cpu`."
    serving = serving_model(session)
    if serving is None:
        return "No model is active: the job waits. Train one with `facefleet retrain --wait`."
    # What a worker said before the activation was of another model, or of none.
    told = [node for node in nodes if node.seen_at >= serving.activated_at]
    broken = [node for node in told if node.model_error and node.generation is None]
    if len(broken) == len(nodes):
        return f"No worker can load the active model: {broken[0].model_error}"
    return None


def why_run_waits(session: "Session", now: datetime) -> str | None:
    """Return why a training run does not start, and what to do; None when a trainer is there."""
    if fresh_nodes(session, "train", now):
        return None
    return "No trainer runs: the run waits for one. Start it with `facefleet up`, or with `facefleet trainer`."


def fresh_nodes(session: "Session", role: str, now: datetime) -> list["Worker"]:
    """Return the slots of a role that reported themselves lately."""
    from db.nodes import list_nodes

    since = now - timedelta(seconds=FRESH_S)
    return [node for node in list_nodes(session) if node.role == role and node.seen_at >= since]


class _Hints:
    """Says once for each reason why nothing moves, after a while in which nothing did."""

    def __init__(self, why: "Callable[[Session], str | None]") -> None:
        self._why = why
        self._said: set[str] = set()
        self._done = -1
        self._moved_at = time.monotonic()

    def look(self, database: "Database", bar: Bar, done: int) -> None:
        """Take note of how far the work is; look for a reason when it stands still."""
        if done != self._done:
            self._done, self._moved_at = done, time.monotonic()
            bar.update(note="")
        elif time.monotonic() - self._moved_at > _PATIENCE_S:
            with database.read() as session:
                self._tell(self._why(session), bar)

    def _tell(self, reason: str | None, bar: Bar) -> None:
        bar.update(note="waiting" if reason else "")
        if reason is not None and reason not in self._said:
            self._said.add(reason)
            bar.say(reason)


def _accuracy(train: float, held_out: float | None) -> str:
    shown = train if held_out is None else held_out
    return f"{100 * shown:.1f} %"
