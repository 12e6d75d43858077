"""The metrics of a manifest are plain JSON, by name, after the reject rule."""

import json

import numpy as np

from core.training.report import score
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
