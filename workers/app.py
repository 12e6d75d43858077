"""The Celery app: how facefleet uses the queue. Made by a function, so that nothing is built at import.

Every setting that differs from Celery's default stands here with its reason.
"""

from celery import Celery
from kombu.entity import Queue

from workers.protocol import IDENTIFY_QUEUE, TRAIN_QUEUE, transport_options

_CHILD_START_TIMEOUT_S = 300
"""A spawned child imports torch before it says that it is up; Celery's own 4 s are for forked ones."""


def make_app(redis_url: str, *, prefetch: int = 1) -> Celery:
    """Make the app of a worker node.

    Args:
        redis_url: the broker.
        prefetch: doorbells that are fetched ahead for each slot, the one it works on included.
    """
    app = Celery("facefleet", broker=redis_url, backend=None, include=["workers.tasks"], set_as_current=False)
    app.conf.update(
        task_queues=[Queue(name, routing_key=name) for name in (IDENTIFY_QUEUE, TRAIN_QUEUE)],  # type: ignore[no-untyped-call]
        task_create_missing_queues=False,
        task_default_queue=IDENTIFY_QUEUE,
        # The ledger says what is done: results and events of the queue would be a second, weaker truth.
        task_ignore_result=True,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        # Ids only, and only as JSON.
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        # A doorbell is let go when its chunk is done, or its child is dead.
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=prefetch,
        # Spawned children: CUDA does not survive a fork, and the parent stays small.
        worker_pool_start_method="spawn",
        worker_proc_alive_timeout=_CHILD_START_TIMEOUT_S,
        # A worker outlives its broker.
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_transport_options=transport_options(patience_s=10.0),
        # When the connection breaks, running chunks go on: their doorbells ring twice then, and the lease lets one in.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # The log is core.log's.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app
