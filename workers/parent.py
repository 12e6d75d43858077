"""Child processes that do not outlive their parent, even when it is killed."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> Callable[[], None] | None:
    """Return what a child is to run before it executes its program, or None where the system knows no such thing.

    Args:
        parent_pid: of the process that starts the child from its main thread (Linux watches the thread).
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded here: a child between fork and exec must not take locks

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died before the line above
            os._exit(1)

    return prepare
