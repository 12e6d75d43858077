"""Finds the faces of one photo in this process, for commands that a person gives about one photo."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError, SourceNotFoundError
from core.images.uris import has_scheme, local_uri
from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER, DETECTOR
from scripts.progress import show_progress

if TYPE_CHECKING:
    from core.images.decode import DecodedPhoto


@dataclass(frozen=True, kw_only=True)
class FoundFace:
    """One face, as detection sees it."""

    number: int
    """Left to right, then top to bottom, from 0, as in the ids of faces."""
    box_xyxy_px: tuple[float, float, float, float]
    landmarks_px: tuple[tuple[float, float], ...]
    score: float
    """How sure the detector is that it is a face, 0..1."""
    quality: float
    """0..1, higher is better."""
    reasons: tuple[str, ...]
    """Why the quality gate refuses it; empty where it passes."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "face": self.number,
            "box": [round(value, 2) for value in self.box_xyxy_px],
            "landmarks": [[round(x, 2), round(y, 2)] for x, y in self.landmarks_px],
            "score": round(self.score, 4),
            "quality": {"score": round(self.quality, 4), "reasons": list(self.reasons)},
        }


def find_photo(file: str) -> str:
    """Return the photo's URI.

    Raises:
        InputError: there is no such file, or it is a folder.
    """
    if has_scheme(file):
        return file
    path = Path(file).absolute()
    if path.is_dir():
        raise InputError(
            f"{file} is a folder. Nothing was looked at. Name one photo; `facefleet submit` takes folders."
        )
    if not path.exists():
        raise SourceNotFoundError(f"There is no file {file}. Nothing was looked at. Correct the path.")
    return local_uri(str(path))


def read_bytes(uri: str, settings: Settings) -> bytes:
    """Read the photo's file. The user names it, so FACEFLEET_IMAGE_ROOTS does not bind.

    Raises:
        PhotoError: it cannot be used.
        SourceUnreachableError: the place it lies in did not answer.
    """
    from core.images.read import PhotoReader

    with PhotoReader(max_bytes=settings.max_photo_bytes) as reader:
        return reader.read(uri)


def decode_bytes(data: bytes, settings: Settings) -> "DecodedPhoto":
    """Decode the photo within the limits that hold for workers.

    Raises:
        PhotoError: it cannot be used.
    """
    from core.images.decode import DecodeLimits, decode_photo

    return decode_photo(data, DecodeLimits.from_settings(settings))


def find_faces(photo: "DecodedPhoto", settings: Settings) -> list[FoundFace]:
    """Find, align and judge the faces of a photo in its full size, on the CPU.

    Raises:
        WeightsMissingError: the detector's weights are not here.
        WeightsAlteredError: they are not what they should be.
    """
    weights = _read_weights(settings)
    with show_progress("Looking for faces"):
        import numpy as np

        from core.faces.align import align_faces
        from core.faces.detect import load_detector
        from core.faces.detect_scale import prepare_for_detection
        from core.faces.quality import AlignedPhoto, judge_faces

        detector = load_detector(weights.detector, "cpu")
        (found,) = detector.detect([prepare_for_detection(photo.pixels)])
        template = np.asarray(weights.template)
        aligned = align_faces(photo.pixels, found.landmarks_px, template, weights.size_px)
        judged = judge_faces(AlignedPhoto(crops=aligned.crops, detections=found, residuals=aligned.residuals), template)
    return [
        FoundFace(
            number=number,
            box_xyxy_px=tuple(box),
            landmarks_px=tuple((x, y) for x, y in points),
            score=score,
            quality=quality.score,
            reasons=tuple(reason.value for reason in quality.reasons),
        )
        for number, (box, points, score, quality) in enumerate(
            zip(found.boxes_xyxy_px.tolist(), found.landmarks_px.tolist(), found.scores.tolist(), judged, strict=True)
        )
    ]


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """What detection needs."""

    detector: bytes
    template: tuple[tuple[float, float], ...]
    """Where an aligned face has its landmarks, which is where quality is measured."""
    size_px: int


def _read_weights(settings: Settings) -> _Weights:
    from core.weights.store import WeightsStore

    store = WeightsStore.from_settings(settings)
    yunet = store.get_spec(DETECTOR)
    embedder = store.get_spec(DEFAULT_EMBEDDER).embedder
    assert embedder is not None  # noqa: S101 - held by the catalogue
    return _Weights(
        detector=store.read_verified(yunet, yunet.files[0]), template=embedder.template, size_px=embedder.input_size_px
    )
