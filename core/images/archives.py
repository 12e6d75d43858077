"""Opens archives of both kinds, and keeps a few open between photos.

So no chunk of a job reopens an archive, or decompresses it from its start again. Knows no URIs.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import BinaryIO

from core.images.members import Archive
from core.images.tars import TarArchive
from core.images.uris import ArchiveKind
from core.images.zips import ZipArchive


def open_archive(kind: ArchiveKind, stream: BinaryIO, max_bytes: int) -> Archive:
    """Open an archive for reading.

    Args:
        kind: zip or tar.
        stream: seekable; closed with the archive, or here when it is none.
        max_bytes: the largest member that is read.

    Raises:
        OSError, or one of ARCHIVE_FAULTS: the stream holds no such archive.
    """
    try:
        return ZipArchive(stream, max_bytes) if kind is ArchiveKind.ZIP else TarArchive(stream, max_bytes)
    except BaseException:
        stream.close()
        raise


class ArchiveCache:
    """The archives used last, open. Safe for threads: one at a time reads an archive, several archives at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()

    def read(self, key: Hashable, open_it: Callable[[], Archive], member: str) -> bytes:
        """Read a member of the archive that `key` stands for.

        Args:
            key: changes when the archive's file changes.
            open_it: opens the archive where it is not open.
            member: the member's name.
        """
        while True:
            slot, old = self._slot(key)
            for other in old:
                other.close()
            with slot.lock:
                if not slot.closed:
                    slot.archive = slot.archive or open_it()
                    return slot.archive.read(member)

    def close(self) -> None:
        """Close every archive."""
        with self._lock:
            slots = list(self._slots.values())
            self._slots.clear()
        for slot in slots:
            slot.close()

    def _slot(self, key: Hashable) -> tuple["_Slot", list["_Slot"]]:
        """Return the key's slot, now the most recent one, and the slots that it pushed out."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            excess = max(0, len(self._slots) - self._size)
            return slot, [self._slots.popitem(last=False)[1] for _ in range(excess)]


class _Slot:
    """One archive's place in the cache."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.archive: Archive | None = None
        self.closed = False

    def close(self) -> None:
        """Close the archive once nobody reads it."""
        with self.lock:
            self.closed = True
            if self.archive is not None:
                self.archive.close()
                self.archive = None
