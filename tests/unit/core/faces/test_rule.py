"""A reject rule cannot be one that would name everybody by accident."""

import math
import sys
from subprocess import run

import pytest

from core.faces.impostors import ImpostorScores
from core.faces.rule import RejectRule


def _rule(**changes: object) -> RejectRule:
    values: dict[str, object] = {
        "threshold": 0.5,
        "margin": 0.1,
        "fpir_target": 0.01,
        "basis": "test",
        "calibration": (0.0, 1.0, 1.0),
    }
    return RejectRule(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": math.nan},
        {"threshold": -math.inf},
        {"margin": -0.01},
        {"margin": math.nan},
        {"fpir_target": 1.5},
        {"calibration": (0.0, 1.0)},
        {"calibration": (0.0, math.inf, 1.0)},
        {"people": 0},
        {"stranger_share": 1.5},
    ],
)
def test_a_rule_out_of_range_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"needs finite|must be"):
        _rule(**changes)


def test_a_rule_that_names_nobody_is_allowed() -> None:
    assert _rule(threshold=1.5).threshold == 1.5


def test_the_rule_needs_neither_numpy_nor_torch() -> None:
    code = "import sys, core.faces.rule; sys.exit('numpy' in sys.modules or 'torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_rule_moves_with_the_gallery_by_as_much_as_strangers_scores_do() -> None:
    scores = ImpostorScores(centre=0.0, spread=0.1)
    rule = _rule(threshold=0.38, people=30, impostors=scores, calibration=(-16.0, 40.0, 2.0))
    larger = rule.for_gallery_of(60)
    moved = scores.threshold(0.01, 60) - scores.threshold(0.01, 30)
    assert larger.threshold == pytest.approx(0.38 + moved)
    assert moved > 0.01
    assert (larger.people, larger.margin) == (60, rule.margin)
    # A face at the new threshold is as sure as one at the old threshold was.
    assert larger.calibration[0] + 40.0 * larger.threshold == pytest.approx(-16.0 + 40.0 * 0.38)
    assert "gallery of 60" in larger.basis


def test_a_rule_that_knows_no_impostors_stays_and_says_so() -> None:
    rule = _rule(people=30)
    assert rule.for_gallery_of(30) is rule
    assert rule.for_gallery_of(60).threshold == rule.threshold
    assert "not adjusted to the gallery of 60" in rule.for_gallery_of(60).basis
