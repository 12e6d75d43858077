"""An embedding is as long as its features say, within bounds, and a similarity counts both lengths."""

import math

import numpy as np
import pytest

from core.faces.gallery import imprint
from core.faces.lengths import LEAST, MOST, FeatureLength
from core.faces.match import similarities_to
from core.faces.vectors import are_embeddings, directions


@pytest.mark.parametrize(("typical", "power"), [(0.0, 0.5), (-1.0, 0.5), (math.inf, 0.5), (15.0, -0.1), (15.0, 1.1)])
def test_lengths_that_say_nothing_are_refused(typical: float, power: float) -> None:
    with pytest.raises(ValueError, match="a power in"):
        FeatureLength(typical=typical, power=power)


@pytest.mark.parametrize(("length", "fits"), [(LEAST, True), (MOST, True), (0.79, False), (1.11, False), (0.0, False)])
def test_embeddings_are_known_by_their_lengths(length: float, fits: bool) -> None:
    vectors = np.array([[0.6, 0.8], [length, 0.0]], np.float32)
    assert are_embeddings(vectors) is fits
    assert are_embeddings(vectors[:, None]) is fits


def test_what_is_no_number_is_no_embedding() -> None:
    assert not are_embeddings(np.array([[np.nan, 1.0]], np.float32))
    assert are_embeddings(np.empty((0, 2), np.float32))


def test_directions_keep_no_length_and_what_is_nearly_zero_or_no_number_becomes_zero() -> None:
    found = directions(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.9], [1e-6, 0.0], [np.nan, 1.0]], np.float32))
    assert found == pytest.approx(np.array([[0.6, 0.8], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]))


def test_a_similarity_is_the_cosine_times_both_lengths_and_never_above_1() -> None:
    gallery = np.array([[1.1, 0.0], [0.0, 0.8]], np.float32)
    embeddings = np.array([[1.1, 0.0], [0.6 * 0.9, 0.8 * 0.9], [-1.1, 0.0]], np.float32)
    expected = np.array([[1.0, 0.0], [0.594, 0.576], [-1.0, 0.0]])
    assert similarities_to(embeddings, gallery) == pytest.approx(expected, abs=1e-6)
    assert similarities_to(embeddings, gallery[:, None]) == pytest.approx(expected, abs=1e-6)


def test_a_person_is_as_long_as_their_photos_and_outliers_do_not_count() -> None:
    photos = np.array([[0.9, 0.0, 0.0], [1.1, 0.0, 0.0], [1.0, 0.05, 0.0], [0.0, 0.0, 0.8]], np.float32)
    person = imprint(photos)
    assert np.linalg.norm(person) == pytest.approx(1.0, abs=1e-3)
    assert person[2] == 0.0
    assert imprint(photos[:1]) == pytest.approx(photos[0], abs=1e-6)
