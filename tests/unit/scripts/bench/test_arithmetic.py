"""What networks ask of a core is counted, and what a core can do is measured."""

from pathlib import Path

import pytest
import torch

from scripts.bench.arithmetic import count_detector, measure_peak
from scripts.bench.stages import cost_per_photo
from tests.detection import weights_of


def test_a_peak_is_of_what_was_tried() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    peak = measure_peak(bfloat16=False)
    torch.set_num_threads(before)

    assert peak.precision == "float32"
    assert peak.flops_per_s > 1e9
    assert "matrices" in peak.of or "convolutions" in peak.of


def test_a_photo_of_four_times_the_pixels_asks_for_four_times_as_much(test_data: Path) -> None:
    weights = weights_of(test_data).read_bytes()

    assert count_detector(weights, 320, 320) == 4 * count_detector(weights, 160, 160)


def test_costs_are_for_a_photo_and_in_the_order_of_the_pipeline() -> None:
    spent = {"photos": 10, "stages": {"store": (2.0, 1.0), "read": (1.0, 0.5)}}

    costs = cost_per_photo(spent)

    assert list(costs["stages"]) == ["read", "store"]
    assert costs["stages"]["read"] == pytest.approx({"wall_ms": 100.0, "computing_ms": 50.0})
    assert costs["total"] == pytest.approx({"wall_ms": 300.0, "computing_ms": 150.0})
