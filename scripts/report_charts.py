"""Geometry of the report's charts: where each line, bar, tick and label goes. The template draws them; no library does.

All coordinates are SVG user units of a WIDTH x HEIGHT view, y downwards.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.records import EpochProgress

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 16, 206
# Labels at the ends of two lines closer than this would overlap.
_LABEL_GAP = 16
_BINS = 30


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve, named at its end."""

    name: str
    style: str
    """CSS class: `train` or `held-out`."""
    points: str
    """`x,y x,y ...`."""
    end: tuple[float, float]
    label_y: float
    value: str
    """The last value, as people read it."""


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """One panel of the training curve."""

    title: str
    summary: str
    """The chart in one sentence, for people who do not see it."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of the histogram."""

    x: float
    y: float
    width: float
    height: float
    style: str
    """CSS class: `known` above the axis, `stranger` below it."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Similarities of people above a line, of strangers below it, and the threshold across both."""

    summary: str
    x_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    axis_y: float
    threshold_x: float
    has_strangers: bool


def loss_chart(epochs: Sequence[EpochProgress]) -> LineChart:
    """Draw the loss over the epochs; at least one."""
    train = [epoch.train_loss for epoch in epochs]
    held_out = [epoch.val_loss for epoch in epochs]
    top = max([*train, *(value for value in held_out if value is not None)])
    return _line_chart("Loss", epochs, train, held_out, top or 1.0, lambda value: f"{value:.2f}")


def accuracy_chart(epochs: Sequence[EpochProgress]) -> LineChart:
    """Draw the accuracy over the epochs; at least one."""
    train = [epoch.train_accuracy for epoch in epochs]
    held_out = [epoch.val_accuracy for epoch in epochs]
    return _line_chart("Accuracy", epochs, train, held_out, 1.0, lambda value: f"{value * 100:.0f} %")


def similarity_histogram(known: Sequence[float], strangers: Sequence[float], threshold: float) -> Histogram:
    """Draw how similar each photo is to its nearest person.

    Args:
        known: similarities of photos of people in the gallery; not empty.
        strangers: the same of photos of strangers; may be empty.
        threshold: similarity from which on a name is given.
    """
    everything = [*known, *strangers, threshold]
    ticks = nice_ticks(min(everything), max(everything), 6)
    low, high = ticks[0], ticks[-1]
    middle = (TOP + BOTTOM) / 2 if strangers else BOTTOM
    bars = _bars(known, low, high, middle, TOP, "known")
    if strangers:
        bars += _bars(strangers, low, high, middle, BOTTOM, "stranger")
    return Histogram(
        summary=(
            f"Histogram of similarities. {sum(value >= threshold for value in known)} of {len(known)} photos of known "
            f"people and {sum(value >= threshold for value in strangers)} of {len(strangers)} photos of strangers lie "
            f"at or above the threshold of {threshold:.3f}."
        ),
        x_ticks=tuple(Tick(at=_scale(tick, low, high, LEFT, RIGHT), label=_number(tick)) for tick in ticks),
        bars=tuple(bars),
        axis_y=middle,
        threshold_x=_scale(threshold, low, high, LEFT, RIGHT),
        has_strangers=bool(strangers),
    )


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers that enclose low..high, evenly spaced."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= span / count * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def _line_chart(
    title: str,
    epochs: Sequence[EpochProgress],
    train: Sequence[float],
    held_out: Sequence[float | None],
    top: float,
    shown: Callable[[float], str],
) -> LineChart:
    """Lay out a panel whose y axis starts at zero."""
    y_ticks = nice_ticks(0.0, top, 4)
    first, last = epochs[0].epoch, epochs[-1].epoch
    curves = [_curve("learned from", "train", epochs, train, y_ticks[-1], shown)]
    if any(value is not None for value in held_out):
        curves.append(_curve("held out", "held-out", epochs, held_out, y_ticks[-1], shown))
    said = " and ".join(f"{line.value} on photos {line.name}" for line in curves)
    return LineChart(
        title=title,
        summary=f"{title} over {len(epochs)} epochs; at the end {said}.",
        x_ticks=tuple(
            Tick(at=_scale(epoch, first, last, LEFT, RIGHT), label=str(epoch)) for epoch in _epoch_ticks(first, last)
        ),
        y_ticks=tuple(
            Tick(at=_scale(tick, 0.0, y_ticks[-1], BOTTOM, TOP), label=shown(tick) if top == 1.0 else _number(tick))
            for tick in y_ticks
        ),
        lines=_spread(curves),
    )


def _curve(
    name: str,
    style: str,
    epochs: Sequence[EpochProgress],
    values: Sequence[float | None],
    top: float,
    shown: Callable[[float], str],
) -> Line:
    first, last = epochs[0].epoch, epochs[-1].epoch
    known = [(epoch.epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
    points = [(_scale(x, first, last, LEFT, RIGHT), _scale(y, 0.0, top, BOTTOM, TOP)) for x, y in known]
    return Line(
        name=name,
        style=style,
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        end=points[-1],
        label_y=points[-1][1],
        value=shown(known[-1][1]),
    )


def _spread(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Move the labels of two lines that end close together apart, within the panel."""
    if len(lines) < 2 or abs(lines[0].label_y - lines[1].label_y) >= _LABEL_GAP * 2:
        return tuple(lines)
    upper, lower = sorted(lines, key=lambda line: line.label_y)
    middle = (upper.label_y + lower.label_y) / 2
    middle = min(max(middle, TOP + _LABEL_GAP), BOTTOM - 1.6 * _LABEL_GAP)
    moved = {upper.name: middle - _LABEL_GAP, lower.name: middle + _LABEL_GAP}
    return tuple(
        Line(**{**line.__dict__, "label_y": moved[line.name]})  # each takes its own place back
        for line in lines
    )


def _epoch_ticks(first: int, last: int) -> list[int]:
    """Return about six whole epochs, the first and the last among them."""
    step = max(1, round((last - first) / 5))
    inner = [epoch for epoch in range(first + step, last, step) if last - epoch >= step * 0.7]
    return sorted({first, *inner, last})


def _bars(values: Sequence[float], low: float, high: float, base: float, peak: float, style: str) -> list[Bar]:
    """Lay out a histogram that grows from y = base towards y = peak; its fullest bin reaches nine tenths of the way."""
    counts = [0] * _BINS
    for value in values:
        counts[min(int((value - low) / (high - low) * _BINS), _BINS - 1)] += 1
    width = (RIGHT - LEFT) / _BINS
    tallest = max(counts)
    bars = []
    for number, count in enumerate(counts):
        if count:
            reach = (peak - base) * 0.9 * count / tallest
            x, height = LEFT + number * width + 0.5, abs(reach)
            bars.append(Bar(x=x, y=min(base, base + reach), width=width - 1, height=height, style=style))
    return bars


def _scale(value: float, low: float, high: float, start: float, end: float) -> float:
    """Map low..high to start..end; a range of one point lies in the middle."""
    return start + (end - start) * ((value - low) / (high - low) if high > low else 0.5)


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") or "0"
