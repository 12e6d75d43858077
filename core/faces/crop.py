"""Makes a network's input out of a photo that is one face already. The same code serves training and identification.

Alignment by landmarks is not here.
"""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def crop_whole_photo(pixels: "NDArray[np.uint8]", size_px: int) -> "NDArray[np.uint8]":
    """Scale a whole photo to a square, without keeping its aspect ratio.

    The scaling averages when it shrinks (a triangle filter as wide as the reduction), so large photos do not alias.

    Args:
        pixels (uint8 [H, W, 3]): RGB, upright, H and W >= 1.
        size_px: side of the square, >= 1.

    Returns:
        uint8 [size_px, size_px, 3]: RGB, C-contiguous, never a view of `pixels`.

    Raises:
        ValueError: `pixels` is not uint8 [H, W, 3].
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels must be uint8 [H, W, 3], not {pixels.dtype} {list(pixels.shape)}")
    photo = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(photo.resize((size_px, size_px), Image.Resampling.BILINEAR))
