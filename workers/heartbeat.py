"""The heartbeat of a training run: keeps its lease while training advances, and hears of cancellation.

A trainer that hangs stops beating: liveness is work going forward, not a thread being there.
"""

import logging
import threading
import time
from types import TracebackType
from typing import Self

from sqlalchemy.orm import Session

from core.clock import Clock
from core.errors import DatabaseUnreachableError, LeaseLostError
from core.records import EpochProgress
from db import runs
from db.engine import Database
from db.runs import RunLease
from workers.stop import StopFlag

_log = logging.getLogger(__name__)

MOST_SECONDS_BETWEEN_BEATS = 2.0
"""Also the time in which a trainer hears of a cancellation."""

STALLED_AFTER_S = 600.0
"""Without a word from training for so long, the run is left to another trainer. The longest silence is the export."""


class Heartbeat:
    """Beats on a thread inside the `with` block."""

    def __init__(self, lease: RunLease, database: Database, clock: Clock, lease_s: float, stop: StopFlag) -> None:
        self.cancelled = False
        """Somebody asked to cancel the run."""
        self.lost = False
        """Another trainer owns the run."""
        self._lease = lease
        self._database = database
        self._clock = clock
        self._lease_s = lease_s
        self._stop = stop
        self._advanced_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Beat no more: what is written of the lease from now on stays so."""
        self._ended.set()
        self._thread.join()

    def should_stop(self) -> bool:
        """Answer training, which asks between photos and batches: its asking is the sign that it advances."""
        self._advanced_s = time.monotonic()
        return self.cancelled or self.lost or self._stop.requested

    def record_epoch(self, progress: EpochProgress) -> None:
        """Store an epoch's figures; an outage of the ledger costs the curve a point, not the run."""
        self._advanced_s = time.monotonic()
        try:
            with self._database.write() as session:
                self._extend(session)  # also the fence: without the lease nothing is written
                runs.record_epoch(session, self._lease, progress)
        except LeaseLostError:
            self.lost = True
        except DatabaseUnreachableError as error:
            _log.warning("%s Epoch %d was not recorded.", error, progress.epoch)

    def _run(self) -> None:
        interval_s = min(self._lease_s / 3, MOST_SECONDS_BETWEEN_BEATS)
        while not self._ended.wait(interval_s) and not self.lost:
            if time.monotonic() - self._advanced_s < STALLED_AFTER_S:
                self._beat()

    def _beat(self) -> None:
        try:
            with self._database.write() as session:
                self._extend(session)
        except LeaseLostError:  # also when this process has just ended the run: then nobody asks any more
            self.lost = True
        except DatabaseUnreachableError as error:
            _log.warning("%s", error)

    def _extend(self, session: Session) -> None:
        self.cancelled = runs.heartbeat(session, self._lease, self._clock(), self._lease_s)
