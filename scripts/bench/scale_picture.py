"""Draws `facefleet bench scale` as one picture: photos a second by workers, and what moves the ceiling."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.plot import BLUE, GREEN, INK, ORANGE, PAPER, SMALL_PX, SOFT, TEXT_PX, Axis, Frame, Plot
from scripts.simulate_fleet import WORKERS

if TYPE_CHECKING:
    from scripts.canvas import Canvas

_WIDTH, _HEIGHT = 1200, 560
_TOP, _EDGE, _GAP = 92, 24, 16
_ROW_PX = 58
_POWERS = ("", "10", "100", "1k", "10k", "100k", "1M", "10M", "100M", "1G")


def draw_scale(file: Path, document: dict[str, Any]) -> None:
    """Write the picture; one of the same name is replaced.

    Args:
        file: with a suffix that `check_picture` lets pass.
        document: the command's JSON form.

    Raises:
        InputError: it cannot be written there.
    """
    from scripts.canvas import drawing

    title = "How fast a fleet is, by its workers"
    with drawing(file, _WIDTH, _HEIGHT, PAPER, title) as canvas:
        costs, plan = document["costs"], document["plan"]
        canvas.text((_EDGE, 48), title, 26, INK)
        note = (
            f"{costs['database']}, chunks of {plan['chunk_size']} photos; costs measured on {costs['machine']['cpu']}"
        )
        canvas.text((_EDGE, 74), note, TEXT_PX, SOFT)
        width, height = (_WIDTH - 2 * _EDGE - _GAP) / 2, _HEIGHT - _TOP - _EDGE
        _draw_sweep(canvas, Frame(left=_EDGE, top=_TOP, width=width, height=height), document)
        _draw_ladder(canvas, Frame(left=_EDGE + width + _GAP, top=_TOP, width=width, height=height), document)


def _draw_sweep(canvas: "Canvas", frame: Frame, document: dict[str, Any]) -> None:
    """Draw the rate by workers, beside what as many would do if nobody waited, and what was measured."""
    fleets = sorted(document["sweep"], key=lambda fleet: int(fleet["workers"]))
    frame.draw(canvas, "Photos a second", "by workers; dashed: if nobody waited; blue: measured")
    most, one = fleets[-1]["workers"], fleets[0]["photos_per_s"] / fleets[0]["workers"]
    rates = [fleet["photos_per_s"] for fleet in fleets] + [row["of_time_left"]["median"] for row in document["check"]]
    plot = Plot(frame=frame, x=_log_axis(1, most), y=_log_axis(min(rates), max(rates)))
    plot.draw_axes(canvas, "workers", show=_show_power)
    reached = min(most, plot.y.high / one)
    canvas.line([plot.at(1, one), plot.at(reached, reached * one)], SOFT, dashed=True)
    canvas.line([plot.at(fleet["workers"], fleet["photos_per_s"]) for fleet in fleets], GREEN, 2)
    for fleet in fleets:
        colour = GREEN if fleet["ceiling"] == WORKERS else ORANGE
        canvas.dot(plot.at(fleet["workers"], fleet["photos_per_s"]), 4.5, colour)
    for row in document["check"]:
        canvas.dot(plot.at(row["processes"], row["of_time_left"]["median"]), 4.5, BLUE)
    held = next((fleet for fleet in fleets if fleet["ceiling"] != WORKERS), None)
    if held is not None:
        x, y = plot.at(held["workers"], held["photos_per_s"])
        on_the_left = x < frame.left + 0.6 * frame.width
        canvas.text((x, y - 14), held["ceiling"], SMALL_PX, ORANGE, "middle" if on_the_left else "end")


def _draw_ladder(canvas: "Canvas", frame: Frame, document: dict[str, Any]) -> None:
    """Draw a bar for each lever after those above it, and what holds the fleet up then."""
    largest = max(document["sweep"], key=lambda fleet: int(fleet["workers"]))
    steps = [{**largest, "lever": "as it is"}, *document["ladder"]]
    note = f"{largest['workers']:,} workers, one lever after the other; beside it: photos a second, held up by"
    frame.draw(canvas, "What moves the ceiling", note)
    most = max(step["photos_per_s"] for step in steps)
    row_px = min(_ROW_PX, (frame.height - 80) / len(steps))
    for number, step in enumerate(steps):
        _draw_step(canvas, frame, step, frame.top + 78 + number * row_px, most)


def _draw_step(canvas: "Canvas", frame: Frame, step: dict[str, Any], top: float, most: float) -> None:
    left, width = frame.left + 18, 0.42 * frame.width
    right = left + max(2.0, width * step["photos_per_s"] / most)
    canvas.text((left, top + 12), step["lever"], SMALL_PX, INK)
    canvas.area([(left, top + 18), (right, top + 18), (right, top + 32), (left, top + 32)], GREEN)
    held = "its workers" if step["ceiling"] == WORKERS else step["ceiling"]
    canvas.text((right + 8, top + 30), f"{step['photos_per_s']:,.0f}, {held}", SMALL_PX, SOFT)


def _log_axis(low: float, high: float) -> Axis:
    """Return a logarithmic axis of whole powers of ten that encloses some figures."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    ticks = tuple(10.0**power for power in range(first, last + 1))
    return Axis(low=ticks[0], high=ticks[-1], ticks=ticks, logarithmic=True)


def _show_power(value: float) -> str:
    power = round(math.log10(value))
    return _POWERS[power] if 0 < power < len(_POWERS) else f"{value:g}"
