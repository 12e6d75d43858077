"""Loading a photo gives crops or the reason why not, and training sees what identification sees."""

import hashlib
import logging
from dataclasses import replace

import numpy as np
import pytest

from core.errors import (
    FaceTooPoorError,
    NoFaceError,
    PhotoBrokenError,
    PhotoError,
    PhotoMissingError,
    SeveralFacesError,
    SourceUnreachableError,
)
from core.finding import FaceCrop, WholePhotos
from core.images.decode import DecodeLimits
from core.reading import CropReader, LoadedPhoto, PhotoLoader, find_faces, the_face
from core.records import Example, PhotoTask
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
    source = WholePhotos(limits=DecodeLimits(), size_px=size_px)
    loader = PhotoLoader(reader=DictReader({"a.png": data}), source=source, timeout_s=1.0)
    (loaded,) = find_faces(source, [loader.load(PhotoTask(ordinal=3, uri="a.png"))])
    assert loaded.prepared is None
    return loaded


def training_reader(data: bytes | Exception, size_px: int = 24) -> CropReader:
    return CropReader(DictReader({"a.png": data}), WholePhotos(limits=DecodeLimits(), size_px=size_px))


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
    trained_on = training_reader(data)(Example(uri="a.png", class_index=0))
    assert np.array_equal(trained_on, load(data, size_px=24).crops[0].pixels)


def test_training_hears_of_a_photo_that_cannot_be_used() -> None:
    with pytest.raises(PhotoMissingError):
        training_reader(PhotoMissingError("gone"))(Example(uri="a.png", class_index=0))


def face(*reasons: str) -> FaceCrop:
    return FaceCrop(pixels=np.zeros((4, 4, 3), np.uint8), box_xyxy_px=(0.0, 0.0, 4.0, 4.0), quality_reasons=reasons)


def test_a_label_means_the_one_good_face_whatever_poor_ones_stand_behind_it() -> None:
    good = face()
    assert the_face((face("too_small"), good, face("blurred"))) is good


@pytest.mark.parametrize(
    ("faces", "error", "says"),
    [
        ((), NoFaceError, "No face was found"),
        ((face("blurred", "too_dark"), face("blurred")), FaceTooPoorError, r"\(blurred, too_dark\)"),
        ((face(), face("blurred"), face()), SeveralFacesError, "shows 2 faces"),
    ],
)
def test_a_label_that_could_mean_any_face_or_none_is_not_guessed(
    faces: tuple[FaceCrop, ...], error: type[PhotoError], says: str
) -> None:
    with pytest.raises(error, match=says):
        the_face(faces)


def test_it_is_known_of_which_photos_other_bytes_were_read_than_their_labels_speak_of() -> None:
    data = make_photo(0, width_px=60, height_px=40)
    reader = training_reader(data)
    as_labelled = Example(uri="a.png", class_index=0, sha256=hashlib.sha256(data).hexdigest())
    reader(as_labelled)
    reader(Example(uri="a.png", class_index=0))
    assert not reader.has_changed(as_labelled)
    exchanged = replace(as_labelled, sha256="0" * 64)
    reader(exchanged)
    assert reader.has_changed(exchanged)
