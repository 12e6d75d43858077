"""Walks local folders and globs, lazily and in a stable natural order. Yields paths; opens no photo."""

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from core.errors import SourceUnreachableError
from core.images.skips import why_folder_skipped, why_skipped
from core.records import SkipLog

_PASSED_OVER = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR)
_DIGITS = re.compile(r"[0-9]+")
_MAGIC = re.compile(r"[*?\[]")


def natural_key(name: str) -> str:
    """Give a sort key under which `2.jpg` stands before `10.jpg`: every number is led by its length.

    One string per name, as a tuple of parts costs five times the memory in a folder of a million photos.
    """
    return _DIGITS.sub(_with_length, name.casefold()) + "\0" + name


def has_magic(spec: str) -> bool:
    """Say whether a path is a glob."""
    return _MAGIC.search(spec) is not None


def walk_folder(folder: str, skipped: SkipLog, pattern: "Pattern | None" = None) -> Iterator[str]:
    """Yield the paths of the photos below a folder: its own files first, then its folders, each in natural order.

    A folder is listed only when its turn comes. Links to folders are followed; no folder is walked twice, so loops end.
    A folder below that the user may not read is passed over.

    Args:
        folder: absolute.
        skipped: told of what is passed over.
        pattern: takes only what it matches.

    Raises:
        SourceUnreachableError: the disk failed.
    """
    pending = [(folder, 0)]
    seen: set[tuple[int, int]] = set()
    while pending:
        here, depth = pending.pop()
        listing = _list_folder(here, seen, skipped)
        if listing is None:
            continue
        files, folders = listing
        for name in files:
            path = os.path.join(here, name)  # noqa: PTH118 - a Path per file costs more than the rest of the walk
            if pattern is None or pattern.takes(path):
                if why := why_skipped(name):
                    skipped.add(path, why)
                else:
                    yield path
        deeper = [name for name in folders if pattern is None or pattern.enters(depth, name)]
        pending.extend((os.path.join(here, name), depth + 1) for name in reversed(deeper))  # noqa: PTH118


class Pattern:
    """A glob with `*`, `?`, `[...]` and `**` (any number of folders). It matches files; hidden ones never."""

    def __init__(self, spec: str) -> None:
        """Take an absolute glob apart into the folder it starts in and what it asks for below."""
        parts = spec.split("/")
        first = next(number for number, part in enumerate(parts) if has_magic(part))
        self.base = "/".join(parts[:first]) or "/"
        self._start = len(self.base.rstrip("/")) + 1
        self._segments = parts[first:]

    def takes(self, path: str) -> bool:
        """Say whether a file below the base matches."""
        return _matches(path[self._start :].split("/"), self._segments)

    def enters(self, depth: int, name: str) -> bool:
        """Say whether a folder found at this depth below the base can hold a match."""
        if "**" in self._segments[: depth + 1]:
            return True
        return depth < len(self._segments) - 1 and fnmatch.fnmatchcase(name, self._segments[depth])


def _matches(parts: list[str], segments: list[str]) -> bool:
    if not segments:
        return not parts
    if segments[0] == "**":
        return any(_matches(parts[start:], segments[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], segments[0]) and _matches(parts[1:], segments[1:])


def _list_folder(here: str, seen: set[tuple[int, int]], skipped: SkipLog) -> tuple[list[str], list[str]] | None:
    """List the files and folders of one folder, sorted; None where there is nothing to walk."""
    try:
        status = Path(here).stat()
        if (status.st_dev, status.st_ino) in seen:
            skipped.add(here, "a folder that was walked already under another name")
            return None
        seen.add((status.st_dev, status.st_ino))
        return _sorted_entries(here, skipped)
    except OSError as error:
        if error.errno not in _PASSED_OVER:
            raise SourceUnreachableError(
                f"The folder {here} could not be listed: {error.strerror}. Its photos may be good. Try again once the "
                "disk answers."
            ) from error
        skipped.add(here, f"a folder that cannot be read: {error.strerror}")
        return None


def _sorted_entries(here: str, skipped: SkipLog) -> tuple[list[str], list[str]]:
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(here) as entries:
        for entry in entries:
            kind = _kind(entry)
            if kind == "file":
                files.append(entry.name)
            elif kind != "folder":
                skipped.add(entry.path, kind)
            elif why := why_folder_skipped(entry.name):
                skipped.add(entry.path, why)
            else:
                folders.append(entry.name)
    files.sort(key=natural_key)
    folders.sort(key=natural_key)
    return files, folders


def _kind(entry: "os.DirEntry[str]") -> str:
    """Say what an entry is, links followed; most are told without a system call."""
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
        mode = entry.stat().st_mode
    except OSError:
        return "a link that leads nowhere"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket or device"


def _with_length(digits: "re.Match[str]") -> str:
    number = digits[0].lstrip("0") or "0"
    return f"{len(number):03d}{number}"
