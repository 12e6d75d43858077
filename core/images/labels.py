"""Where the labels of boxes go: inside the picture, off each other and off faces as far as there is room.

Geometry alone; draws nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

# What a place costs, in label areas: another label is worst, then a face that is hidden, then being far away.
_ON_LABEL = 100.0
_ON_BOX = 3.0
_HIDING = 10.0
_FAR = 1.0
_ASTRAY = 0.5  # as near to another box as a label usually is to its own
_MOST_ROUNDS = 5
_MANY = 100  # labels beyond which each is placed once: 1,000 of them then take seconds, not minutes
_GAP_PX = 3  # between a box's edge, whose line has a width, and its label
# How far from its box a label may go, in label heights.
_RINGS = (0.0, 1.2, 2.4, 4.0, 6.0, 9.0)
_ANCHORS = np.array([0.0, 0.5, 1.0, 0.25, 0.75])


def place_labels(
    sizes_px: Sequence[tuple[float, float]], boxes_xyxy_px: Sequence[Sequence[float]], picture_px: tuple[int, int]
) -> Boxes:
    """Find a place for the label of each box: one after the other, then each again now that the others have theirs.

    Args:
        sizes_px: (width, height) of each label, not larger than the picture.
        boxes_xyxy_px: what each belongs to, (x1, y1, x2, y2).
        picture_px: width and height of the picture.

    Returns:
        float64 [N, 4] (x1, y1, x2, y2) of the labels, whole pixels, inside the picture.
    """
    boxes: Boxes = np.asarray(boxes_xyxy_px, dtype=np.float64).reshape(-1, 4)
    candidates = [_Candidates(boxes, number, size, picture_px) for number, size in enumerate(sizes_px)]
    placed: Boxes = np.zeros((len(boxes), 4))
    for number, candidate in enumerate(candidates):
        placed[number] = candidate.best(placed[:number])
    for _ in range(_MOST_ROUNDS if len(boxes) <= _MANY else 0):
        before = placed.copy()
        for number, candidate in enumerate(candidates):
            placed[number] = candidate.best(np.delete(placed, number, axis=0))
        if np.array_equal(placed, before):
            break
    return placed


class _Candidates:
    """The places that one label may take, and what each costs apart from the other labels."""

    def __init__(self, boxes: Boxes, number: int, size: tuple[float, float], picture_px: tuple[int, int]) -> None:
        self._places = _places(boxes[number], size, picture_px)
        self._area = size[0] * size[1]
        hidden = _overlaps(self._places, boxes)
        hiding = (hidden / np.maximum(_areas(boxes), 1.0)).max(axis=1)
        beyond = np.maximum(_distances(self._places, boxes) - _GAP_PX - 1, 0.0)
        far = beyond[:, number] / size[1]
        astray = (np.delete(beyond, number, axis=1) == 0).any(axis=1)
        self._cost = _ON_BOX * hidden.sum(axis=1) / self._area + _HIDING * hiding + _FAR * far + _ASTRAY * astray

    def best(self, labels: Boxes) -> NDArray[np.float64]:
        """Return the cheapest place beside these labels, (x1, y1, x2, y2)."""
        cost = self._cost + _ON_LABEL * _overlaps(self._places, labels).sum(axis=1) / self._area
        best: NDArray[np.float64] = self._places[int(np.argmin(cost))]
        return best


def overlap_px(labels: Boxes) -> float:
    """Return the area in which labels cover each other, in square pixels."""
    return float(np.triu(_overlaps(labels, labels), k=1).sum())


def _places(box: NDArray[np.float64], size: tuple[float, float], picture_px: tuple[int, int]) -> Boxes:
    """Every place that is tried for a label, the most usual first: above, below, inside, beside, and further away."""
    width, height = size
    x1, y1, x2, y2 = box
    across = x1 + _ANCHORS * (x2 - x1 - width)
    along = y1 + _ANCHORS * (y2 - y1 - height)
    corners: list[NDArray[np.float64]] = []
    for ring in _RINGS:
        gap = _GAP_PX + ring * height
        wide = x1 - ring * height + _ANCHORS * (x2 - x1 - width + 2 * ring * height)
        corners += [_pairs(wide, y1 - height - gap), _pairs(wide, y2 + gap)]
        corners += [_pairs(x2 + gap, along), _pairs(x1 - width - gap, along)]
    corners += [_pairs(across, y1 + _GAP_PX), _pairs(across, y2 - height - _GAP_PX)]
    least = np.concatenate(corners)
    room = np.array([picture_px[0] - width, picture_px[1] - height])
    least = np.clip(np.rint(least), 0.0, np.maximum(np.floor(room), 0.0))
    return np.concatenate([least, least + np.array([width, height])], axis=1)


def _pairs(x: "NDArray[np.float64] | float", y: "NDArray[np.float64] | float") -> NDArray[np.float64]:
    return np.stack(np.broadcast_arrays(x, y), axis=-1).astype(np.float64)


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _overlaps(some: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Return the areas that boxes share, [N, M]."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    shared: NDArray[np.float64] = np.clip(high - low, 0.0, None).prod(axis=2)
    return shared


def _distances(some: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Return the distances between boxes, 0 where they touch, [N, M]."""
    apart = np.maximum(others[None, :, :2] - some[:, None, 2:], some[:, None, :2] - others[None, :, 2:])
    distances: NDArray[np.float64] = np.hypot(*np.moveaxis(np.maximum(apart, 0.0), 2, 0))
    return distances
