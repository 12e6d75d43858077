"""Photos of every mode, orientation and format, and bytes that are none."""

import io
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageCms

from core.errors import (
    NotAPhotoError,
    PhotoBrokenError,
    PhotoEmptyError,
    PhotoError,
    PhotoTooManyPixelsError,
    PhotoTooSmallError,
)
from core.images.decode import DecodeLimits, decode_photo
from core.settings import Settings

LIMITS = DecodeLimits()
RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 180, 40), (30, 40, 200), (120, 120, 120)


def quadrants(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose four corners differ: red, green / blue, grey."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(GREY, (width // 2, height // 2, width, height))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def corners(pixels: np.ndarray) -> list[str]:
    """Name the colours of the four quadrants, row by row."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "grey": GREY}
    height, width = pixels.shape[:2]
    found = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            pixel = pixels[y, x].astype(int)
            found.append(min(names, key=lambda name: sum(abs(pixel - np.array(names[name])))))
    return found


UPRIGHT = ["red", "green", "blue", "grey"]


def huge_png(side: int = 20_000) -> bytes:
    """A PNG of a few bytes whose header promises side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_pixels_are_upright_rgb_that_may_be_written_to() -> None:
    photo = decode_photo(encoded(quadrants()), LIMITS)
    assert photo.pixels.shape == (48, 64, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous and photo.pixels.flags.writeable
    assert (photo.width_px, photo.height_px, photo.format, photo.scale) == (64, 48, "PNG", 1.0)
    assert np.array_equal(photo.pixels, np.asarray(quadrants()))


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "YCbCr", "RGBA", "LA", "L", "1", "I;16", "LAB"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    if mode == "LAB":
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        image, kind = ImageCms.applyTransform(quadrants(), to_lab), "TIFF"
    elif mode == "I;16":
        grey = np.asarray(quadrants().convert("L"), dtype=np.uint16) * 257
        image, kind = Image.fromarray(grey), "PNG"
    else:
        image = quadrants().convert(mode)
        kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    photo = decode_photo(encoded(image, kind), LIMITS)
    if mode in ("L", "LA", "I;16"):
        assert np.array_equal(photo.pixels[..., 0], np.asarray(quadrants().convert("L")))
    elif mode != "1":
        assert corners(photo.pixels) == UPRIGHT
    assert photo.pixels.shape == (48, 64, 3)


def test_a_cmyk_jpeg_is_not_a_negative() -> None:
    photo = decode_photo(encoded(quadrants().convert("CMYK"), "JPEG", quality=95), LIMITS)
    assert corners(photo.pixels) == UPRIGHT


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    if mode == "P":
        image = Image.new("P", (32, 32), 3)
        image.putpalette([0, 0, 0] * 256)
        data = encoded(image, "PNG", transparency=3)
    elif mode == "PA":
        data = encoded(Image.new("RGBA", (32, 32), (9, 9, 9, 0)), "WEBP", lossless=True)
    else:
        data = encoded(Image.new(mode, (32, 32), 0), "PNG")
    assert decode_photo(data, LIMITS).pixels.min() == 255


def test_half_transparent_black_becomes_middle_grey() -> None:
    photo = decode_photo(encoded(Image.new("RGBA", (32, 32), (0, 0, 0, 128))), LIMITS)
    assert abs(int(photo.pixels[0, 0, 0]) - 127) <= 1


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (32, 1))
    for kind in ("PNG", "TIFF"):
        pixels = decode_photo(encoded(Image.fromarray(ramp), kind), LIMITS).pixels
        assert np.array_equal(pixels[..., 0], np.rint(ramp / 257).astype(np.uint8))


def test_a_16_bit_pgm_is_scaled_not_clipped() -> None:
    body = np.full((20, 20), 32768, dtype=">u2").tobytes()
    photo = decode_photo(b"P5 20 20 65535\n" + body, LIMITS)
    assert photo.format == "PPM"
    assert abs(int(photo.pixels[0, 0, 0]) - 128) <= 1


@pytest.mark.parametrize(("top", "white"), [(1.0, 255), (200.0, 200), (5000.0, 255)])
def test_float_pixels_are_read_on_the_scale_they_fit(top: float, white: int) -> None:
    ramp = np.tile(np.linspace(0, top, 32, dtype=np.float32), (32, 1))
    pixels = decode_photo(encoded(Image.fromarray(ramp), "TIFF"), LIMITS).pixels
    assert pixels[0, 0, 0] == 0
    assert pixels[0, -1, 0] == white


def test_float_pixels_that_are_no_numbers_do_not_fail() -> None:
    values = np.full((20, 20), np.nan, dtype=np.float32)
    values[0] = 1.0
    assert decode_photo(encoded(Image.fromarray(values), "TIFF"), LIMITS).pixels[0, 0, 0] == 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_made_upright(kind: str, orientation: int) -> None:
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    image = quadrants() if undo is None else quadrants().transpose(undo)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo = decode_photo(encoded(image, kind, exif=exif), LIMITS)
    assert corners(photo.pixels) == UPRIGHT
    assert (photo.width_px, photo.height_px) == (64, 48) == photo.pixels.shape[1::-1]


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 99
    assert corners(decode_photo(encoded(quadrants(), "JPEG", exif=exif), LIMITS).pixels) == UPRIGHT


def test_broken_exif_does_not_make_a_photo_unreadable() -> None:
    data = encoded(quadrants(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40)
    assert corners(decode_photo(data, LIMITS).pixels) == UPRIGHT


@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_rotated_photos_of_a_phone_show_the_same_picture(shape: str, test_data: Path) -> None:
    folder = test_data / "data" / "exif_orientation"
    photos = [decode_photo((folder / f"{shape}_{number}.jpg").read_bytes(), LIMITS) for number in range(1, 9)]
    first = photos[0].pixels.astype(int)
    for photo in photos[1:]:
        assert photo.pixels.shape == first.shape
        assert np.abs(photo.pixels - first).mean() < 6


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_and_upright(orientation: int) -> None:
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    turned = quadrants(128, 96).transpose(Image.Transpose.ROTATE_90) if orientation == 6 else quadrants(128, 96)
    photo = decode_photo(encoded(turned, "HEIF", quality=90, exif=exif.tobytes()), LIMITS)
    assert photo.format == "HEIF"
    assert corners(photo.pixels) == UPRIGHT
    assert (photo.width_px, photo.height_px) == (128, 96)


def test_avif_is_read() -> None:
    photo = decode_photo(encoded(quadrants(), "AVIF", quality=90), LIMITS)
    assert (photo.format, corners(photo.pixels)) == ("AVIF", UPRIGHT)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_picture_counts(kind: str) -> None:
    others = [Image.new("RGB", (64, 48), "black") for _ in range(3)]
    data = encoded(quadrants(), kind, save_all=True, append_images=others)
    assert corners(decode_photo(data, LIMITS).pixels) == UPRIGHT


@pytest.mark.parametrize(
    ("reduce_to_px", "scale"), [(None, 1.0), (600, 1.0), (300, 0.5), (150, 0.25), (60, 0.125), (1, 0.125)]
)
def test_a_jpeg_is_reduced_while_its_shorter_side_stays_long_enough(reduce_to_px: int | None, scale: float) -> None:
    photo = decode_photo(encoded(quadrants(801, 601), "JPEG"), LIMITS, reduce_to_px=reduce_to_px)
    assert photo.scale == scale
    assert (photo.width_px, photo.height_px) == (801, 601)
    assert min(photo.pixels.shape[:2]) >= (reduce_to_px or 601)
    assert photo.pixels.shape[1] == -(-801 // round(1 / scale))
    assert corners(photo.pixels) == UPRIGHT


def test_a_reduced_jpeg_on_its_side_has_the_upright_originals_size() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = encoded(quadrants(800, 600).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    photo = decode_photo(data, LIMITS, reduce_to_px=100)
    assert (photo.width_px, photo.height_px, photo.scale) == (800, 600, 0.25 if photo.scale == 0.25 else 0.125)
    assert photo.pixels.shape[1] > photo.pixels.shape[0]
    assert corners(photo.pixels) == UPRIGHT


def test_a_png_is_not_reduced() -> None:
    assert decode_photo(encoded(quadrants(400, 300)), LIMITS, reduce_to_px=50).scale == 1.0


def test_a_heic_is_decoded_itself_not_its_thumbnail() -> None:
    pillow_heif.register_heif_opener()
    heif = pillow_heif.from_pillow(quadrants(800, 600))
    stream = io.BytesIO()
    heif.save(stream, thumbnails=[128])
    assert decode_photo(stream.getvalue(), LIMITS, reduce_to_px=50).pixels.shape == (600, 800, 3)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("PPM", {}),
        ("JPEG2000", {}),
        ("AVIF", {}),
        ("HEIF", {}),
    ],
)
def test_half_a_picture_is_never_taken_for_a_whole_one(kind: str, options: dict[str, object]) -> None:
    pillow_heif.register_heif_opener()
    noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise).resize((160, 120)), kind, **options)
    whole = decode_photo(data, LIMITS).pixels
    for share in (0.1, 0.5, 0.8, 0.95):
        try:
            part = decode_photo(data[: int(len(data) * share)], LIMITS).pixels
        except PhotoBrokenError:
            continue
        assert np.array_equal(part, whole)
    with pytest.raises(PhotoBrokenError, match="damaged or was cut off"):
        decode_photo(data[: len(data) // 2], LIMITS)


def test_no_bytes_are_an_empty_photo() -> None:
    with pytest.raises(PhotoEmptyError):
        decode_photo(b"", LIMITS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"\xef\xbb\xbf <html><body>404</body></html>", "an HTML"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 40, "a video"),
        (b"8BPS\0\1" + b"\0" * 40, "Photoshop"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", "PostScript"),
        (b"hello, this is a note", "no photo"),
    ],
)
def test_what_is_no_photo_is_called_by_its_kind(data: bytes, words: str) -> None:
    with pytest.raises(NotAPhotoError, match=words):
        decode_photo(data, LIMITS)


def test_the_preview_in_a_camera_raw_file_is_not_taken_for_the_photo() -> None:
    with pytest.raises(NotAPhotoError, match="camera raw"):
        decode_photo(encoded(quadrants(), "TIFF", tiffinfo={254: 1}), LIMITS)


def test_a_picture_of_400_million_pixels_is_refused_from_its_header() -> None:
    data = huge_png()
    assert len(data) < 200
    with pytest.raises(PhotoTooManyPixelsError, match=r"has 400,000,000 pixels, more than the 100,000,000 allowed"):
        decode_photo(data, LIMITS)


def test_between_pillows_limit_and_its_double_the_own_limit_decides_without_a_warning() -> None:
    data = huge_png(12_000)  # 144 million: Pillow warns from 89 and refuses from 179 million
    with pytest.raises(PhotoTooManyPixelsError, match="12,000 x 12,000"):
        decode_photo(data, LIMITS)


def test_a_limit_above_pillows_own_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    photo = decode_photo(encoded(quadrants()), DecodeLimits(max_pixels=64 * 48))
    assert photo.pixels.shape == (48, 64, 3)
    with pytest.raises(PhotoTooManyPixelsError):
        decode_photo(encoded(quadrants()), DecodeLimits(max_pixels=64 * 48 - 1))


def test_a_picture_of_a_few_pixels_is_too_small() -> None:
    with pytest.raises(PhotoTooSmallError, match="15 x 64"):
        decode_photo(encoded(quadrants(15, 64)), LIMITS)
    assert decode_photo(encoded(quadrants(16, 16)), LIMITS).pixels.shape == (16, 16, 3)


def test_pillows_warnings_stay_inside_on_many_threads_at_once() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    data = encoded(quadrants(), "TIFF", tiffinfo={305: "x" * 30}).replace(b"x" * 30, b"\xff" * 30)
    failures: list[BaseException] = []

    def decode_many() -> None:
        try:
            for _ in range(20):
                decode_photo(data, LIMITS)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=decode_many) for _ in range(4)]
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("error")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (failures, leaked) == ([], [])


