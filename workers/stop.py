"""Stopping a child process without losing its work: SIGTERM asks, the work looks, the chunk or run is given back."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequested(Exception):  # noqa: N818 - a request, not an error
    """The process is asked to stop; what is held is to be given back."""


class StopFlag:
    """Whether this process was asked to stop.

    A plain attribute, not a `threading.Event`: the event's lock may be held by the very thread the signal interrupts.
    """

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Take SIGTERM over inside the block: work is to be given back first. An idle process is the pool's to end.

        Raises:
            SystemExit: it was asked to stop before; the broker gives the message to another process.
        """
        if self.requested:
            sys.exit(0)
        idle_handler = signal.signal(signal.SIGTERM, self._on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, idle_handler)

    def check(self) -> None:
        """Return while nobody asked to stop.

        Raises:
            StopRequested: somebody did.
        """
        if self.requested:
            raise StopRequested("the process was asked to stop")

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self.requested = True
