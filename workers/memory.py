"""What a worker process may take and keep: a bound while it reads photos, and freed memory for the next batch.

Beyond the bound native code gets no memory either. The limit is the kernel's (RLIMIT_DATA), counted from what the
process takes at rest, so that neither the address space that CUDA reserves nor the model comes into it. Linux only;
elsewhere it does nothing.
"""

import ctypes
import logging
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

LEAST_ROOM_BYTES = 512 << 20
"""With less, sound photos would fail: one of 60 million pixels takes this much. A lower limit is raised to it."""

MODEL_ROOM_BYTES = 1 << 30
"""For loading a model while photos are worked on. Measuring the ways to run one takes 200 MiB beside its weights."""

_LEFTOVER_SHARE = 0.5
"""Of the room for photos: a process that keeps more than this after a chunk is replaced."""

_STATUS = Path("/proc/self/status")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # out of glibc's malloc.h
_M_ARENA_MAX = -8
_KEPT_BYTES = 192 << 20
_WORTH_TIDYING_BYTES = 8 << 20
_ARENAS = 2  # heaps for all threads together; one a thread, as is usual, keeps freed memory as often
_LARGEST_KEPT_BLOCK = 32 << 20  # the most that glibc takes; larger blocks go back to the system at once


@dataclass(frozen=True, kw_only=True)
class _Use:
    """What this process takes now, in bytes."""

    resident: int
    data: int
    """Writable private memory, resident or not: what the kernel compares with RLIMIT_DATA."""


class MemoryLimit:
    """The memory limit of this process.

    Args:
        room_bytes: what it may grow by, beyond what it takes at rest; 0: no limit.
    """

    def __init__(self, room_bytes: int) -> None:
        self._room = max(room_bytes, LEAST_ROOM_BYTES) if room_bytes and sys.platform == "linux" else 0
        self._at_rest: int | None = None
        self._lock = threading.Lock()
        self._loading = False
        self._tidied = 0
        self._allowed: int | None = None  # while the limit is held

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the limit inside the block. Whoever asks for more gets a MemoryError, or dies if he does not look."""
        if not self._room:
            yield
            return
        use = _use()
        if self._at_rest is None:
            self._at_rest = use.resident  # before the first photo; the model is loaded by then
        room = self._room - max(0, use.resident - self._at_rest)
        before = resource.getrlimit(resource.RLIMIT_DATA)
        with self._lock:
            self._allow(use.data + room + self._loading * MODEL_ROOM_BYTES)
        try:
            yield
        finally:
            with self._lock:
                self._allowed = None
                resource.setrlimit(resource.RLIMIT_DATA, before)
            if _use().resident > self._at_rest + _KEPT_BYTES:
                release_freed_memory()

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Give a model that is loaded on another thread room of its own: photos must not fail for it, nor it for them.

        Work that is under way keeps this room to its end, as the model does.
        """
        with self._lock:
            self._loading = True
            if self._allowed is not None:
                self._allow(self._allowed + MODEL_ROOM_BYTES)
        try:
            yield
        finally:
            self._loading = False

    def tidy(self) -> None:
        """Give back what loading models left, unless photos are worked on: they would need it again at once."""
        if self._allowed is None and _use().resident > self._tidied + _WORTH_TIDYING_BYTES:
            release_freed_memory()
            self._tidied = _use().resident

    def _allow(self, allowed: int) -> None:
        """Have the kernel allow this process so many bytes of data, or what it may have at all. The lock is held."""
        self._allowed = allowed
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (allowed if most < 0 else min(allowed, most), most))

    @property
    def outgrown(self) -> bool:
        """Whether the process keeps so much after its work that a new one should take over."""
        if self._at_rest is None or self._loading:
            return False
        most = self._at_rest + _LEFTOVER_SHARE * self._room
        if _use().resident > most:
            release_freed_memory()  # what was freed since is no leak either
        kept = _use().resident
        if kept > most:
            _log.warning("the process keeps %d MiB after a chunk and is replaced", kept >> 20)
        return kept > most


def keep_freed_memory() -> None:
    """Have glibc keep what a batch frees for the next one.

    Otherwise it may give the network's buffers back to the system after every batch, depending on what lies behind them
    on the heap: 12,000 page faults and 20 ms of 185 ms for every 128 photos. Other C libraries have no such switch and
    are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
        mallopt(_M_ARENA_MAX, _ARENAS)


def release_freed_memory() -> None:
    """Have glibc give back all that it keeps, also what lies in pieces between blocks that are in use.

    Photos of many sizes leave such pieces: 843 odd files left 370 MiB of them, and no leak. So does measuring the ways
    to run a model: 200 MiB.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _use() -> _Use:
    """Read what this process takes."""
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    resident, data = (int(fields[name].split()[0]) << 10 for name in ("VmRSS", "VmData"))
    return _Use(resident=resident, data=data)
