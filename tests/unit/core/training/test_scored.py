"""Rows of the scorecard: whom they show, what was missed, and what a rule did with them."""

import numpy as np
import pytest

from core.records import Example
from core.training.calibrate import Probes
from core.training.request import SkippedPhoto
from core.training.scored import MissedPhotos, missed_photos, score_rehearsed, score_tested
from tests.factories import make_rule


def probes(similarity: list[float], right: list[bool]) -> Probes:
    return Probes(
        similarity=np.array(similarity, np.float32),
        margin=np.full(len(similarity), 0.5, np.float32),
        right=np.array(right, bool),
        people=len(similarity),
    )


def test_photos_without_a_good_face_count_for_whom_they_show_and_unreadable_ones_for_nobody() -> None:
    """Class 0 has become 0, class 1 is not in the model, class 2 has become 1."""
    codes = {"a": "no_face", "b": "face_too_poor", "c": "no_face", "d": "photo_broken", "e": "no_face"}
    examples = [Example(uri=uri, class_index=at) for uri, at in zip("abcde", (0, 2, 1, 0, -1), strict=True)]
    skipped = [SkippedPhoto(uri=uri, code=code, message="") for uri, code in codes.items()]

    missed = missed_photos(examples, skipped, np.array([0, -2, 1]))

    assert missed.no_face.tolist() == [0, -1]
    assert missed.too_poor.tolist() == [1]


def test_missed_photos_are_rows_without_a_similarity() -> None:
    missed = MissedPhotos(no_face=np.array([0, -1]), too_poor=np.array([3]))
    truth = np.array([0, 3, -1, -1])

    known, strangers = score_tested(
        probes([0.9, 0.8, 0.3, 0.2], [True, False, False, False]),
        truth,
        np.array([True, True, False, False]),
        make_rule(threshold=0.5),
        missed,
    )

    assert known.person.tolist() == [0, 1, 0, 1], "who of the model is shown, without gaps"
    assert known.found.tolist() == [True, True, False, True]
    assert np.isfinite(known.similarity).tolist() == known.stated.tolist() == [True, True, False, False]
    assert (known.right.tolist(), known.named.tolist()) == ([True, False, False, False], [True, True, False, False])
    assert strangers.person.tolist() == [0, 1, 2], "each is somebody else"
    assert strangers.found.tolist() == [True, True, False]


def test_people_of_different_rehearsals_are_different_people() -> None:
    rows = score_rehearsed(
        probes([0.9] * 5, [True] * 5), make_rule(threshold=0.5), [np.array([4, 4]), np.array([4, 6]), np.array([], int)]
    )

    assert rows.person.tolist() == [0, 0, 1, 2, 3], "the last one belongs to no rehearsal"
    assert rows.named.all()


def test_the_rule_decides_about_rehearsed_photos() -> None:
    rows = score_rehearsed(probes([0.9, 0.4], [True, False]), make_rule(threshold=0.5, margin=0.1), [np.array([0, 1])])

    assert rows.named.tolist() == [True, False]
    assert rows.similarity.tolist() == pytest.approx([0.9, 0.4], abs=1e-6)
    assert (rows.confidence[0] > 0.5 > rows.confidence[1]) and rows.stated.all()
