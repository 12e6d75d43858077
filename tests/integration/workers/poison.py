"""Photos that harm whoever decodes them, as a broken native decoder would: made known to Pillow in a test's nodes.

A poisonous photo is a file that says so; Pillow takes it for a BMP, and the deed is done where pixels are decoded.
"""

import ctypes
import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Any

from PIL import BmpImagePlugin, Image, ImageFile

_MAGIC = b"BM poison: "


class Deed(StrEnum):
    """What decoding does."""

    HANG = "hang"  # waits in native code, with the interpreter's lock held
    SEGFAULT = "segfault"
    LEAVE = "leave"  # ends the process as if all were well
    KILL = "kill"  # as the system's out-of-memory killer


def write_poison(file: Path, deed: Deed) -> Path:
    """Write a photo that does the deed."""
    file.write_bytes(_MAGIC + deed.encode())
    return file


def register() -> None:
    """Have Pillow decode poisonous photos."""
    Image.init()  # all formats first: a later one would take BMP over again
    Image.register_open("BMP", _open, lambda prefix: prefix.startswith(b"BM"))


def _open(stream: Any, filename: Any) -> ImageFile.ImageFile:
    head = stream.read(len(_MAGIC))
    stream.seek(0)
    return (_PoisonFile if head == _MAGIC else BmpImagePlugin.BmpImageFile)(stream, filename)


class _PoisonFile(ImageFile.ImageFile):
    format = "BMP"

    def _open(self) -> None:
        self._mode, self._size = "RGB", (64, 64)
        self._deed = Deed(self.fp.read().removeprefix(_MAGIC).decode())

    def load(self) -> Any:
        if self._deed is Deed.HANG:
            stand_still()
        if self._deed is Deed.SEGFAULT:
            ctypes.string_at(0)
        if self._deed is Deed.LEAVE:
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)


def spin() -> None:
    """Hang with the interpreter's lock held: `PyDLL` keeps it, and a spin lock that is taken twice waits for ever."""
    library = ctypes.PyDLL(None)
    lock = ctypes.c_int()
    library.pthread_spin_init(ctypes.byref(lock), 0)
    library.pthread_spin_lock(ctypes.byref(lock))
    library.pthread_spin_lock(ctypes.byref(lock))


def stand_still() -> None:
    """As `spin`, and leave the core to others: a mutex that is taken twice waits for ever, too."""
    library = ctypes.PyDLL(None)
    mutex = ctypes.create_string_buffer(64)  # all zeros, as PTHREAD_MUTEX_INITIALIZER
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)
