"""Faces are found in photographs, and stated in the pixels of the original."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from core.errors import PhotoBrokenError
from core.faces.detect import Detections
from core.faces.detect_scale import ScaledPhoto
from core.faces.quality import QualityGate
from core.finding import DEFAULT_TEMPLATE
from core.images.decode import DecodeLimits
from core.photographs import FoundFaces


def jpeg(width_px: int, height_px: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width_px, height_px), (200, 10, 10)).save(buffer, "JPEG")
    return buffer.getvalue()


_NOTHING = Detections(
    boxes_xyxy_px=np.zeros((0, 4), np.float32),
    landmarks_px=np.zeros((0, 5, 2), np.float32),
    scores=np.zeros(0, np.float32),
)


class FakeDetector:
    """Finds a face in the middle of the left half of every wide photo, of a fifth of its width."""

    def detect(self, photos: Sequence[ScaledPhoto]) -> list[Detections]:
        return [self._faces(*photo.original.shape[:2]) for photo in photos]

    def _faces(self, height: int, width: int) -> Detections:
        if width <= height:
            return _NOTHING
        side, corner = width / 5, np.array([width / 4 - width / 10, height / 2 - width / 10])
        return Detections(
            boxes_xyxy_px=np.array([[*corner, *(corner + side)]], np.float32),
            landmarks_px=(corner + side * np.array([DEFAULT_TEMPLATE])).astype(np.float32),
            scores=np.array([0.95], np.float32),
        )


def found_faces(detector: FakeDetector) -> FoundFaces:
    return FoundFaces(
        limits=DecodeLimits(),
        detector=detector,  # type: ignore[arg-type]
        template=DEFAULT_TEMPLATE,
        size_px=32,
        gate=QualityGate(),
    )


def test_faces_are_in_pixels_of_the_original_also_where_it_was_reduced() -> None:
    source = found_faces(FakeDetector())
    wide, tall, huge = source.prepare(jpeg(400, 200)), source.prepare(jpeg(200, 400)), source.prepare(jpeg(8000, 6400))
    (face,), none, (large,) = source.find([wide, tall, huge])
    assert none == ()
    assert face.box_xyxy_px == pytest.approx((60.0, 60.0, 140.0, 140.0))
    assert face.landmarks_px[0] == pytest.approx((60 + 80 * 0.3156, 60 + 80 * 0.4616), abs=0.01)
    assert face.pixels.shape == (32, 32, 3)
    assert huge.held_bytes < 4000 * 3200 * 3 * 1.1  # decoded at half its size
    assert large.box_xyxy_px == pytest.approx((1200.0, 2400.0, 2800.0, 4000.0), abs=2.0)


def test_a_blank_face_keeps_its_place_with_the_reasons_against_it() -> None:
    source = found_faces(FakeDetector())
    ((face,),) = source.find([source.prepare(jpeg(400, 200))])
    assert face.quality is not None and face.quality < 0.5
    assert "blurred" in face.quality_reasons


def test_a_broken_photo_is_not_prepared() -> None:
    with pytest.raises(PhotoBrokenError):
        found_faces(FakeDetector()).prepare(jpeg(400, 200)[:-60])
