"""Celery's prefork pool with one thing added: the node's undertaker hears of every child that ended, and how."""

from collections.abc import Callable
from typing import Any

from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool

from db.clock import LedgerClock
from db.engine import Database
from workers.spec import SPEC_KEY, NodeSpec
from workers.undertaker import Death, Undertaker


class _ReportingPool(AsynPool):  # type: ignore[misc]
    """Tells of the children that it finds dead."""

    def __init__(self, *args: Any, on_death: Callable[[Death], None], **options: Any) -> None:
        self._on_death = on_death
        super().__init__(*args, **options)

    def process_flush_queues(self, proc: Any) -> None:
        """Read the last words of a child; the pool does so for each that ended, before it forgets its exit code."""
        super().process_flush_queues(proc)
        if proc.exitcode is not None:
            self._on_death(Death(slot=proc.index, pid=proc.pid, exit_code=proc.exitcode))


class NodePool(TaskPool):  # type: ignore[misc]
    """The pool of a node."""

    Pool = _ReportingPool

    def on_start(self) -> None:
        """Start the undertaker, then the children."""
        spec = NodeSpec.from_json(self.app.conf[SPEC_KEY])
        database = Database.from_settings(spec.settings)
        self._undertaker = Undertaker(spec, database, LedgerClock(database))
        self._undertaker.start()
        self.options["on_death"] = self._undertaker.hear
        super().on_start()

    def did_start_ok(self) -> bool:
        """Say whether any child lives.

        One that died while it started is replaced like any other; Celery would end the node, healthy children and all.
        """
        alive = any(child.exitcode is None for child in self._pool._pool)
        self._pool.maintain_pool()
        return alive

    def on_stop(self) -> None:
        """Let the children end, then the undertaker."""
        super().on_stop()
        self._undertaker.close()
