"""From a photo's bytes to the crops of its faces: what can be done for one photo alone, then what a group shares.

Reads no file, and decides nothing about whose faces they are. The same code serves training and identification.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from core.errors import PhotoError
from core.faces.align import align_faces
from core.faces.crop import crop_whole_photo
from core.faces.detect_scale import prepare_for_detection
from core.faces.quality import judge_faces
from core.images.decode import decode_photo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.faces.detect import Detections, Detector
    from core.faces.detect_scale import ScaledPhoto
    from core.faces.quality import Quality, QualityGate
    from core.images.decode import DecodeLimits

DEFAULT_TEMPLATE = ((0.3156, 0.4616), (0.6826, 0.4616), (0.5002, 0.6405), (0.3495, 0.8247), (0.6534, 0.8247))
"""Where landmarks lie in the crops of a network that is trained from scratch: eyes, nose, corners of the mouth, as in
face-reidentification-retail-0095, which shows the whole face with a little around it."""
_FULL_SIDE_PX = 3000
"""Faces are cut out of the pixels as they were taken, unless the photo's shorter side is twice as long as this."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceCrop:
    """One face, ready for the network."""

    pixels: "NDArray[np.uint8]"
    """[S, S, 3] RGB."""
    box_xyxy_px: tuple[float, float, float, float]
    """(x1, y1, x2, y2) in pixels of the upright original photo."""
    landmarks_px: tuple[tuple[float, float], ...] = ()
    """Five points in pixels of the upright original photo; empty when nothing looked for them."""
    quality: float | None = None
    """0..1, higher is better; None when nothing measured it."""
    quality_reasons: tuple[str, ...] = ()
    """Why it gets no name whoever it is; empty when it passed the quality gate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedPhoto:
    """A photo after what a thread does for it alone. What a source of faces needs beyond this, it adds."""

    width_px: int
    height_px: int
    """Size of the upright original."""

    @property
    def held_bytes(self) -> int:
        """How much memory it takes until its faces are found, about."""
        raise NotImplementedError


class FaceSource(Protocol):
    """A way in which photos become crops."""

    def prepare(self, data: bytes) -> PreparedPhoto:
        """Do what one photo needs alone; called from several threads.

        Raises:
            PhotoError: the photo cannot be used.
        """
        ...

    def find(self, photos: Sequence[PreparedPhoto]) -> list[tuple[FaceCrop, ...] | PhotoError]:
        """Return the faces of each of a group of photos that this source prepared; called from one thread at a time.

        Returns:
            For every photo its faces, left to right, then top to bottom, or why it cannot be used.

        Raises:
            RuntimeError: the device failed; no photo is to blame.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class WholePhotos:
    """Takes each photo as the one face that it shows."""

    limits: "DecodeLimits"
    size_px: int
    """Side of the crops."""

    def prepare(self, data: bytes) -> PreparedPhoto:
        """Decode a photo and scale it to the crop."""
        photo = decode_photo(data, self.limits, reduce_to_px=self.size_px)
        return _WholePhoto(
            width_px=photo.width_px,
            height_px=photo.height_px,
            crop=FaceCrop(
                pixels=crop_whole_photo(photo.pixels, self.size_px),
                box_xyxy_px=(0.0, 0.0, float(photo.width_px), float(photo.height_px)),
            ),
        )

    def find(self, photos: Sequence[PreparedPhoto]) -> list[tuple[FaceCrop, ...] | PhotoError]:
        """Return the one crop of each photo."""
        return [(photo.crop,) for photo in photos if isinstance(photo, _WholePhoto)]


@dataclass(frozen=True, kw_only=True, eq=False)
class _WholePhoto(PreparedPhoto):
    crop: FaceCrop

    @property
    def held_bytes(self) -> int:
        return self.crop.pixels.nbytes


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
        found = self.detector.detect([photo.scaled for photo in photographs])
        return [self._faces(photo, faces) for photo, faces in zip(photographs, found, strict=True)]

    def _faces(self, photo: "_Photograph", found: "Detections") -> tuple[FaceCrop, ...]:
        template = np.asarray(self.template)
        aligned = align_faces(photo.scaled.original, found.landmarks_px, template, self.size_px)
        faces = found.scaled(1.0 / photo.reduction)
        qualities = judge_faces(aligned.crops, faces, aligned.residuals, template, self.gate)
        parts = zip(aligned.crops, faces.boxes_xyxy_px, faces.landmarks_px, qualities, strict=True)
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
