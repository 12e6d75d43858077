import random

import numpy as np

from core.images.labels import overlap_px, place_labels

PICTURE = (1280, 960)


def test_a_label_stands_right_above_its_box() -> None:
    (label,) = place_labels([(80, 20)], [(400, 300, 500, 420)], PICTURE)

    assert label.tolist() == [400, 277, 480, 297]


def test_a_label_stays_in_the_picture_wherever_its_box_is() -> None:
    boxes = [(0, 0, 30, 30), (1250, 0, 1280, 30), (0, 930, 30, 960), (1250, 930, 1280, 960), (0, 0, 1280, 960)]

    labels = place_labels([(200, 24)] * 5, boxes, PICTURE)

    assert labels.min() >= 0
    assert (labels[:, 2:] <= PICTURE).all()
    assert overlap_px(labels) == 0


def test_a_label_as_large_as_the_picture_begins_at_its_corner() -> None:
    assert place_labels([(1280, 960)], [(600, 400, 700, 500)], PICTURE).tolist() == [[0, 0, 1280, 960]]


def test_labels_of_a_crowd_do_not_cover_each_other_and_hide_no_face() -> None:
    boxes = crowd(40)

    labels = place_labels([(90, 18)] * 40, boxes, PICTURE)

    assert overlap_px(labels) == 0
    for x1, y1, x2, y2 in boxes:
        hidden = np.clip(np.minimum(labels[:, 2:], (x2, y2)) - np.maximum(labels[:, :2], (x1, y1)), 0, None)
        assert hidden.prod(axis=1).sum() < 0.5 * (x2 - x1) * (y2 - y1)


def test_labels_keep_close_to_their_boxes() -> None:
    boxes = crowd(40)

    labels = place_labels([(90, 18)] * 40, boxes, PICTURE)

    for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
        assert max(x1 - label[2], label[0] - x2) <= 40
        assert max(y1 - label[3], label[1] - y2) <= 40


def crowd(faces: int) -> list[tuple[float, float, float, float]]:
    """Faces in rows, each a little off its place."""
    random_ = random.Random(0)
    corners = [(60 + 150 * (n % 8), 60 + 180 * (n // 8)) for n in range(faces)]
    placed = [(x + random_.uniform(-30, 30), y + random_.uniform(-30, 30)) for x, y in corners]
    return [(x, y, x + 60, y + 75) for x, y in placed]
