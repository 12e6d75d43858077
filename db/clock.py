"""The ledger's time: one clock for leases, whatever the clocks of the machines that give and judge them say."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import func, select

from core.clock import Clock, utc_now
from core.errors import DatabaseUnreachableError
from db.engine import Database

_log = logging.getLogger(__name__)

ASK_EVERY_S = 60.0
"""Between two looks at the server's clock. A clock drifts by milliseconds in that time."""


class LedgerClock:
    """The time of the PostgreSQL server, carried on from one look at it to the next by this machine's monotonic clock.

    A SQLite file has one machine, and that machine's clock. Until the server has answered once, it is that too.

    Args:
        database: whose time is told.
        own: this machine's time.
        monotonic: this machine's seconds, which nobody sets.
    """

    def __init__(
        self, database: Database, *, own: Clock = utc_now, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._own = own
        self._monotonic = monotonic
        self._due_s = monotonic()
        self._known: tuple[datetime, float] | None = None  # the server's time, and ours in that moment

    def __call__(self) -> datetime:
        """Return the ledger's time, aware, in UTC."""
        if self._database.is_sqlite:
            return self._own()
        if self._monotonic() >= self._due_s:
            self._due_s = self._monotonic() + ASK_EVERY_S
            self._ask()
        if self._known is None:
            return self._own()
        at, then_s = self._known
        return at + timedelta(seconds=self._monotonic() - then_s)

    def _ask(self) -> None:
        try:
            with self._database.read() as session:
                at: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
        except DatabaseUnreachableError as error:
            _log.warning("%s Its clock was not asked.", error)
            return
        self._known = (at, self._monotonic())
