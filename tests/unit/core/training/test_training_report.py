"""The metrics of a manifest are plain JSON, by name, after the reject rule."""

import json

import numpy as np

from core.training.calibrate import NO_PROBES, Calibration, Probes
from core.training.report import describe, score
from core.training.scored import MissedPhotos
from tests.factories import make_classes, make_rule

_GALLERY = np.eye(2, 3, dtype=np.float32)
_CLASSES = make_classes("Ada", "Bo")


def _score(embeddings: list[list[float]], truth: list[int]) -> dict[str, object]:
    rows = np.array(embeddings, dtype=np.float32)
    return score(rows, rows @ _GALLERY.T, _GALLERY, np.array(truth), make_rule(threshold=0.9), _CLASSES)


def test_figures_are_taken_after_the_rule_and_rank_one_before() -> None:
    report = _score([[1, 0, 0], [0.8, 0, 0.6], [0, 0, 1]], [0, 0, -1])
    assert report["rank1_accuracy"] == 1.0
    assert (report["named_right"], report["refused"], report["strangers_refused"]) == (1, 1, 1)
    assert (report["tpir"], report["fpir"]) == (0.5, 0.0)


def test_a_stranger_with_a_name_is_listed_by_whose_name_it_got() -> None:
    report = _score([[0, 1, 0], [1, 0, 0]], [-1, 1])
    assert report["fpir"] == 1.0
    assert report["confusions"] == [
        {"is": "Bo", "named": "Ada", "photos": 1},
        {"is": None, "named": "Bo", "photos": 1},
    ]


def test_the_report_is_json() -> None:
    report = _score([[1, 0, 0], [0, 1, 0]], [0, 1])
    assert json.loads(json.dumps(report)) == report


def test_strangers_alone_have_no_accuracy() -> None:
    report = _score([[0, 0, 1]], [-1])
    assert report["rank1_accuracy"] is None
    assert report["tpir"] is None


def test_the_scorecard_counts_photos_that_show_no_face() -> None:
    rows = np.array([[1, 0, 0]], dtype=np.float32)
    missed = MissedPhotos(no_face=np.array([0]), too_poor=np.array([1, -1]))
    truth = np.array([0])

    report = score(rows, rows @ _GALLERY.T, _GALLERY, truth, make_rule(threshold=0.9), _CLASSES, missed)

    card = report["scorecard"]
    assert report["rank1_accuracy"] == 1.0
    assert (card["rank1"]["count"], card["rank1"]["of"]) == (1, 3)
    assert card["no_face"] == {"known": 1, "strangers": 0}
    assert card["low_quality"] == {"known": 1, "strangers": 1}
    assert (card["fpir"]["count"], card["fpir"]["of"]) == (0, 1)


def test_a_rehearsal_has_a_scorecard_of_the_people_it_left_out() -> None:
    known, strangers = (
        Probes(
            similarity=np.array(similarity, np.float32),
            margin=np.full(4, 0.5, np.float32),
            right=np.full(4, right),
            people=2,
        )
        for similarity, right in (([0.9, 0.9, 0.9, 0.2], True), ([0.1, 0.1, 0.1, 0.95], False))
    )
    rule = make_rule(threshold=0.5)
    calibration = Calibration(rule=rule, expected_calibration_error=None, known=known, strangers=strangers)

    card = describe(calibration, [np.array([0, 0, 1, 1])], [np.array([2, 2]), np.array([2, 2])])["scorecard"]

    assert card["people"] == {"known": 2, "strangers": 2}
    assert (card["tpir"]["rate"], card["fpir"]["rate"]) == (0.75, 0.25)
    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_a_rule_that_no_rehearsal_tested_has_an_empty_scorecard() -> None:
    calibration = Calibration(rule=make_rule(), expected_calibration_error=None, known=NO_PROBES, strangers=NO_PROBES)

    card = describe(calibration, [], [])["scorecard"]

    assert card["photos"] == {"known": 0, "strangers": 0}
    assert card["tpir"]["rate"] is None
