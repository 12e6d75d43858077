"""Turns the bytes of a photo into upright RGB pixels, within limits. Reads no file and finds no face.

`DECODE_PATH` names this way of decoding in a model's manifest: training and serving must see the same pixels.
"""

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError

from core.errors import (
    NotAPhotoError,
    PhotoBrokenError,
    PhotoEmptyError,
    PhotoError,
    PhotoTooLargeForMemoryError,
    PhotoTooManyPixelsError,
    PhotoTooSmallError,
)
from core.images.codecs import ACCEPTED_FORMATS, describe_kind, looks_like_photo, prepare_pillow
from core.images.modes import to_rgb

if TYPE_CHECKING:
    from core.settings import Settings

DECODE_PATH = "pillow-draft-1"
"""Pillow; JPEG reduced in its DCT (`Image.draft`); EXIF orientation; transparency on white; no colour management."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DNG_VERSION = 50706
_NEW_SUBFILE_TYPE = 254


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """How large, small and slow a photo may be."""

    max_pixels: int = 100_000_000
    """Width x height, judged from the header before anything is decoded."""
    min_side_px: int = 16
    """The shorter side; no face is found on fewer pixels."""
    timeout_s: float = 20.0
    """For whoever decodes on a thread and waits; decoding itself does not look at the time."""

    @classmethod
    def from_settings(cls, settings: "Settings") -> Self:
        """Take the limits from the settings."""
        return cls(max_pixels=settings.max_photo_pixels, timeout_s=settings.photo_timeout_s)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedPhoto:
    """A photo's pixels."""

    pixels: NDArray[np.uint8]
    """[H, W, 3] uint8 RGB, upright, C-contiguous, writable."""
    width_px: int
    height_px: int
    """Size of the upright original, which is larger than `pixels` where it was reduced."""
    format: str
    """Pillow's name of the file format."""
    scale: float
    """Pixels of `pixels` per pixel of the original: 1, 1/2, 1/4 or 1/8."""


def decode_photo(data: bytes, limits: DecodeLimits, *, reduce_to_px: int | None = None) -> DecodedPhoto:
    """Decode a photo; of an animation or a file of several pages, the first picture.

    Args:
        data: the file's bytes.
        limits: how large and small it may be.
        reduce_to_px: where given, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side stays at
            least this long. Much faster on large photos; pixels differ slightly from those of a full decode scaled
            down.

    Returns:
        The upright pixels and the size of the upright original.

    Raises:
        PhotoError: the bytes are no photo, or one that is broken, too large or too small; the leaf says which.
    """
    if not data:
        raise PhotoEmptyError("The photo holds no bytes. Copy it again and submit it anew.")
    prepare_pillow(limits.max_pixels)
    try:
        with _open(data) as image:
            return _decode(image, limits, reduce_to_px)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        counted = re.search(r"\d+", str(error))  # of the whole, or of a frame or tile that its decoder came to
        many = f"{int(counted[0]):,}" if counted else "too many"
        raise _too_many_pixels(f"The photo has {many}", limits) from error
    except MemoryError as error:
        raise too_large_for_memory() from error
    except (
        Exception
    ) as error:  # whatever a decoder trips over on hostile bytes: OSError, SyntaxError, KeyError, zlib.error ...
        raise _broken(error) from error


def too_large_for_memory() -> PhotoTooLargeForMemoryError:
    """Return the error of a photo for which there was no memory."""
    return PhotoTooLargeForMemoryError(
        "Reading and decoding the photo asked for more memory than there is for it. The other photos are not affected. "
        "Raise FACEFLEET_MAX_WORKER_BYTES if photos of this size are expected; if not, the file is damaged or hostile."
    )


def _open(data: bytes) -> ImageFile.ImageFile:
    """Read the header."""
    try:
        return Image.open(io.BytesIO(data), formats=ACCEPTED_FORMATS)
    except UnidentifiedImageError as error:
        if looks_like_photo(data):
            raise _broken("its header cannot be read") from error
        raise NotAPhotoError(
            f"The file is {describe_kind(data)}. "
            "Convert it to JPEG, PNG, WebP, HEIC, AVIF or TIFF if it holds a photo, and leave it out otherwise."
        ) from error


def _decode(image: ImageFile.ImageFile, limits: DecodeLimits, reduce_to_px: int | None) -> DecodedPhoto:
    _check_size(image.size, limits)
    _refuse_raw_preview(image)
    width_px, height_px = image.size
    scale = _reduce(image, reduce_to_px)
    image.load()
    _check_size(image.size, limits, scale)  # some decoders find the true size only now
    picture = to_rgb(image)
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        picture = picture.transpose(turn)
    if scale == 1:
        width_px, height_px = picture.size
    elif turn is not None and turn >= Image.Transpose.ROTATE_90 and turn != Image.Transpose.ROTATE_180:
        width_px, height_px = height_px, width_px
    return DecodedPhoto(
        pixels=np.array(picture), width_px=width_px, height_px=height_px, format=image.format or "", scale=scale
    )


def _check_size(size: tuple[int, int], limits: DecodeLimits, scale: float = 1.0) -> None:
    width_px, height_px = size
    if width_px * height_px > limits.max_pixels:
        raise _too_many_pixels(f"The photo has {width_px:,} x {height_px:,}", limits)
    if min(width_px, height_px) < limits.min_side_px * scale:
        raise PhotoTooSmallError(
            f"The photo has {width_px} x {height_px} pixels, too few to hold a face (at least {limits.min_side_px} a "
            "side). "
            "Submit the original instead of a thumbnail."
        )


def _refuse_raw_preview(image: ImageFile.ImageFile) -> None:
    """Refuse the stamp-sized preview that camera raw files (DNG, NEF, ARW) hold where a TIFF has its picture."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    subfile = image.tag_v2.get(_NEW_SUBFILE_TYPE, 0)
    if _DNG_VERSION in image.tag_v2 or (isinstance(subfile, int) and subfile & 1):
        raise NotAPhotoError(
            "The file is a camera raw file, of which only the preview could be read. Export it as JPEG or TIFF."
        )


def _reduce(image: ImageFile.ImageFile, reduce_to_px: int | None) -> float:
    """Have a JPEG decoded at a fraction of its size; return the fraction."""
    if reduce_to_px is None or not isinstance(image, JpegImagePlugin.JpegImageFile):
        return 1.0
    width_px = image.size[0]
    drafted = image.draft(None, (reduce_to_px, reduce_to_px))
    return drafted[1][2] / width_px if drafted else 1.0


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, or 1. Asked after loading: PNG may hold it last, and TIFF is upright by then."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken metadata makes no broken photo: viewers show it as it lies, and so does this
        return 1


def _too_many_pixels(what: str, limits: DecodeLimits) -> PhotoTooManyPixelsError:
    return PhotoTooManyPixelsError(
        f"{what} pixels, more than the {limits.max_pixels:,} allowed. It was not decoded. "
        "Raise FACEFLEET_MAX_PHOTO_PIXELS if photos of this size are expected."
    )


def _broken(error: Exception | str) -> PhotoBrokenError:
    return PhotoBrokenError(
        f"The photo is damaged or was cut off: {str(error) or type(error).__name__}. "
        "Copy it again from where it came from and submit it anew."
    )
