"""Makes the picture of one photo from its result rows, as a JPEG. Asks no ledger and writes no file.

Photos are read as workers read them, FACEFLEET_IMAGE_ROOTS included: the ledger names them, not the person who types.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import FacefleetError, PhotoChangedError, PhotoTooSlowError
from core.images.annotate import DECODE_SIDE_PX, Mark, annotate_photo
from core.images.decode import DecodeLimits, decode_photo
from core.images.fonts import Fonts
from core.images.read import PhotoReader
from core.images.uris import photo_name
from core.records import ErrorRecord, FaceOutcome
from core.settings import Settings
from db.retries import MAY_END_PROCESSES

if TYPE_CHECKING:
    from PIL import Image

    from scripts.result_formats import Row

OURS = b"facefleet results --pictures"
"""The comment in each picture, near the beginning of its file."""
_QUALITY = 90
_MOST_OF_A_NAME = 40


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One photo of a selection of results."""

    job: str
    item: int
    uri: str
    rows: "tuple[Row, ...]"
    sha256: str | None
    """As it was looked at; None when it could not be read then."""

    @property
    def file_name(self) -> str:
        """The picture's: unique by job and place; the rest is for people, cleaned of all that a path could mean."""
        stem = re.sub(r"[^\w.-]+", "_", Path(photo_name(self.uri)).stem)[:_MOST_OF_A_NAME]
        return f"{self.job}-{self.item:06d}-{stem.strip('._') or 'photo'}.jpg"


@dataclass(frozen=True, kw_only=True)
class Painted:
    """What became of one photo."""

    photo: Photo
    jpeg: bytes = b""
    error: ErrorRecord | None = None
    """Why there is no picture."""


class Painter:
    """Makes pictures. Safe for many threads."""

    def __init__(self, settings: Settings) -> None:
        self._reader = PhotoReader.from_settings(settings)
        self._limits = DecodeLimits.from_settings(settings)
        self._fonts = Fonts()

    @property
    def undrawn(self) -> str:
        """Characters of names that no font of this machine has."""
        return "".join(sorted(self._fonts.missing))

    def close(self) -> None:
        """Close the archives that are open."""
        self._reader.close()

    def paint(self, photo: Photo) -> Painted:
        """Make a picture; what goes wrong is that photo's error."""
        error = photo.rows[0]["error"]
        if error and error["code"] in MAY_END_PROCESSES:
            message = f"It was not opened here, as it ended the workers that looked at it. {error['message']}"
            return Painted(photo=photo, error=ErrorRecord(code=error["code"], message=message))
        try:
            picture = self._draw(photo)
        except FacefleetError as error:
            return Painted(photo=photo, error=ErrorRecord(code=error.code, message=error.message))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_QUALITY, comment=OURS)
        return Painted(photo=photo, jpeg=buffer.getvalue())

    def _draw(self, photo: Photo) -> "Image.Image":
        """Read a photo and draw its rows.

        Raises:
            PhotoError: it cannot be used, or is another one by now.
            SourceUnreachableError: the place it lies in did not answer.
        """
        data = self._reader.read(photo.uri)
        if photo.sha256 is not None and hashlib.sha256(data).hexdigest() != photo.sha256:
            raise PhotoChangedError(
                "The file is not the one that was looked at, so the boxes and names of that one were not drawn on it. "
                "Submit it again, or put the old file back."
            )
        decoded = decode_photo(data, self._limits, reduce_to_px=DECODE_SIDE_PX)
        marks = [_mark(row) for row in photo.rows if row["box"]]
        return annotate_photo(decoded, marks, self._fonts, caption="" if marks else _caption(photo.rows[0]))

    def too_slow(self, photo: Photo) -> Painted:
        """Say that a photo took longer than it may."""
        message = (
            f"Reading and drawing it took longer than {self._limits.timeout_s:g} s and was given up. Check the disk or "
            "store it lies on, or raise FACEFLEET_PHOTO_TIMEOUT_S, and write the pictures again."
        )
        return Painted(photo=photo, error=ErrorRecord(code=PhotoTooSlowError.code, message=message))


def _mark(row: "Row") -> Mark:
    """Return a face as it is drawn. A name stands only where one was given: the nearest person is no answer."""
    outcome = FaceOutcome(row["outcome"])
    text = row["person"] or outcome.replace("_", " ")
    if row["person"] and row["confidence"] is not None:
        text += f" {int(100 * row['confidence'])}\u00a0%"  # rounded down: 100 % is certainty
    if row["quality"]["reasons"]:
        text += f": {', '.join(reason.replace('_', ' ') for reason in row['quality']['reasons'])}"
    return Mark(box_xyxy_px=tuple(row["box"]), text=text, outcome=outcome)


def _caption(row: "Row") -> str:
    """Say of a photo without faces how it ended."""
    return f"error: {row['error']['code']}" if row["error"] else row["outcome"].replace("_", " ")
