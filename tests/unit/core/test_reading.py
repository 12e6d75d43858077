"""Loading a photo gives crops or the reason why not, and training sees what identification sees."""

import hashlib
import io
import logging

import numpy as np
import pytest
from PIL import Image

from core.errors import InputError, PhotoBrokenError, PhotoMissingError, SourceUnreachableError
from core.images.decode import DecodeLimits
from core.reading import CropReader, LoadedPhoto, PhotoLoader, face_finder, whole_photo
from core.records import Example, FacesMode, PhotoTask
from tests.factories import make_photo


class DictReader:
    """Reads out of a dict; raises what it holds where that is an error."""

    def __init__(self, photos: dict[str, bytes | Exception]) -> None:
        self.photos = photos

    def read(self, uri: str) -> bytes:
        found = self.photos[uri]
        if isinstance(found, Exception):
            raise found
        return found


def load(data: bytes | Exception, size_px: int = 16) -> LoadedPhoto:
    loader = PhotoLoader(
        reader=DictReader({"a.png": data}), limits=DecodeLimits(), find_faces=whole_photo, size_px=size_px
    )
    return loader.load(PhotoTask(ordinal=3, uri="a.png"))


def test_a_whole_photo_is_one_crop_with_the_box_of_the_photo() -> None:
    data = make_photo(0, width_px=60, height_px=40)
    loaded = load(data)
    assert loaded.error is None
    assert (loaded.width_px, loaded.height_px) == (60, 40)
    assert loaded.sha256 == hashlib.sha256(data).hexdigest()
    (crop,) = loaded.crops
    assert crop.pixels.shape == (16, 16, 3)
    assert crop.box_xyxy_px == (0.0, 0.0, 60.0, 40.0)
    assert crop.landmarks_px == ()


def test_a_reduced_photo_keeps_the_box_of_the_original() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (800, 640), (200, 10, 10)).save(buffer, "JPEG")
    loaded = load(buffer.getvalue())
    assert loaded.crops[0].box_xyxy_px == (0.0, 0.0, 800.0, 640.0)


@pytest.mark.parametrize(
    ("error", "code"),
    [(PhotoMissingError("gone"), "photo_missing"), (SourceUnreachableError("no answer"), "source_unreachable")],
)
def test_what_the_reader_says_becomes_the_error(error: Exception, code: str) -> None:
    loaded = load(error)
    assert loaded.error is not None
    assert (loaded.error.code, loaded.error.message) == (code, str(error))
    assert (loaded.sha256, loaded.width_px, loaded.crops) == (None, None, ())


def test_a_broken_photo_keeps_the_sha256_of_its_bytes() -> None:
    data = make_photo(0)[:-40]
    loaded = load(data)
    assert loaded.error is not None
    assert loaded.error.code == PhotoBrokenError.code
    assert loaded.sha256 == hashlib.sha256(data).hexdigest()


def test_an_error_that_no_one_foresaw_is_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        loaded = load(ZeroDivisionError("inside the reader"))
    assert loaded.error is not None
    assert loaded.error.code == "internal_error"
    assert "inside the reader" not in loaded.error.message
    assert "ZeroDivisionError: inside the reader" in caplog.text and "a.png" in caplog.text


def test_training_and_identification_see_the_same_pixels() -> None:
    data = make_photo(1, width_px=333, height_px=257, format="JPEG")
    reader = DictReader({"a.png": data})
    trained_on = CropReader(reader=reader, limits=DecodeLimits())(Example(uri="a.png", class_index=0), 24)
    assert np.array_equal(trained_on, load(data, size_px=24).crops[0].pixels)


def test_training_hears_of_a_photo_that_cannot_be_used() -> None:
    reader = DictReader({"a.png": PhotoMissingError("gone")})
    with pytest.raises(PhotoMissingError):
        CropReader(reader=reader, limits=DecodeLimits())(Example(uri="a.png", class_index=0), 24)


def test_looking_for_faces_in_photographs_is_refused_with_the_way_out() -> None:
    assert face_finder(FacesMode.CROP) is whole_photo
    with pytest.raises(InputError, match="--faces crop"):
        face_finder(FacesMode.DETECT)
