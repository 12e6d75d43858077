"""Ends a process whose work hangs, even in native code that holds the interpreter's lock. The parent does the rest.

The clock is the kernel's, and so is the blow: an alarm that nobody catches needs no thread and no lock of Python's.
"""

import faulthandler
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from core.settings import Settings

HANG_SIGNAL = signal.SIGALRM
"""What a process dies of that hung. Nothing else sends it, so that the parent can tell from the exit code."""

_SLACK_S = 10.0
"""What may pass besides reading and decoding a photo before a sign of progress: a batch of 32 takes 0.1 s."""

_SHARE_OF_LEASE = 0.5
"""Two thirds of a lease are left at the latest sign of progress: the parent must come before it runs out."""

_LEAST_S = 5.0
"""A process that gets no core for a moment does not hang."""


def patience_s(settings: Settings) -> float:
    """Return how long work may go without a sign of progress: a photo's time and some more, within the lease."""
    return max(_LEAST_S, min(settings.photo_timeout_s + _SLACK_S, settings.lease_s * _SHARE_OF_LEASE))


class Watchdog:
    """Watches the work of this process's main thread. Asleep until work begins.

    Args:
        patience_s: seconds without a sign of progress after which the process ends.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what runs inside the block."""
        _let_the_alarm_kill()
        self._set(self._patience_s)
        try:
            yield
        finally:
            self._set(0.0)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Look away inside the block, which has deadlines of its own, and start counting anew after it."""
        self._set(0.0)
        yield  # what it raises ends the work, and no count begins
        self._set(self._patience_s)

    def _set(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _let_the_alarm_kill() -> None:
    """Have the alarm write where each thread hangs and then end the process; the pool sets a handler of its own."""
    signal.signal(HANG_SIGNAL, signal.SIG_DFL)
    faulthandler.register(HANG_SIGNAL, file=sys.stderr, all_threads=True, chain=True)
