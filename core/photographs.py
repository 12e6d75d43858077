"""Finds the faces in photographs and aligns them to a backbone's template: the source of crops of most models.

Reads no file, and decides nothing about whose faces they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import PhotoError
from core.faces.align import align_photos
from core.faces.detect_scale import prepare_for_detection
from core.faces.quality import AlignedPhoto, judge_photos
from core.finding import FaceCrop, PreparedPhoto
from core.images.decode import decode_photo
from core.stages import Stage, TimeStage, untimed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.faces.align import AlignedFaces
    from core.faces.detect import Detections, Detector
    from core.faces.detect_scale import ScaledPhoto
    from core.faces.quality import Quality, QualityGate
    from core.images.decode import DecodeLimits

_FULL_SIDE_PX = 3000
"""Faces are cut out of the pixels as they were taken, unless the photo's shorter side is twice as long as this."""


@dataclass(frozen=True, kw_only=True)
class FoundFaces:
    """Finds the faces in photographs, and aligns them to a backbone's template."""

    limits: "DecodeLimits"
    detector: "Detector"
    template: tuple[tuple[float, float], ...]
    """Where the five landmarks come to lie, in fractions of the crop's side."""
    size_px: int
    """Side of the crops."""
    gate: "QualityGate"
    """What a face must be like to get a name."""
    time_stage: TimeStage = untimed

    def prepare(self, data: bytes) -> PreparedPhoto:
        """Decode a photo, and scale it for the detector's first look."""
        photo = decode_photo(data, self.limits, reduce_to_px=_FULL_SIDE_PX)
        return _Photograph(
            width_px=photo.width_px,
            height_px=photo.height_px,
            reduction=photo.scale,
            scaled=prepare_for_detection(photo.pixels),
        )

    def find(self, photos: Sequence[PreparedPhoto]) -> list[tuple[FaceCrop, ...] | PhotoError]:
        """Find, align and judge the faces of a group of photos."""
        photographs = [photo for photo in photos if isinstance(photo, _Photograph)]
        with self.time_stage(Stage.DETECT):
            found = self.detector.detect([photo.scaled for photo in photographs])
        pixels, landmarks = [photo.scaled.original for photo in photographs], [faces.landmarks_px for faces in found]
        with self.time_stage(Stage.ALIGN):
            cut = align_photos(pixels, landmarks, np.asarray(self.template), self.size_px) if photographs else []
            aligned = [_aligned(*parts) for parts in zip(photographs, found, cut, strict=True)]
        with self.time_stage(Stage.JUDGE):
            judged = judge_photos(aligned, np.asarray(self.template), self.gate) if aligned else []
        return [_face_crops(*parts) for parts in zip(aligned, judged, strict=True)]


def _aligned(photo: "_Photograph", found: "Detections", cut: "AlignedFaces") -> AlignedPhoto:
    """Put together what is judged of a photo: its faces in pixels of the photo as it was taken."""
    return AlignedPhoto(crops=cut.crops, detections=found.scaled(1.0 / photo.reduction), residuals=cut.residuals)


def _face_crops(photo: AlignedPhoto, qualities: "Sequence[Quality]") -> tuple[FaceCrop, ...]:
    faces = photo.detections
    parts = zip(photo.crops, faces.boxes_xyxy_px, faces.landmarks_px, qualities, strict=True)
    return tuple(_face_crop(*part) for part in parts)


def _face_crop(
    pixels: "NDArray[np.uint8]", box: "NDArray[np.float32]", landmarks: "NDArray[np.float32]", quality: "Quality"
) -> FaceCrop:
    x1, y1, x2, y2 = box.tolist()
    return FaceCrop(
        pixels=pixels,
        box_xyxy_px=(x1, y1, x2, y2),
        landmarks_px=tuple((x, y) for x, y in landmarks.tolist()),
        quality=quality.score,
        quality_reasons=tuple(quality.reasons),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Photograph(PreparedPhoto):
    reduction: float
    """Pixels that were decoded per pixel of the original: 1, 1/2, ..."""
    scaled: "ScaledPhoto"

    @property
    def held_bytes(self) -> int:
        return self.scaled.original.nbytes + self.scaled.pixels.nbytes
