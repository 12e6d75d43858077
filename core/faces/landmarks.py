"""Finds landmarks once more, in each face alone, upright and at a fixed size, and takes the mean of both looks.

A detector's landmarks jitter with the grid that a face happens to lie on; two looks jitter apart.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.faces.align import Similarities, cut_out, fit_similarities
from core.faces.detect_scale import ScaledPhoto
from core.stages import Stage, TimeStage, untimed

if TYPE_CHECKING:
    from core.faces.detect import Detections, Detector

_SIDE_PX = 192
"""Of the square in which a face is looked at again: six cells of the coarsest grid."""
_SPAN = 0.7
"""Size of the template in it: a detector wants to see what is around a face; measured in docs/decisions/0012."""
_AT_ONCE = 64
"""Faces that are in memory once more at this size; they take 110 kB each."""
_SAME_FACE = 0.15
"""Root mean square distance of the two looks, in fractions of an aligned crop's side, beyond which they are of two
faces, or the second is none. On photographs it is 0.03."""


def look_twice(
    detector: "Detector",
    photos: Sequence[NDArray[np.uint8]],
    landmarks_px: Sequence[NDArray[np.float32]],
    template: NDArray[np.float64],
    time_stage: TimeStage = untimed,
) -> list[NDArray[np.float32]]:
    """Return better landmarks.

    Args:
        detector: found the faces.
        photos (uint8 [H, W, 3]): RGB.
        landmarks_px (float32 [N, 5, 2]): for each photo those of its faces, in its pixels.
        template (float64 [5, 2]): where the landmarks of an aligned face lie, in fractions of its side.
        time_stage: times the looks.

    Returns:
        For each photo float32 [N, 5, 2]: the mean of what was given and of what is seen in the face alone; what was
        given where nothing is seen there, or something else.

    Raises:
        RuntimeError: the device failed.
    """
    goal = (template - 0.5) * _SPAN + 0.5
    better = [points.copy() for points in landmarks_px]
    faces = [(photo, row) for photo, points in enumerate(better) for row in range(len(points))]
    for start in range(0, len(faces), _AT_ONCE):
        part = faces[start : start + _AT_ONCE]
        first = np.stack([landmarks_px[photo][row] for photo, row in part])
        fits = fit_similarities(first, goal * _SIDE_PX)
        crops = cut_out([photos[photo] for photo, _ in part], fits, _SIDE_PX)
        with time_stage(Stage.LANDMARKS):
            seen = detector.look([ScaledPhoto(original=crop, pixels=crop) for crop in crops])
        for (photo, row), mean in zip(part, _means(first, fits, seen), strict=True):
            better[photo][row] = mean
    return better


def _means(points: NDArray[np.float32], fits: Similarities, seen: Sequence["Detections"]) -> NDArray[np.float32]:
    """Bring what was seen back to the photo, and take the mean where it is the same face."""
    means = points.copy()
    for row, (turn, move, faces) in enumerate(zip(fits.turns, fits.moves, seen, strict=True)):
        if not len(faces) or not np.isfinite(turn):
            continue
        again = _nearest_the_middle(faces)
        back = (again[:, 0] + 1j * again[:, 1] - move) / turn
        second = np.stack((back.real, back.imag), axis=1)
        apart = np.sqrt(((second - points[row]) ** 2).sum(axis=1).mean()) * abs(turn) / (_SPAN * _SIDE_PX)
        if apart <= _SAME_FACE:
            means[row] = (points[row] + second) / 2.0
    return means


def _nearest_the_middle(faces: "Detections") -> NDArray[np.float32]:
    """Return the landmarks, float32 [5, 2], of the face in the middle of the square."""
    middles = (faces.boxes_xyxy_px[:, :2] + faces.boxes_xyxy_px[:, 2:]) / 2.0
    nearest: NDArray[np.float32] = faces.landmarks_px[int(((middles - _SIDE_PX / 2.0) ** 2).sum(axis=1).argmin())]
    return nearest
