"""Takes back at once the chunk or run of a child process of this node that died, and notes how it ended.

Works on a thread of its own: the node's parent must not wait for the ledger. What it cannot write, the lease settles.
"""

import logging
import queue
import signal
import threading
import time
from dataclasses import dataclass

from core.clock import Clock
from core.errors import DatabaseUnreachableError
from core.records import AttemptEnd
from db import chunks, runs
from db.engine import Database
from workers.pulse import claimant
from workers.spec import NodeSpec
from workers.watchdog import HANG_SIGNAL

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
_CLOSE_S = 2.0
_ENDS = {-HANG_SIGNAL: AttemptEnd.HUNG, -signal.SIGKILL: AttemptEnd.KILLED}


@dataclass(frozen=True, kw_only=True)
class Death:
    """A child process that ended."""

    slot: int
    """Which of the node's children it was, from 0."""
    pid: int
    exit_code: int
    """Negative: the number of the signal that ended it."""

    @property
    def end(self) -> AttemptEnd:
        """How it ended, in case it had not finished its work."""
        return _ENDS.get(self.exit_code, AttemptEnd.CRASHED)


class Undertaker:
    """Hears of children that ended. One a node.

    Args:
        spec: the node.
        database: the ledger; closed with this.
        clock: the time.
    """

    def __init__(self, spec: NodeSpec, database: Database, clock: Clock) -> None:
        self._spec = spec
        self._database = database
        self._clock = clock
        self._deaths: queue.SimpleQueue[Death | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="undertaker", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def hear(self, death: Death) -> None:
        """Hear of a death; returns at once. Hearing of it twice does nothing more."""
        self._deaths.put(death)

    def close(self) -> None:
        """Settle what was heard, as far as that goes quickly."""
        self._closing.set()
        self._deaths.put(None)
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while (death := self._deaths.get()) is not None:
            self._settle(death)
        self._database.close()

    def _settle(self, death: Death) -> None:
        """Take back what it held; while the ledger is away, until the lease has run out anyway."""
        deadline_s = time.monotonic() + self._spec.settings.lease_s
        while True:
            try:
                return self._take_back(death)
            except DatabaseUnreachableError as error:
                if time.monotonic() > deadline_s:
                    _log.warning("%s What process %d held is left to its lease.", error, death.pid)
                    return None
            if self._closing.wait(_RETRY_S):
                return None

    def _take_back(self, death: Death) -> None:
        worker = claimant(self._spec.slot_name(death.slot), death.pid)
        with self._database.write() as session:
            now = self._clock()
            taken = chunks.reclaim_from(session, worker, death.end, now) + runs.reclaim_from(session, worker, now)
        if taken:
            _log.warning("process %d %s (%d); what it held is taken back", death.pid, death.end, death.exit_code)
