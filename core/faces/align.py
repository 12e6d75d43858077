"""Aligns faces to a backbone's template: a similarity from five landmarks, and one warp from the full-size pixels.

Finds no landmarks, and says how well they fit without judging it.
"""

from cmath import isfinite
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

_LEAST_SCALE = 1e-3
"""Crop pixels per photo pixel; below it a crop would show a hundred thousand pixels a side: those are no landmarks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedFaces:
    """The faces of one photo as a backbone wants them, in the order of their landmarks."""

    crops: NDArray[np.uint8]
    """[N, S, S, 3] RGB; black where a crop reaches beyond the photo."""
    residuals: NDArray[np.float32]
    """[N]: root mean square distance of the landmarks from the template after the fit, in fractions of the crop's side;
    infinite (and the crop black) where landmarks have no similarity to the template."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Similarities:
    """Maps of the plane that turn, scale and move, but do not mirror: z becomes `turn * z + move`, z being x + iy."""

    turns: NDArray[np.complex128]
    """[N]: scale and angle. NaN where there is none."""
    moves: NDArray[np.complex128]
    """[N]."""
    residuals: NDArray[np.float32]
    """[N]: root mean square distance of the mapped points from the target, in its units; infinite where there is none.
    """


def align_faces(
    pixels: NDArray[np.uint8], landmarks_px: NDArray[np.float32], template: NDArray[np.floating], size_px: int
) -> AlignedFaces:
    """Cut all faces of a photo out, as `align_photos`."""
    return align_photos([pixels], [landmarks_px], template, size_px)[0]


def align_photos(
    photos: Sequence[NDArray[np.uint8]],
    landmarks_px: Sequence[NDArray[np.float32]],
    template: NDArray[np.floating],
    size_px: int,
) -> list[AlignedFaces]:
    """Cut all faces of some photos out, upright and with their landmarks where the backbone expects them.

    Args:
        photos (uint8 [H, W, 3]): one or more; RGB, upright.
        landmarks_px (float32 [N, 5, 2]): for each photo (x, y) in its pixels; a pixel's middle has whole coordinates.
        template (float [5, 2]): the same points in fractions of the crop's side.
        size_px: S, the crop's side.

    Returns:
        For each photo its crops, and how well their landmarks fit. Landmarks that are no face never raise.
    """
    fits = fit_similarities(np.concatenate(landmarks_px), np.asarray(template, np.float64) * size_px)
    counts = [len(points) for points in landmarks_px]
    crops = _cut_out(
        [pixels for pixels, faces in zip(photos, counts, strict=True) for _ in range(faces)], fits, size_px
    )
    residuals = fits.residuals / np.float32(size_px)
    ends = np.cumsum(counts)[:-1]
    return [
        AlignedFaces(crops=of_photo, residuals=each)
        for of_photo, each in zip(np.split(crops, ends), np.split(residuals, ends), strict=True)
    ]


def _cut_out(photos: Sequence[NDArray[np.uint8]], fits: Similarities, size_px: int) -> NDArray[np.uint8]:
    """Cut a face out of each photo: what a similarity brings into a square.

    Bilinear, black outside the photo: as OpenCV's `warpAffine` does by default, with which 0095's published accuracy is
    reached. A face more than twice as large as in the crop is first averaged down by a whole factor, as sampling
    single pixels of it would alias.

    Args:
        photos (uint8 [H, W, 3]): RGB, one a face.
        fits: for each face the map from its photo's pixels to those of its crop; where there is none, that is black.
        size_px: S, the crop's side.

    Returns:
        uint8 [N, S, S, 3].
    """
    crops = np.zeros((len(photos), size_px, size_px, 3), np.uint8)
    with torch.inference_mode():
        for pixels, crop, turn, move in zip(photos, crops, fits.turns.tolist(), fits.moves.tolist(), strict=True):
            if isfinite(turn):
                _warp(pixels, turn, move, crop)
    return crops


