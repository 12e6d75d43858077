"""A worker node: one Celery worker in this process, spawned children that do the work, and a clean end.

The parent handles messages only; it never imports torch.
"""

import logging
import os
import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

import psutil
from celery.apps.worker import Worker
from celery.worker import state

from core.settings import Settings
from db import schema
from db.engine import Database
from workers import transport
from workers.app import make_app
from workers.devices import pin_devices
from workers.embedded import find_redis_url
from workers.logs import set_up_worker_logging
from workers.protocol import IDENTIFY_QUEUE, TRAIN_QUEUE
from workers.spec import SPEC_KEY, NodeSpec, Role, make_spec

_log = logging.getLogger(__name__)

_DATABASE_PATIENCE_S = 10.0
_GRACE_S = 5.0
"""What a chunk may take to finish once the node is to stop; then it is given back."""
_LAST_GRACE_S = 4.0
"""What giving back may take; then the children are killed, and the lease runs out instead. In all less than the ten
seconds that container runtimes wait."""

_QUEUES = {Role.IDENTIFY: IDENTIFY_QUEUE, Role.TRAIN: TRAIN_QUEUE}
# A second bell in hand lets a slot go on without waiting for Redis. A trainer must not keep a run from other trainers.
_PREFETCH = {Role.IDENTIFY: 2, Role.TRAIN: 1}
_POOL = "workers.pool:NodePool"


def run_worker_node(settings: Settings, device: str, slots: int) -> int:
    """Be a worker node until told to stop.

    Args:
        settings: of the node and its children.
        device: `cpu` or `cuda:N`.
        slots: child processes, >= 1.

    Returns:
        The exit code: 0 after a clean stop.

    Raises:
        InputError: there is no such device.
        RedisUnreachableError: no Redis is known. One that is known and away is waited for.
        DatabaseUnreachableError, DatabaseSchemaError: the ledger cannot be used.
    """
    pin_devices([device])
    return _run_node(make_spec(Role.IDENTIFY, settings, device=device, slots=slots), _GRACE_S)


def run_trainer_node(settings: Settings, devices: Sequence[str] = ("cpu",)) -> int:
    """Be a trainer until told to stop; a run under way is given back and resumes from its last checkpoint.

    Args:
        settings: of the node and its child.
        devices: `cpu`, or one or more `cuda:N`; the networks of a run are spread over them.

    Returns and raises as `run_worker_node`.
    """
    pin_devices(devices)
    return _run_node(make_spec(Role.TRAIN, settings, device=",".join(devices), slots=1), 0.0)


def _run_node(spec: NodeSpec, grace_s: float) -> int:
    set_up_worker_logging(spec.role, spec.settings.log_level)
    _check_database(spec.settings)
    _check_memory(spec)
    transport.use_in_this_process()
    app = make_app(find_redis_url(spec.settings), prefetch=_PREFETCH[spec.role])
    app.conf.update({SPEC_KEY: spec.to_json(), "worker_disable_prefetch": spec.role is Role.TRAIN})
    node = _Node(
        app=app,
        hostname=f"{spec.role}@{spec.node}",
        queues=[_QUEUES[spec.role]],
        pool=_POOL,
        concurrency=spec.slots,
        loglevel=spec.settings.log_level,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
        optimization="fair",
    )
    node.grace_s = grace_s
    node.start()
    return int(node.exitcode or 0)


def _check_database(settings: Settings) -> None:
    """Make sure that the ledger is there and has our tables, before any bell is taken."""
    database = Database.from_settings(settings)
    try:
        database.wait_until_up(_DATABASE_PATIENCE_S)
        schema.check(database)
    finally:
        database.close()


def _check_memory(spec: NodeSpec) -> None:
    """Say so when the children together may take more than there is: the system then kills whom it likes."""
    most, there = spec.slots * spec.settings.max_worker_bytes, psutil.virtual_memory().total
    if spec.role is Role.IDENTIFY and most > there:
        _log.warning(
            "%d slots may take %d MiB for photos together, and this machine has %d MiB: lower "
            "FACEFLEET_MAX_WORKER_BYTES or run fewer slots if large photos are expected",
            spec.slots,
            most >> 20,
            there >> 20,
        )


class _Node(Worker):  # type: ignore[misc]
    """Celery's worker with our signals: the first asks to stop, the second stops at once."""

    grace_s = 0.0

    def install_platform_tweaks(self, worker: Any) -> None:
        """Take over the signals that Celery would handle in its own way."""
        self._stopping = threading.Event()
        threading.Thread(target=self._enforce_stop, name="stop", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if state.should_stop is not None and state.should_stop is not False:
            _log.warning("told to stop twice: stopping at once; what is under way is done again later")
            self._signal_children(signal.SIGKILL)
            os._exit(1)
        state.should_stop = os.EX_OK
        self._stopping.set()

    def _enforce_stop(self) -> None:
        """Bound the end: what is not finished in time is given back, what is not given back is left to the lease."""
        self._stopping.wait()
        _log.info("stopping: no new work is taken")
        never = threading.Event()
        never.wait(self.grace_s)
        self._signal_children(signal.SIGTERM)
        never.wait(_LAST_GRACE_S)
        _log.warning("the children did not stop; they are killed, and their work is done again when its lease runs out")
        self._signal_children(signal.SIGKILL)
        os._exit(1)

    def _signal_children(self, number: signal.Signals) -> None:
        for pid in self._child_pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                _log.debug("child %d is gone already", pid)

    def _child_pids(self) -> list[int]:
        pool = getattr(self.pool, "_pool", None)
        return [child.pid for child in pool._pool if child.pid] if pool is not None else []
