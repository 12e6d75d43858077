"""The Celery tasks and the children's start: three lines each. Every decision is in the handlers.

Imported by worker nodes only, parent and children; imports neither torch nor anything that does.
"""

import os
from typing import Any

from billiard.process import current_process
from celery import current_app, shared_task
from celery.exceptions import Reject
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from workers import runtime
from workers.identify import ChunkEnd
from workers.protocol import IDENTIFY_TASK, TRAIN_TASK
from workers.spec import SPEC_KEY, NodeSpec
from workers.train import RunEnd


@shared_task(name=IDENTIFY_TASK, acks_late=True, acks_on_failure=True, ignore_result=True)  # type: ignore[untyped-decorator]
def identify() -> None:
    """Answer a doorbell for chunks."""
    end = runtime.current().identify()
    if end is ChunkEnd.RESTART:
        raise SystemExit(os.EX_TEMPFAIL)  # the pool replaces the process; the bell goes back to the queue
    if end is not ChunkEnd.NOTHING_DUE:
        raise Reject("more may be due", requeue=True)


@shared_task(name=TRAIN_TASK, acks_late=False, ignore_result=True)  # type: ignore[untyped-decorator]
def train(run_id: int) -> None:
    """Answer a doorbell for a training run. The message is gone before training begins: the ledger holds the run."""
    if runtime.current().train(int(run_id)) is RunEnd.RESTART:
        raise SystemExit(os.EX_TEMPFAIL)  # the run is queued again, and the sweeper rings


@setup_logging.connect  # type: ignore[untyped-decorator]
def leave_logging_alone(**_: Any) -> None:
    """Keep Celery from setting up the log: core.log has."""


@worker_process_init.connect  # type: ignore[untyped-decorator]
def start_child(**_: Any) -> None:
    """Build the runtime of a child process before it takes its first task."""
    spec = NodeSpec.from_json(current_app.conf[SPEC_KEY])
    runtime.start(spec, runtime.slot_of_process(current_process()))


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def stop_child(**_: Any) -> None:
    """Tear the runtime of a child process down."""
    runtime.stop()
