"""Loads photos for identification and crops for training: read, hash, prepare. What goes wrong is that photo's error.

No network runs here, and nothing is decided about whose faces they are.
"""

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from core.errors import (
    FacefleetError,
    FaceTooPoorError,
    NoFaceError,
    PhotoError,
    PhotoTooSlowError,
    SeveralFacesError,
)
from core.finding import FaceCrop, FaceSource, PreparedPhoto
from core.images.decode import too_large_for_memory
from core.records import ErrorRecord, Example, PhotoTask
from core.stages import Stage, TimeStage, untimed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

_SAME_FACE = 0.5
"""Least intersection over union of two boxes of one face."""


class Reader(Protocol):
    """Gives the bytes of a photo."""

    def read(self, uri: str) -> bytes:
        """Read a photo whole; raises a PhotoError or SourceUnreachableError."""


@dataclass(frozen=True, kw_only=True)
class LoadedPhoto:
    """A photo on its way to the network: its crops, or why there are none."""

    task: PhotoTask
    sha256: str | None = None
    """Of the file's bytes; None when they could not be read."""
    width_px: int | None = None
    height_px: int | None = None
    """Size of the upright original; None when it was not decoded."""
    prepared: PreparedPhoto | None = None
    """What its faces are found in; None before it is decoded and after they are found."""
    crops: tuple[FaceCrop, ...] = ()
    error: ErrorRecord | None = None

    @property
    def held_bytes(self) -> int:
        """How much memory it takes until its faces are found, about."""
        return 0 if self.prepared is None else self.prepared.held_bytes


@dataclass(frozen=True, kw_only=True)
class PhotoLoader:
    """Loads photos for one model. Called from several threads at once."""

    reader: Reader
    source: FaceSource
    timeout_s: float
    """How long reading and preparing a photo may take, for the message when it took longer."""
    time_stage: TimeStage = untimed

    def load(self, task: PhotoTask) -> LoadedPhoto:
        """Load a photo; never raises, so that it cannot harm its neighbours."""
        loaded = LoadedPhoto(task=task)
        try:
            with self.time_stage(Stage.READ):
                data = self._read(task.uri)
                loaded = replace(loaded, sha256=hashlib.sha256(data).hexdigest())
            with self.time_stage(Stage.DECODE):
                photo = self.source.prepare(data)
            return replace(loaded, width_px=photo.width_px, height_px=photo.height_px, prepared=photo)
        except FacefleetError as error:
            return failed(loaded, error)
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
            f"Reading and decoding {task.uri} took longer than {self.timeout_s:g} s and was given up. The other "
            "photos are not affected. Check the disk or store it lies on, or raise FACEFLEET_PHOTO_TIMEOUT_S, and "
            "retry it."
        )
        return failed(LoadedPhoto(task=task), error)


class CropReader:
    """Reads the crops that a model is trained on, in the very way in which it will see photos that it identifies.

    Args:
        reader: gives the photos' bytes.
        source: makes them crops.
    """

    def __init__(self, reader: Reader, source: FaceSource) -> None:
        self._reader = reader
        self._source = source
        self._finding = threading.Lock()
        self._changed: set[str] = set()

    def __call__(self, example: Example) -> "NDArray[np.uint8]":
        """Return the face of a labelled photo; called from several threads.

        Returns:
            uint8 [S, S, 3] RGB, S the source's.

        Raises:
            PhotoError: the photo cannot be used.
            SourceUnreachableError: the place it lies in did not answer.
        """
        data = self._reader.read(example.uri)
        if example.sha256 is not None and hashlib.sha256(data).hexdigest() != example.sha256:
            self._changed.add(example.uri)
        photo = self._source.prepare(data)
        with self._finding:
            (found,) = self._source.find([photo])
        if isinstance(found, PhotoError):
            raise found
        return (the_face(found) if example.box_xyxy_px is None else face_at(found, example.box_xyxy_px)).pixels

    def has_changed(self, example: Example) -> bool:
        """Whether other bytes were read than those that the label speaks of: the file was exchanged since."""
        return example.uri in self._changed


def find_faces(source: FaceSource, photos: Sequence[LoadedPhoto]) -> list[LoadedPhoto]:
    """Find the faces of loaded photos; those that have an error already are passed through.

    Raises:
        RuntimeError: the device failed; no photo is to blame.
    """
    found = iter(source.find([photo.prepared for photo in photos if photo.prepared is not None]))
    return [photo if photo.prepared is None else _with_faces(photo, next(found)) for photo in photos]


def _with_faces(photo: LoadedPhoto, found: tuple[FaceCrop, ...] | PhotoError) -> LoadedPhoto:
    photo = replace(photo, prepared=None)  # what was decoded is let go
    return failed(photo, found) if isinstance(found, PhotoError) else replace(photo, crops=found)


def failed(photo: LoadedPhoto, error: FacefleetError) -> LoadedPhoto:
    """Return a photo with the error that is its outcome."""
    return replace(photo, error=ErrorRecord(code=error.code, message=error.message), prepared=None)


def the_face(faces: tuple[FaceCrop, ...]) -> FaceCrop:
    """Return the one face that a labelled photo can mean: the only one, or the only one that passes the quality gate.

    Raises:
        NoFaceError: there is no face.
        FaceTooPoorError: none is good enough.
        SeveralFacesError: more than one is.
    """
    good = [face for face in faces if not face.quality_reasons]
    if len(good) == 1:
        return good[0]
    if good:
        raise SeveralFacesError(
            f"The photo shows {len(good)} faces, and its label does not say whose is meant. It was left out of the "
            "training; the others were used. Say which one it is: facefleet label PHOTO --face N --is NAME"
        )
    if faces:
        reasons = ", ".join(sorted({reason for face in faces for reason in face.quality_reasons}))
        raise FaceTooPoorError(
            f"No face of the photo is good enough to learn from ({reasons}). It was left out of the training; the "
            "others were used. Label a better photo."
        )
    raise NoFaceError(
        "No face was found in the photo. It was left out of the training; the others were used. Label a photo that "
        "shows the face, or train with --faces crop if the photos are face crops."
    )


def face_at(faces: tuple[FaceCrop, ...], box_xyxy_px: tuple[float, float, float, float]) -> FaceCrop:
    """Return the face that a label points at: the one that covers its box best, and by half at least.

    Raises:
        NoFaceError: no face is there.
        FaceTooPoorError: it does not pass the quality gate.
    """
    best = max(faces, key=lambda face: _overlap(face.box_xyxy_px, box_xyxy_px), default=None)
    if best is None or _overlap(best.box_xyxy_px, box_xyxy_px) < _SAME_FACE:
        raise NoFaceError(
            "No face was found where the photo's label points. It was left out of the training; the others were used. "
            "Look at the photo with `facefleet detect PHOTO` and label it again."
        )
    return the_face((best,))


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Return the intersection of two boxes over their union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def internal_error(fact: str) -> ErrorRecord:
    """Return the record of a failure that is facefleet's own fault."""
    return ErrorRecord(
        code=FacefleetError.code,
        message=f"An error inside facefleet: {fact}. The other photos are not affected. "
        "The worker's log says where; please report it, and retry the photo after an upgrade.",
    )
