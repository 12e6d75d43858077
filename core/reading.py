"""From a photo's URI to the crops of its faces: read, hash, decode, crop. What goes wrong is that photo's error.

No network runs here, and nothing is decided about whose faces they are.
"""

import hashlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from core.errors import FacefleetError, InputError, PhotoTooSlowError
from core.faces.crop import crop_whole_photo
from core.images.decode import decode_photo, too_large_for_memory
from core.records import ErrorRecord, Example, FacesMode, PhotoTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.images.decode import DecodedPhoto, DecodeLimits

_log = logging.getLogger(__name__)


class Reader(Protocol):
    """Gives the bytes of a photo."""

    def read(self, uri: str) -> bytes:
        """Read a photo whole; raises a PhotoError or SourceUnreachableError."""


@dataclass(frozen=True, kw_only=True)
class FaceCrop:
    """One face, ready for the network."""

    pixels: "NDArray[np.uint8]"
    """[S, S, 3] RGB."""
    box_xyxy_px: tuple[float, float, float, float]
    """(x1, y1, x2, y2) in pixels of the upright original photo."""
    landmarks_px: tuple[tuple[float, float], ...] = ()
    """Five points in pixels of the upright original photo; empty when nothing looked for them."""


class FaceFinder(Protocol):
    """Finds the faces of a photo."""

    def __call__(self, photo: "DecodedPhoto", size_px: int) -> tuple[FaceCrop, ...]:
        """Return crops of side `size_px`, left to right, then top to bottom; none when there is no face."""


def whole_photo(photo: "DecodedPhoto", size_px: int) -> tuple[FaceCrop, ...]:
    """Take the whole photo as the one face it shows."""
    box = (0.0, 0.0, float(photo.width_px), float(photo.height_px))
    return (FaceCrop(pixels=crop_whole_photo(photo.pixels, size_px), box_xyxy_px=box),)


def face_finder(mode: FacesMode) -> FaceFinder:
    """Return what finds the faces of photos submitted in this mode.

    Raises:
        InputError: no model of this version is trained on faces found in photographs.
    """
    if mode is not FacesMode.CROP:
        raise InputError(
            "This model was trained on photos that are one face each, so it cannot look for faces in photographs. "
            "Nothing was done; submit face crops with --faces crop."
        )
    return whole_photo


@dataclass(frozen=True, kw_only=True)
class LoadedPhoto:
    """A photo on its way to the network: its crops, or why there are none."""

    task: PhotoTask
    sha256: str | None = None
    """Of the file's bytes; None when they could not be read."""
    width_px: int | None = None
    height_px: int | None = None
    """Size of the upright original; None when it was not decoded."""
    crops: tuple[FaceCrop, ...] = ()
    error: ErrorRecord | None = None


@dataclass(frozen=True, kw_only=True)
class PhotoLoader:
    """Loads photos for one model. Called from several threads at once."""

    reader: Reader
    limits: "DecodeLimits"
    find_faces: FaceFinder
    size_px: int
    """Side of the crops."""

    def load(self, task: PhotoTask) -> LoadedPhoto:
        """Load a photo; never raises, so that it cannot harm its neighbours."""
        loaded = LoadedPhoto(task=task)
        try:
            data = self._read(task.uri)
            loaded = replace(loaded, sha256=hashlib.sha256(data).hexdigest())
            photo = _decode_for(data, self.limits, self.size_px)
            loaded = replace(loaded, width_px=photo.width_px, height_px=photo.height_px)
            return replace(loaded, crops=self.find_faces(photo, self.size_px))
        except FacefleetError as error:
            return replace(loaded, error=ErrorRecord(code=error.code, message=error.message))
        except Exception:
            _log.exception("photo %s failed in a way that no one foresaw", task.uri)
            return replace(loaded, error=internal_error("the photo could not be decoded"))

    def _read(self, uri: str) -> bytes:
        try:
            return self.reader.read(uri)
        except MemoryError as error:
            raise too_large_for_memory() from error

    def too_slow(self, task: PhotoTask) -> LoadedPhoto:
        """Say that a photo took longer than it may."""
        error = PhotoTooSlowError(
            f"Reading and decoding {task.uri} took longer than {self.limits.timeout_s:g} s and was given up. The other "
            "photos are not affected. Check the disk or store it lies on, or raise FACEFLEET_PHOTO_TIMEOUT_S, and "
            "retry it."
        )
        return LoadedPhoto(task=task, error=ErrorRecord(code=error.code, message=error.message))


@dataclass(frozen=True, kw_only=True)
class CropReader:
    """Reads the crops that a model is trained on, in the very way in which it will see photos that it identifies."""

    reader: Reader
    limits: "DecodeLimits"

    def __call__(self, example: Example, size_px: int) -> "NDArray[np.uint8]":
        """Return a labelled photo, which is one face, as uint8 [size_px, size_px, 3] RGB.

        Raises:
            PhotoError: the photo cannot be used.
            SourceUnreachableError: the place it lies in did not answer.
        """
        photo = _decode_for(self.reader.read(example.uri), self.limits, size_px)
        return crop_whole_photo(photo.pixels, size_px)


def _decode_for(data: bytes, limits: "DecodeLimits", size_px: int) -> "DecodedPhoto":
    """Decode a photo that will be scaled to crops of this side."""
    return decode_photo(data, limits, reduce_to_px=size_px)


def internal_error(fact: str) -> ErrorRecord:
    """Return the record of a failure that is facefleet's own fault."""
    return ErrorRecord(
        code=FacefleetError.code,
        message=f"An error inside facefleet: {fact}. The other photos are not affected. "
        "The worker's log says where; please report it, and retry the photo after an upgrade.",
    )