def fit_similarities(points: NDArray[np.floating], target: NDArray[np.floating]) -> Similarities:
    """Find the least-squares similarity from each set of points to the target.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (1991), which in the
    plane and without reflection is a linear regression of complex numbers.

    Args:
        points (float [N, K, 2]): (x, y).
        target (float [K, 2]): where they should come to lie.

    Returns:
        One similarity a set. There is none for points that are not finite or all in one place, nor where it would
        shrink them to nothing, as for points that are the target's mirror image.
    """
    goal = _to_complex(target)  # [K]
    with np.errstate(all="ignore"):  # whatever comes of points that are no face is sorted out below
        sets = _to_complex(points)  # [N, K]
        middles = sets.mean(axis=1)  # [N]
        centred, goal_centred = sets - middles[:, None], goal - goal.mean()
        turns = (centred.conj() * goal_centred).sum(axis=1) / (np.abs(centred) ** 2).sum(axis=1)
        moves = goal.mean() - turns * middles
        residuals = np.sqrt((np.abs(turns[:, None] * sets + moves[:, None] - goal) ** 2).mean(axis=1))
        usable = np.isfinite(turns) & np.isfinite(moves) & np.isfinite(residuals) & (np.abs(turns) >= _LEAST_SCALE)
    return Similarities(
        turns=np.where(usable, turns, np.nan),
        moves=np.where(usable, moves, np.nan),
        residuals=np.where(usable, residuals, np.inf).astype(np.float32),
    )


def _to_complex(points: NDArray[np.floating]) -> NDArray[np.complex128]:
    """Write points [..., 2] as x + iy."""
    return np.asarray(points[..., 0] + 1j * points[..., 1], np.complex128)


def _warp(pixels: NDArray[np.uint8], turn: complex, move: complex, crop: NDArray[np.uint8]) -> None:
    """Fill a crop (uint8 [S, S, 3]) with what a similarity brings into it."""
    factor = max(1, int(1 / abs(turn)))  # photo pixels per region pixel
    last = len(crop) - 1
    corners = [(corner - move) / turn for corner in (0, last, last * 1j, last * (1 + 1j))]
    left, right = _span([corner.real for corner in corners], 2 * factor, pixels.shape[1])
    top, bottom = _span([corner.imag for corner in corners], 2 * factor, pixels.shape[0])
    if left >= right or top >= bottom:
        return  # the face lies beside the photo
    region = torch.from_numpy(np.ascontiguousarray(pixels[top:bottom, left:right]))
    planes = region.permute(2, 0, 1)[None].to(torch.float32)  # [1, 3, h, w]
    if factor > 1:
        planes = F.avg_pool2d(planes, factor, ceil_mode=True)  # at the photo's edge, of the pixels that there are
    origin = complex(left, top) + (factor - 1) / 2 * (1 + 1j)  # where the region's first pixel has its middle
    start = (-move / turn - origin) / factor  # of the crop's first pixel, in the region
    grid = _grid(1 / (turn * factor), start, planes.shape[3], planes.shape[2], len(crop))
    sampled = F.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    for channel, plane in enumerate(sampled[0].round_().to(torch.uint8).numpy()):
        crop[..., channel] = plane  # one after the other takes half of the time that all of them at once do


def _span(places: Sequence[float], margin_px: int, length: int) -> tuple[int, int]:
    """Return first and last + 1 of the photo's pixels that samples at these places may touch."""
    low, high = min(places) - margin_px, max(places) + margin_px
    return int(min(max(low, 0), length)), int(min(max(high, 0), length))


def _grid(step: complex, start: complex, width: int, height: int, size: int) -> Tensor:
    """Say where a crop's pixels lie in a region, float32 [1, S, S, 2], in `grid_sample`'s units: -1 to 1 a side."""
    across = (2 * step.real / width, -2 * step.imag / width, (2 * start.real + 1) / width - 1)
    down = (2 * step.imag / height, 2 * step.real / height, (2 * start.imag + 1) / height - 1)
    return (_places(size) @ torch.tensor((across, down), dtype=torch.float32).T).view(1, size, size, 2)


@cache
def _places(size: int) -> Tensor:
    """Return (x, y, 1) of every pixel of a crop, row by row, float32 [S * S, 3]; there are as many sizes as models."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.stack((columns, rows, torch.ones_like(rows)), dim=-1).reshape(-1, 3).to(torch.float32)
