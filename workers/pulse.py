"""A slot's word about itself in the ledger: what it serves, and when its work last went forward.

The same thread polls the model while the slot is idle.
"""

import logging
import os
import socket
import threading
import time

from sqlalchemy.orm import Session

from core.clock import Clock
from core.errors import FacefleetError
from db import nodes
from db.engine import Database
from workers.spec import NodeSpec
from workers.watch import ModelWatch

_log = logging.getLogger(__name__)

REPORT_EVERY_S = 5.0


class SlotReporter:
    """Writes one slot's row."""

    def __init__(self, spec: NodeSpec, name: str, database: Database, clock: Clock, watch: ModelWatch | None) -> None:
        self.name = name
        self._spec = spec
        self._database = database
        self._clock = clock
        self._watch = watch
        self._started_at = clock()

    @property
    def claimant(self) -> str:
        """Who claims chunks and runs: the slot and this process. The node's parent knows both when the process dies."""
        return claimant(self.name, os.getpid())

    def write(self, session: Session, *, advanced: bool) -> None:
        """Write the row as part of the caller's transaction."""
        nodes.report_node(session, self.current(), self._clock(), advanced=advanced)

    def report(self) -> None:
        """Write the row in a transaction of its own."""
        with self._database.write() as session:
            self.write(session, advanced=False)

    def report_stop(self) -> None:
        """Note that the slot stops on purpose."""
        with self._database.write() as session:
            nodes.report_stop(session, self.name, self._clock())

    def current(self) -> nodes.NodeReport:
        """Return what the row should say."""
        serving = self._watch.serving if self._watch else None
        return nodes.NodeReport(
            name=self.name,
            role=self._spec.role,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=self._spec.device,
            started_at=self._started_at,
            generation=serving.generation if serving else None,
            model_id=serving.version if serving else None,
            model_error=self._watch.error if self._watch else None,
        )


def claimant(slot_name: str, pid: int) -> str:
    """Return the name under which a slot's process claims chunks and runs."""
    return f"{slot_name}:{pid}"


class Pulse:
    """A thread that polls the model and reports the slot until it is stopped."""

    def __init__(self, reporter: SlotReporter, watch: ModelWatch | None, poll_s: float) -> None:
        self._reporter = reporter
        self._watch = watch
        self._poll_s = poll_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._said: nodes.NodeReport | None = None
        self._said_s = 0.0
        self._away = False

    def start(self) -> None:
        """Beat once now, then go on in the background."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """End the thread and say that the slot stopped."""
        self._stop.set()
        self._thread.join(timeout=self._poll_s + 1)
        try:
            self._reporter.report_stop()
        except FacefleetError as error:
            _log.warning("could not report the stop: %s", error)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_s):
            self._beat()

    def _beat(self) -> None:
        """Look at the model and report; an outage is logged once."""
        try:
            if self._watch is not None:
                self._watch.refresh_if_idle()
            self._report_if_due()
            self._away = False
        except FacefleetError as error:
            if not self._away:
                _log.warning("%s", error)
            self._away = True

    def _report_if_due(self) -> None:
        said = self._reporter.current()
        if said == self._said and time.monotonic() - self._said_s < REPORT_EVERY_S:
            return
        self._reporter.report()
        self._said, self._said_s = said, time.monotonic()
