"""Brings photos to the sizes in which faces are looked for, and batches of them to few fixed shapes. Finds nothing.

Torch's own scaling of bytes averages as Pillow's does (they differ by a grey level at most) in a third of its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from core.faces.detect_network import STRIDE_PX

FIRST_LOOK_PX = 640
"""Longer side of the first look; smaller photos are looked at as they are. docs/decisions/0012 has the measurement."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScaledPhoto:
    """A photo, ready to be looked at. Made by `prepare_for_detection`, on any thread."""

    original: NDArray[np.uint8]
    """[H, W, 3] RGB: the pixels that boxes and landmarks are stated in; not a copy."""
    pixels: NDArray[np.uint8]
    """[h, w, 3] RGB: what the network sees."""

    @property
    def longer_px(self) -> int:
        """The longer side of the original."""
        return max(int(side) for side in self.original.shape[:2])

    @property
    def factor_xy(self) -> tuple[float, float]:
        """Pixels of the original per pixel of the scaled photo, across and down; they differ by rounding alone."""
        height, width = self.pixels.shape[:2]
        return self.original.shape[1] / width, self.original.shape[0] / height


def prepare_for_detection(pixels: NDArray[np.uint8]) -> ScaledPhoto:
    """Scale a photo to the size of the first look.

    Args:
        pixels (uint8 [H, W, 3]): RGB, upright, H and W >= 1.

    Returns:
        The photo, at most `FIRST_LOOK_PX` a side; one that is no larger is taken as it is.

    Raises:
        ValueError: `pixels` is not uint8 [H, W, 3].
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"pixels must be uint8 [H, W, 3], not {pixels.dtype} {list(pixels.shape)}")
    if max(pixels.shape) <= FIRST_LOOK_PX:
        return ScaledPhoto(original=pixels, pixels=pixels)
    return scale_photo(pixels, FIRST_LOOK_PX)


def scale_photo(original: NDArray[np.uint8], longer_px: int) -> ScaledPhoto:
    """Scale a photo up, bilinearly, or down, averaging with a triangle filter as wide as the reduction.

    Args:
        original (uint8 [H, W, 3]): RGB.
        longer_px: what its longer side shall have, >= 1.

    Returns:
        The photo; its shorter side has at least one pixel.
    """
    height, width = original.shape[:2]
    factor = longer_px / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    planes = torch.from_numpy(np.ascontiguousarray(original)).permute(2, 0, 1)[None]  # [1, 3, H, W]
    scaled = F.interpolate(planes, size=size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    return ScaledPhoto(original=original, pixels=scaled.numpy())


def canvas_of(photo: ScaledPhoto) -> tuple[int, int]:
    """Return height and width of the batch that a photo goes into: multiples of 32, of 128 beyond the first look.

    So there are 400 shapes at most, and 75 beyond. OpenCV pads to 32 as well: up to rounding, answers are its own.
    """
    height, width = photo.pixels.shape[:2]
    step = STRIDE_PX if max(height, width) <= FIRST_LOOK_PX else 4 * STRIDE_PX
    return -(-height // step) * step, -(-width // step) * step


def stack_photos(photos: Sequence[ScaledPhoto], canvas: tuple[int, int]) -> NDArray[np.uint8]:
    """Put photos into the upper left corners of a black batch, uint8 [N, height, width, 3]."""
    batch = np.zeros((len(photos), *canvas, 3), np.uint8)
    for row, photo in zip(batch, photos, strict=True):
        height, width = photo.pixels.shape[:2]
        row[:height, :width] = photo.pixels
    return batch
