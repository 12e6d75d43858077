"""Brings every pixel mode of Pillow to 8-bit RGB. Knows nothing of files and limits.

Transparent parts become white, the background that viewers show. Colour profiles are not applied: training and serving
see the same pixels either way. Values wider than 8 bits are scaled, never clipped.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

_BITS_PER_SAMPLE = 258


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image.

    Args:
        image: of any mode.

    Returns:
        The picture in mode RGB, same size.

    Raises:
        Exception: whatever Pillow raises on a palette or profile that is broken.
    """
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_to_8_bits(image)).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _to_8_bits(image: Image.Image) -> NDArray[np.uint8]:
    values = np.array(image, dtype=np.float32)
    low, high = _range_of(image, values)
    values -= low
    values *= 255 / (high - low)
    return np.rint(np.clip(values, 0, 255, out=values), out=values).astype(np.uint8)


def _range_of(image: Image.Image, values: NDArray[np.float32]) -> tuple[float, float]:
    """Say which values are black and white: by the format, else the scale that they fit, else the range they span."""
    if image.mode.startswith("I;16"):
        return 0.0, float(2 ** _bits(image) - 1)
    np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and image.mode == "I" and high <= 65535:
        return 0.0, 65535.0
    if low >= 0 and image.mode == "F" and high <= 255:
        return 0.0, 1.0 if high <= 1 else 255.0
    return low, max(high, low + 1e-6)


def _bits(image: Image.Image) -> int:
    """Return the bits of a 16-bit sample that are used; a TIFF may say 12."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_BITS_PER_SAMPLE)
        if bits == (12,):
            return 12
    return 16
