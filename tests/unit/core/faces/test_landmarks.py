"""The second look at a face betters its landmarks, and is not believed where it sees something else."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from core.faces.detect import Detections
from core.faces.detect_scale import ScaledPhoto
from core.faces.landmarks import look_twice
from core.finding import DEFAULT_TEMPLATE

TEMPLATE = np.asarray(DEFAULT_TEMPLATE)
IN_THE_SQUARE = ((TEMPLATE - 0.5) * 0.7 + 0.5) * 192
"""Where the landmarks lie in the second look when the first was right."""
RIGHT = np.array([1.0, 0.0])
"""A pixel further right."""
PHOTO = np.full((300, 400, 3), 90, np.uint8)


class ScriptedDetector:
    """Sees in every square the faces it was told, given by their landmarks in the square."""

    def __init__(self, *landmarks: NDArray[np.float64]) -> None:
        self._landmarks = landmarks
        self.squares: list[NDArray[np.uint8]] = []

    def look(self, photos: Sequence[ScaledPhoto]) -> list[Detections]:
        self.squares += [photo.pixels for photo in photos]
        points = np.array(self._landmarks, np.float32).reshape(-1, 5, 2)
        boxes = np.concatenate((points.min(axis=1), points.max(axis=1)), axis=1)
        return [Detections(boxes_xyxy_px=boxes, landmarks_px=points, scores=np.ones(len(points), np.float32))] * len(
            photos
        )


def face(left_px: float, top_px: float, side_px: float, turn: complex = 1 + 0j) -> NDArray[np.float32]:
    """Return landmarks of a face of this size, turned about its middle."""
    z = ((TEMPLATE[:, 0] - 0.5) + 1j * (TEMPLATE[:, 1] - 0.5)) * side_px * turn
    return np.stack((z.real + left_px + side_px / 2, z.imag + top_px + side_px / 2), axis=1).astype(np.float32)


def look(detector: ScriptedDetector, *faces: NDArray[np.float32]) -> NDArray[np.float32]:
    (found,) = look_twice(detector, [PHOTO], [np.array(faces, np.float32).reshape(-1, 5, 2)], TEMPLATE)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("turn", [1 + 0j, 1j, np.exp(0.4j)])
def test_landmarks_become_the_mean_of_both_looks(turn: complex) -> None:
    first = face(100, 80, 67.2, turn)  # 67.2 px are 134.4 in the square: a pixel of the photo is two there
    found = look(ScriptedDetector(IN_THE_SQUARE + 4 * RIGHT), first)
    moved = complex(1.0, 0.0) * turn / abs(turn)
    assert np.allclose(found[0] - first, (moved.real, moved.imag), atol=1e-3)


def test_what_is_seen_right_again_changes_nothing() -> None:
    first = face(100, 80, 60)
    assert np.allclose(look(ScriptedDetector(IN_THE_SQUARE), first)[0], first, atol=1e-3)


def test_where_nothing_is_seen_the_first_look_stands() -> None:
    first = face(100, 80, 60)
    assert np.array_equal(look(ScriptedDetector(), first)[0], first)


def test_another_face_is_not_taken_for_this_one() -> None:
    first = face(100, 80, 60)
    assert np.array_equal(look(ScriptedDetector(IN_THE_SQUARE + 60.0), first)[0], first)
    both = ScriptedDetector(IN_THE_SQUARE + 60.0, IN_THE_SQUARE + 4 * RIGHT)
    assert not np.array_equal(look(both, first)[0], first)


def test_landmarks_that_are_no_face_stay_what_they_are() -> None:
    nowhere = np.full((5, 2), 7.0, np.float32)
    assert np.array_equal(look(ScriptedDetector(IN_THE_SQUARE), nowhere)[0], nowhere)


def test_many_faces_of_many_photos_keep_their_places() -> None:
    rows = [np.stack([face(3.0 * n, 2.0 * n, 40 + n) for n in range(count)]) for count in (70, 1, 30)]
    rows.insert(1, np.zeros((0, 5, 2), np.float32))
    detector = ScriptedDetector(IN_THE_SQUARE)
    found = look_twice(detector, [PHOTO] * 4, rows, TEMPLATE)  # type: ignore[arg-type]
    assert [points.shape for points in found] == [points.shape for points in rows]
    assert all(np.allclose(mine, given, atol=1e-2) for mine, given in zip(found, rows, strict=True))
    assert {square.shape for square in detector.squares} == {(192, 192, 3)}
    assert len(detector.squares) == 101
