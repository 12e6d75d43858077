"""The figures are what their names say, on tables small enough to count by hand."""

import numpy as np
import pytest

from core.training.metrics import (
    NOBODY,
    confusion_matrix,
    expected_calibration_error,
    open_set_figures,
    person_table,
    top_k_accuracy,
)

#                 Ada right, Ada refused, Ada as Bo, Bo right, stranger as Bo, stranger refused
_TRUTH = np.array([0, 0, 0, 1, NOBODY, NOBODY])
_GIVEN = np.array([0, NOBODY, 1, 1, 1, NOBODY])


def test_the_confusion_matrix_has_a_row_for_strangers_and_a_column_for_refusals() -> None:
    assert confusion_matrix(_TRUTH, _GIVEN, 2).tolist() == [[1, 1, 1], [0, 1, 0], [0, 1, 1]]


def test_open_set_figures_count_each_photo_once() -> None:
    figures = open_set_figures(confusion_matrix(_TRUTH, _GIVEN, 2))
    assert (figures.named_right, figures.refused, figures.named_wrong) == (2, 1, 1)
    assert (figures.strangers_named, figures.strangers_refused) == (1, 1)
    assert figures.known + figures.strangers == len(_TRUTH)
    assert figures.tpir == 0.5
    assert figures.fpir == 0.5


def test_rates_without_photos_are_none() -> None:
    figures = open_set_figures(np.zeros((3, 3), dtype=np.int64))
    assert figures.tpir is None
    assert figures.fpir is None


def test_a_stranger_with_a_name_costs_that_person_precision() -> None:
    ada, bo = person_table(confusion_matrix(_TRUTH, _GIVEN, 2))
    assert (ada.photos, ada.named, ada.precision, ada.recall) == (3, 1, 1.0, pytest.approx(1 / 3))
    assert (bo.photos, bo.named, bo.precision, bo.recall) == (1, 3, pytest.approx(1 / 3), 1.0)


def test_a_person_never_seen_and_never_named_has_no_rates() -> None:
    missing = person_table(confusion_matrix(_TRUTH, _GIVEN, 3))[2]
    assert (missing.precision, missing.recall) == (None, None)


def test_top_k_accuracy_counts_truths_among_the_k_best() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]], dtype=np.float32)
    truth = np.array([0, 1, 2])
    assert [top_k_accuracy(truth, scores, k) for k in (1, 2, 3, 9)] == [pytest.approx(k / 3) for k in (1, 2, 3, 3)]


def test_confidence_that_tells_the_truth_has_no_calibration_error() -> None:
    confidence = np.repeat([0.2, 0.8], 50)
    right = np.concatenate([np.arange(50) < 10, np.arange(50) < 40])
    assert expected_calibration_error(confidence, right, bins=2) == pytest.approx(0.0)


def test_certainty_that_is_half_wrong_has_half_an_error() -> None:
    assert expected_calibration_error(np.ones(10), np.arange(10) < 5) == pytest.approx(0.5)
