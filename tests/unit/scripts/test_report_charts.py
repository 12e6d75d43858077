from collections.abc import Sequence
from itertools import pairwise

import pytest

from core.records import EpochProgress
from scripts.report_charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    LineChart,
    accuracy_chart,
    loss_chart,
    nice_ticks,
    similarity_histogram,
)


def epochs(losses: Sequence[float], held_out: Sequence[float | None] | None = None) -> list[EpochProgress]:
    return [
        EpochProgress(
            epoch=number,
            epochs=len(losses),
            train_loss=loss,
            train_accuracy=1 / (1 + loss),
            val_loss=None if held_out is None else held_out[number - 1],
            val_accuracy=None if held_out is None or held_out[number - 1] is None else 0.5,
            learning_rate=0.001,
            seconds=0.1,
        )
        for number, loss in enumerate(losses, 1)
    ]


def points(chart: LineChart, line: int = 0) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in chart.lines[line].points.split())]


def test_a_curve_runs_from_the_left_edge_to_the_right_and_falls_with_the_loss() -> None:
    curve = points(loss_chart(epochs([2.0, 1.0, 0.5])))
    assert [x for x, _ in curve] == [LEFT, (LEFT + RIGHT) / 2, RIGHT]
    assert curve[0][1] < curve[1][1] < curve[2][1]  # y grows downwards


def test_every_point_lies_inside_the_panel() -> None:
    for chart in (loss_chart(epochs([7.3, 0.2], [9.9, 0.1])), accuracy_chart(epochs([7.3, 0.0], [9.9, 0.1]))):
        for line in range(len(chart.lines)):
            assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in points(chart, line))


def test_one_epoch_is_one_point() -> None:
    assert points(loss_chart(epochs([1.0]))) == [((LEFT + RIGHT) / 2, pytest.approx(TOP, abs=1.0))]


def test_without_held_out_photos_there_is_one_curve() -> None:
    assert [line.name for line in loss_chart(epochs([1.0, 0.5])).lines] == ["learned from"]


def test_epochs_without_a_held_out_figure_are_passed_over() -> None:
    chart = loss_chart(epochs([1.0, 0.5, 0.2], [None, 0.7, 0.6]))
    assert len(points(chart, 1)) == 2


def test_labels_of_curves_that_end_together_do_not_overlap() -> None:
    upper, lower = sorted(line.label_y for line in loss_chart(epochs([1.0, 0.5], [1.0, 0.5])).lines)
    assert lower - upper >= 30


def test_the_summary_says_how_it_ended() -> None:
    assert loss_chart(epochs([1.0, 0.5], [1.0, 0.75])).summary == (
        "Loss over 2 epochs; at the end 0.50 on photos learned from and 0.75 on photos held out."
    )


def test_a_loss_of_zero_throughout_can_be_drawn() -> None:
    assert all(y == BOTTOM for _, y in points(loss_chart(epochs([0.0, 0.0]))))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.003), (-0.31, 0.98), (12.0, 12.0), (0.0, 730.0)])
def test_ticks_are_evenly_spaced_and_enclose_the_values(low: float, high: float) -> None:
    ticks = nice_ticks(low, high, 5)
    gaps = [after - before for before, after in pairwise(ticks)]
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert gaps == pytest.approx([gaps[0]] * len(gaps))
    assert 2 <= len(ticks) <= 8


def test_known_people_stand_above_the_axis_and_strangers_below() -> None:
    chart = similarity_histogram([0.9, 0.8], [0.1, 0.2], threshold=0.5)
    above = [bar for bar in chart.bars if bar.style == "known"]
    below = [bar for bar in chart.bars if bar.style == "stranger"]
    assert all(bar.y + bar.height == pytest.approx(chart.axis_y) for bar in above)
    assert all(bar.y == pytest.approx(chart.axis_y) for bar in below)
    assert max(bar.x for bar in below) < chart.threshold_x < min(bar.x for bar in above)


def test_without_strangers_the_axis_is_at_the_bottom() -> None:
    chart = similarity_histogram([0.9, 0.8], [], threshold=0.5)
    assert chart.axis_y == BOTTOM
    assert not chart.has_strangers


def test_photos_on_the_threshold_count_as_above_it() -> None:
    assert "1 of 2 photos of known people and 1 of 1" in similarity_histogram([0.5, 0.4], [0.6], threshold=0.5).summary


def test_equal_similarities_can_be_drawn() -> None:
    assert similarity_histogram([0.5], [0.5], threshold=0.5).bars