def test_the_limits_come_from_the_settings() -> None:
    settings = Settings.from_env({"FACEFLEET_MAX_PHOTO_PIXELS": "5000", "FACEFLEET_PHOTO_TIMEOUT_S": "3"})
    limits = DecodeLimits.from_settings(settings)
    assert (limits.max_pixels, limits.timeout_s) == (5000, 3.0)


HOSTILE = """
import collections, resource, sys, time
from pathlib import Path
from core.errors import PhotoError
from core.images.decode import DecodeLimits, decode_photo
if sys.platform == "linux":
    resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
found = collections.Counter()
for path in sorted(Path(sys.argv[1]).rglob("*")):
    if path.is_file():
        try:
            pixels = decode_photo(path.read_bytes(), DecodeLimits(), reduce_to_px=160).pixels
            assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == "uint8", path
            found["photo"] += 1
        except PhotoError as error:
            assert len(str(error)) > 40, path
            found["error"] += 1
print(found["photo"], found["error"])
"""


def test_hundreds_of_hostile_files_each_give_a_photo_or_a_photo_error(test_data: Path) -> None:
    folder = test_data / "data" / "corrupt" / "pillow"
    # A process of its own, with warnings as errors, 3 GB of address space and a deadline; libtiff writes to stderr.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HOSTILE, str(folder)],
        capture_output=True,
        timeout=120,
        cwd=Path(__file__).resolve().parents[4],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    photos, errors = map(int, done.stdout.split())
    assert photos + errors >= 842
    assert photos >= 550 and errors >= 200


def test_chance_bytes_after_a_good_signature_are_a_photo_error() -> None:
    random = np.random.default_rng(1)
    for magic in (
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"II*\0",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"BM",
        b"P6 ",
        b"\0\0\0\x18ftypheic",
    ):
        for _ in range(20):
            with pytest.raises(PhotoError):
                decode_photo(magic + random.bytes(300), LIMITS)
