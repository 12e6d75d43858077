"""Brings files to the disk for good, and says of a full disk that it is one. Frees nothing and waits for nothing."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from core.errors import DiskFullError

_NUMBERS = {errno.ENOSPC, errno.EDQUOT}
_WORDS = "No space left on device"  # of writers that are no Python


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed because the disk, or the user's share of it, is full."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _NUMBERS
    return _WORDS in str(error)


def disk_full(place: Path | str) -> DiskFullError:
    """Return the error of a disk that has no room for what was to be written.

    Args:
        place: a folder or file on it.
    """
    return DiskFullError(
        f"The disk of {place} is full. What was being written is discarded, what was there before is whole, and no "
        "photo and no model is lost. Free space there; workers and trainers go on by themselves."
    )


@contextmanager
def told_when_full(place: Path) -> Iterator[None]:
    """Turn what writers say of a full disk into our words.

    Raises:
        DiskFullError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        if is_disk_full(error):
            raise disk_full(place) from error
        raise


def sync_file(file: BinaryIO) -> None:
    """Bring everything written to an open file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring a rename inside a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
