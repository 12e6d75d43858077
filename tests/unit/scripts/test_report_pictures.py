import base64
import io

import numpy as np
import pytest
from PIL import Image

from core.errors import PhotoMissingError
from core.images.decode import DecodeLimits
from scripts.report_pictures import Thumbnails


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def decoded(uri: str | None) -> Image.Image:
    assert uri is not None
    head, _, body = uri.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def thumbnail(image: Image.Image, side_px: int) -> Image.Image:
    return decoded(Thumbnails(lambda _: encoded(image), DecodeLimits()).make("any", side_px))


@pytest.mark.parametrize("size", [(640, 480), (300, 900), (128, 128)])
def test_a_thumbnail_is_square_and_no_larger_than_asked(size: tuple[int, int]) -> None:
    assert thumbnail(Image.new("RGB", size), 96).size == (96, 96)


def test_a_small_photo_is_not_enlarged() -> None:
    assert thumbnail(Image.new("RGB", (40, 50)), 96).size == (40, 40)


def test_the_middle_is_shown() -> None:
    wide = Image.new("RGB", (300, 100), "white")
    wide.paste("black", (100, 0, 200, 100))
    assert np.asarray(thumbnail(wide, 100).convert("L")).max() < 40


def test_a_photo_that_is_gone_has_no_thumbnail() -> None:
    def read(uri: str) -> bytes:
        raise PhotoMissingError(uri)

    assert Thumbnails(read, DecodeLimits()).make("/gone.jpg", 96) is None


def test_bytes_that_are_no_photo_have_no_thumbnail() -> None:
    assert Thumbnails(lambda _: b"not a photo", DecodeLimits()).make("/notes", 96) is None
