"""A reject rule cannot be one that would name everybody by accident."""

import math
import sys
from subprocess import run

import pytest

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
