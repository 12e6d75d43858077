"""A slot's word about itself in the ledger: what it serves, and when its work last went forward.

The same thread polls the model while the slot is idle.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from core.clock import Clock
from core.errors import FacefleetError
from db import nodes, swaps
from db.engine import Database
from workers.spec import NodeSpec
from workers.watch import ModelWatch

_log = logging.getLogger(__name__)

REPORT_EVERY_S = 5.0
FIRST_MODEL_S = 120.0
"""How long a process waits for its first model before it takes bells, which it could not answer."""
_MOMENTS_KEPT = 8


class SlotReporter:
    """Writes one slot's row."""

    def __init__(self, spec: NodeSpec, name: str, database: Database, clock: Clock, watch: ModelWatch | None) -> None:
        self.name = name
        self._spec = spec
        self._database = database
        self._clock = clock
        self._watch = watch
        self._started_at = clock()
        self._times = _LedgerTimes(clock)

    @property
    def claimant(self) -> str:
        """Who claims chunks and runs: the slot and this process. The node's parent knows both when the process dies."""
        return claimant(self.name, os.getpid())

    def write(self, session: Session, *, advanced: bool) -> None:
        """Write the row as part of the caller's transaction."""
        nodes.report_node(session, self.current(), self._clock(), advanced=advanced)

    def report(self) -> None:
        """Write the row, and which models cannot be loaded here, in a transaction of its own."""
        failures = self.failures()  # before the row is made: one that comes in between is told by the row alone
        with self._database.write() as session:
            self.write(session, advanced=False)
            swaps.report_failures(session, self.name, failures, self._clock())

    def report_stop(self) -> None:
        """Note that the slot stops on purpose."""
        with self._database.write() as session:
            nodes.report_stop(session, self.name, self._clock())
            swaps.report_failures(session, self.name, (), self._clock())

    def current(self) -> nodes.NodeReport:
        """Return what the row should say."""
        serving = self._watch.serving if self._watch else None
        beside = self._watch.beside if self._watch else None
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
            serves_since=self._times.at(serving.since_s) if serving else None,
            beside_id=beside.version if beside else None,
            variant=serving.engine.variant if serving else None,
            images_per_s=serving.engine.images_per_s if serving else None,
            tuning_cached=serving.engine.tuning_cached if serving else None,
        )

    def failures(self) -> tuple[swaps.FailedSwap, ...]:
        """Return which models should be here and cannot be loaded."""
        return tuple(
            swaps.FailedSwap(
                model_id=failed.model.version,
                generation=failed.model.generation,
                code=failed.code,
                message=failed.message,
                attempts=failed.attempts,
                at=self._times.at(failed.failed_s),
            )
            for failed in (self._watch.failures if self._watch else ())
        )


def claimant(slot_name: str, pid: int) -> str:
    """Return the name under which a slot's process claims chunks and runs."""
    return f"{slot_name}:{pid}"


class _LedgerTimes:
    """Turns moments of this process's monotonic clock into the ledger's time: each once, so that it does not waver."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[float, datetime] = {}

    def at(self, moment_s: float) -> datetime:
        """Return when it was."""
        found = self._known.get(moment_s)
        if found is None:
            while len(self._known) >= _MOMENTS_KEPT:
                self._known.pop(next(iter(self._known)), None)
            found = self._known[moment_s] = self._clock() - timedelta(seconds=time.monotonic() - moment_s)
        return found


class Pulse:
    """A thread that polls the models and reports the slot until it is stopped.

    Args:
        reporter: writes the slot's row.
        watch: polls; None for a slot without models.
        poll_s: seconds between two beats.
        on_idle: called at beats while no chunk is worked on.
    """

    def __init__(
        self,
        reporter: SlotReporter,
        watch: ModelWatch | None,
        poll_s: float,
        *,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_idle = on_idle
        self._reporter = reporter
        self._watch = watch
        self._poll_s = poll_s
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._said: tuple[nodes.NodeReport, tuple[swaps.FailedSwap, ...]] | None = None
        self._said_s = 0.0
        self._away = False

    def start(self) -> None:
        """Beat once now, wait for the first model, and go on in the background."""
        self._beat()
        if self._watch is not None and self._watch.wait_loaded(FIRST_MODEL_S):
            self._beat()
        self._thread.start()

    def hurry(self) -> None:
        """Beat soon, whenever the next beat would be. Called from any thread."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread and say that the slot stopped."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=self._poll_s + 1)
        try:
            self._reporter.report_stop()
        except FacefleetError as error:
            _log.warning("could not report the stop: %s", error)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._poll_s)
            self._wake.clear()
            if not self._stopping:
                self._beat()

    def _beat(self) -> None:
        """Look at the model and report; an outage is logged once."""
        try:
            if self._watch is not None:
                self._watch.poll(self._on_idle)
            self._report_if_due()
            self._away = False
        except FacefleetError as error:
            if not self._away:
                _log.warning("%s", error)
            self._away = True

    def _report_if_due(self) -> None:
        said = self._reporter.current(), self._reporter.failures()
        if said == self._said and time.monotonic() - self._said_s < REPORT_EVERY_S:
            return
        self._reporter.report()
        self._said, self._said_s = said, time.monotonic()
