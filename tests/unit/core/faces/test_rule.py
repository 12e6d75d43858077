"""A reject rule cannot be one that would name everybody by accident."""

import json
import math
import sys
from dataclasses import asdict
from subprocess import run

import pytest

from core.faces.impostors import ImpostorScores
from core.faces.rule import OperatingPoint, RejectRule


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


_POINTS = (
    OperatingPoint(fpir=0.001, threshold=0.7, margin=0.3),
    OperatingPoint(fpir=0.1, threshold=0.3, margin=0.1),
)


def test_a_rule_at_another_share_of_strangers_lies_between_those_it_knows() -> None:
    rule = _rule(threshold=0.52, other_points=_POINTS)
    between = rule.at_fpir(0.01 * 10**0.5)  # three quarters of the way from 0.001 to 0.1, by the logarithm
    assert (between.threshold, between.margin) == (pytest.approx(0.4), pytest.approx(0.15))
    assert between.fpir_target == 0.01 * 10**0.5
    assert "as asked" in between.basis
    assert rule.at_fpir(0.001).threshold == 0.7
    assert rule.at_fpir(0.01) is rule  # its own share: not what lies between two others


@pytest.mark.parametrize("share", [0.0005, 0.15])
def test_a_rule_that_does_not_know_a_share_of_strangers_stays_and_says_so(share: float) -> None:
    rule = _rule(other_points=_POINTS)
    assert not rule.knows_fpir(share)
    assert rule.at_fpir(share).threshold == rule.threshold
    assert "not adjusted to" in rule.at_fpir(share).basis
    assert rule.knows_fpir(0.005)
    assert rule.knows_fpir(rule.fpir_target)
    assert not _rule().knows_fpir(0.005)


def test_a_larger_gallery_moves_the_thresholds_of_other_shares_too() -> None:
    scores = ImpostorScores(centre=0.0, spread=0.1)
    rule = _rule(people=30, impostors=scores, other_points=_POINTS)
    moved = [point.threshold for point in rule.for_gallery_of(60).other_points]
    expected = [
        point.threshold + scores.threshold(point.fpir, 60) - scores.threshold(point.fpir, 30) for point in _POINTS
    ]
    assert moved == pytest.approx(expected)
    assert moved[0] > 0.7


@pytest.mark.parametrize("changes", [{"fpir": 0.0}, {"fpir": 1.0}, {"threshold": math.nan}, {"margin": -0.1}])
def test_what_is_no_operating_point_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="operating point"):
        OperatingPoint(**{"fpir": 0.1, "threshold": 0.5, "margin": 0.0, **changes})


def test_a_rule_is_read_back_as_it_was_written() -> None:
    rule = _rule(people=30, impostors=ImpostorScores(centre=0.0, spread=0.1), other_points=_POINTS)
    assert RejectRule.from_json(json.loads(json.dumps(asdict(rule)))) == rule
