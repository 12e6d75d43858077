"""`facefleet results --pictures`: a picture of each photo of a selection, in a folder of their own."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.prefetch import Prefetcher
from core.records import ErrorRecord
from core.settings import Settings
from db.results import find_photo_sha256
from scripts.files import replacing
from scripts.output import say, show_count
from scripts.picture_painter import OURS, Painted, Painter, Photo
from scripts.progress import show_progress

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from scripts.result_formats import Row

_HEAD_BYTES = 256  # of a file: what is read to see whose it is
_FAILURES_KEPT = 20
_AHEAD = 8  # pictures that are made or waiting, which bounds the memory


@dataclass(kw_only=True)
class Written:
    """How many pictures were written, and of which photos none could be made."""

    folder: Path
    pictures: int = 0
    failed: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    """The first of them."""
    undrawn: str = ""
    """Characters that no font of this machine has."""

    def add_failure(self, photo: Photo, error: ErrorRecord) -> bool:
        """Count one more; keep it, and return that it is to be told, while there is room."""
        self.failed += 1
        if len(self.failures) == _FAILURES_KEPT:
            return False
        why = {"code": error.code, "message": error.message}
        self.failures.append({"job": photo.job, "item": photo.item, "uri": photo.uri, "error": why})
        return True

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "folder": str(self.folder),
            "pictures": self.pictures,
            "failed": self.failed,
            "failures": self.failures,
            "undrawn": self.undrawn,
        }

    def tell(self) -> None:
        """Say what the failures that were told while it went on do not say."""
        if self.pictures:
            say(f"{self.folder}: {show_count(self.pictures, 'picture')}.")
        elif not self.failed:
            say("No result matches, so there is no picture. Jobs that still run add theirs as they go.")
        if self.failed:
            more = self.failed - len(self.failures)
            which = f"; {more:,} more of these are not listed above" if more else ""
            say(f"No picture of {show_count(self.failed, 'photo')}{which}. Their results stand as they are.")
        if self.undrawn:
            say(
                f"No font of this machine has {' '.join(self.undrawn)}, so empty boxes stand in their place. "
                "Install one that has them (packages fonts-dejavu-core, fonts-noto-core, fonts-noto-cjk) and write the "
                "pictures again."
            )


class PictureWriter:
    """Writes pictures into one folder.

    Raises:
        InputError: the folder holds anything else than such pictures.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        check_folder(folder)
        self._settings = settings
        self._folder = folder

    def write(self, rows: "Iterable[Row]", session: "Session") -> Written:
        """Write a picture of each photo that has a row; a photo of which none can be made stops no other.

        Args:
            rows: those of a photo one after the other.
            session: to ask what is no part of a row.

        Raises:
            InputError: the folder cannot be written.
        """
        written = Written(folder=self._folder)
        with (
            closing(Painter(self._settings)) as painter,
            closing(self._prefetcher()) as ahead,
            closing(ahead.map(painter.paint, painter.too_slow, _photos(rows, session), lambda: None)) as all_painted,
            show_progress("Writing pictures", unit="photos") as bar,
        ):
            for number, painted in enumerate(all_painted, start=1):
                if painted.error is None:
                    self._put(painted)
                    written.pictures += 1
                elif written.add_failure(painted.photo, painted.error):
                    bar.say(f"No picture of {painted.photo.uri} ({painted.error.code}): {painted.error.message}")
                bar.update(done=number)
            written.undrawn = painter.undrawn
        return written

    def _prefetcher(self) -> Prefetcher:
        settings = self._settings
        return Prefetcher(threads=settings.read_threads, ahead=_AHEAD, timeout_s=settings.photo_timeout_s)

    def _put(self, painted: Painted) -> None:
        """Write a picture; one of the same photo takes the place of an earlier one.

        Raises:
            InputError: it cannot be written.
        """
        file = self._folder / painted.photo.file_name
        make_folder(self._folder)
        with replacing(file) as stream:
            stream.write(painted.jpeg)


def _photos(rows: "Iterable[Row]", session: "Session") -> Iterator[Photo]:
    """Put the rows of each photo together."""
    for (job, item), group in groupby(rows, key=lambda row: (row["job"], row["item"])):
        of_photo = tuple(group)
        sha256 = find_photo_sha256(session, job, item)
        yield Photo(job=job, item=item, uri=of_photo[0]["uri"], rows=of_photo, sha256=sha256)


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything else than earlier pictures; hidden files are the desktop's.

    Raises:
        InputError: it does, or cannot be looked into.
    """
    try:
        foreign = next((entry.name for entry in _entries(folder) if not _is_ours(entry)), None)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used as a folder: {error.strerror}. No picture was written. Choose another place."
        ) from error
    if foreign is not None:
        raise InputError(
            f"{folder} holds {foreign}, which is no picture of this command. Nothing was written, so that "
            "nothing is mixed up or overwritten. Name a folder that is new, empty, or holds earlier pictures alone."
        )


def _entries(folder: Path) -> "Iterator[os.DirEntry[str]]":
    if folder.exists():
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))


def _is_ours(entry: "os.DirEntry[str]") -> bool:
    if not entry.is_file(follow_symlinks=False):
        return False
    with Path(entry.path).open("rb") as stream:
        return OURS in stream.read(_HEAD_BYTES)


def make_folder(folder: Path) -> None:
    """Make a folder for pictures.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be made: {error.strerror}. No picture was written. Choose another place."
        ) from error
