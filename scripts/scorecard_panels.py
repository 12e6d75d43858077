"""The charts of a scorecard, each a panel: names against strangers, coverage against error, reliability, groups.

Each takes the scorecard's JSON form; docs/scorecard.md has its keys.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scripts.output import printable
from scripts.plot import (
    BLUE,
    GREEN,
    GRID,
    INK,
    ORANGE,
    PALE_GREEN,
    SMALL_PX,
    SOFT,
    Axis,
    Frame,
    Plot,
    linear_axis,
    log_axis,
    lowest,
    percent,
    upper_axis,
    whisker,
)

if TYPE_CHECKING:
    from scripts.canvas import Canvas

Figures = dict[str, Any]
Panel = Callable[["Canvas", Frame, Figures], None]

GROUPS_SHOWN = 9
_DOT_PX = 5.0
_SHARES = Axis(low=0.0, high=1.0, ticks=(0.0, 0.25, 0.5, 0.75, 1.0))
_MOST_ERROR, _LEAST_ERROR = 0.1, 0.01
"""Between these the axis of wrong names ends, unless the rule itself gives more: nobody wants to work further up."""
_PALE_ORANGE = "#f3d9c2"


def choose_panels(figures: Figures) -> list[Panel]:
    """Return the panels that there are figures for, in their order."""
    panels: list[tuple[Panel, str]] = [
        (draw_curve, "curve"),
        (draw_coverage, "coverage"),
        (draw_reliability, "reliability"),
        (draw_groups, "groups"),
    ]
    return [panel for panel, needs in panels if figures[needs]]


def draw_curve(canvas: "Canvas", frame: Frame, figures: Figures) -> None:
    """Draw how many known people are named, against how many strangers are."""
    curve = figures["curve"]
    frame.draw(canvas, "Known people named right", "by share of strangers named; pale: 95 % interval")
    rates = [value for point in curve for value in (point["tpir"], point["low"])]
    plot = Plot(frame=frame, x=log_axis(curve[0]["fpir"]), y=upper_axis(lowest([*rates, figures["tpir"]["rate"]], 0.0)))
    band = [point for point in curve if point["low"] is not None]
    if band:
        upper = [plot.at(point["fpir"], point["high"]) for point in band]
        lower = [plot.at(point["fpir"], point["low"]) for point in reversed(band)]
        canvas.area([*upper, *lower], PALE_GREEN)
    plot.draw_axes(canvas, "strangers named (FPIR)")
    canvas.line([plot.at(point["fpir"], point["tpir"]) for point in curve], GREEN, 2)
    fpir, tpir = figures["fpir"]["rate"], figures["tpir"]["rate"]
    if fpir is not None and tpir is not None:
        _mark_rule(canvas, plot, fpir, tpir)


def draw_coverage(canvas: "Canvas", frame: Frame, figures: Figures) -> None:
    """Draw what share of names is wrong, against what share of photos gets a name, up to twice what the rule allows."""
    points = figures["coverage"]
    of = "a stranger's name is wrong" if figures["photos"]["strangers"] else "no strangers were tried"
    frame.draw(canvas, "Names that are wrong", f"the surest named first; {of}")
    wrong = figures["wrong_names"]
    most = max(point["error"] for point in points)
    highest = max(min(most, max(_MOST_ERROR, 2 * (wrong["rate"] or 0.0))), _LEAST_ERROR)
    plot = Plot(frame=frame, x=_SHARES, y=linear_axis(0.0, highest))
    plot.draw_axes(canvas, "photos named (coverage)")
    canvas.line([plot.at(*point) for point in _below(points, plot.y.high)], GREEN, 2)
    if wrong["rate"] is not None:
        _mark_rule(canvas, plot, wrong["of"] / sum(figures["photos"].values()), wrong["rate"])


def draw_reliability(canvas: "Canvas", frame: Frame, figures: Figures) -> None:
    """Draw the share of right candidates against the confidence that was stated."""
    bins = figures["reliability"]
    frame.draw(canvas, "Right as often as stated?", "share right by confidence; larger dots: more photos")
    plot = Plot(frame=frame, x=_SHARES, y=_SHARES)
    plot.draw_axes(canvas, "stated confidence")
    canvas.line([plot.at(0.0, 0.0), plot.at(1.0, 1.0)], SOFT, dashed=True)
    canvas.line([plot.at(each["confidence"], each["right"]) for each in bins], GREEN, 1.5)
    most = max(each["photos"] for each in bins)
    for each in bins:
        radius = 3.0 + 7.0 * (each["photos"] / most) ** 0.5
        canvas.dot(plot.at(each["confidence"], each["right"]), radius, GREEN)


def draw_groups(canvas: "Canvas", frame: Frame, figures: Figures) -> None:
    """Draw both rates of each group beside each other."""
    groups = figures["groups"][:GROUPS_SHOWN]
    more = len(figures["groups"]) - len(groups)
    frame.draw(canvas, "Groups", "bars: 95 % intervals" + (f"; {more} more in --json" if more else ""))
    known = [group["tpir"] for group in groups if group["tpir"]["rate"] is not None]
    strangers = [group["fpir"] for group in groups if group["fpir"]["rate"] is not None]
    columns = []
    if known:
        axis = upper_axis(lowest([value for rate in known for value in (rate["rate"], rate["low"])], 0.0))
        columns.append(("tpir", axis, "known named right", (GREEN, PALE_GREEN)))
    if strangers:
        axis = linear_axis(0.0, max([0.01, *(rate["high"] or rate["rate"] for rate in strangers)]), 3)
        columns.append(("fpir", axis, "strangers named", (ORANGE, _PALE_ORANGE)))
    names, top, bottom = (
        (0.24 if len(columns) > 1 else 0.42) * frame.width,
        frame.top + 84,
        frame.top + frame.height - 54,
    )
    step = (bottom - top) / len(groups)
    levels = [top + (number + 0.5) * step for number in range(len(groups))]
    for group, level in zip(groups, levels, strict=True):
        canvas.text((frame.left + 18, level + 4), _cut(group["name"], int(names / 8)), SMALL_PX, INK)
    width = (frame.width - names - 12) / max(len(columns), 1)
    for number, (key, axis, label, colours) in enumerate(columns):
        across = (frame.left + names + 24 + number * width, width - 56)
        _draw_scale(canvas, axis, across, (top, bottom), label)
        for group, level in zip(groups, levels, strict=True):
            _draw_group(canvas, axis, across, level, group[key], colours)


def _draw_scale(
    canvas: "Canvas", axis: Axis, across: tuple[float, float], down: tuple[float, float], name: str
) -> None:
    """Draw a small axis with lines down from its marks: all of it, or its ends where marks would touch."""
    (left, width), (top, bottom) = across, down
    ticks = axis.ticks if len(axis.ticks) * 46 < width else (axis.ticks[0], axis.ticks[-1])
    for tick in ticks:
        x = left + axis.share(tick) * width
        canvas.line([(x, top), (x, bottom)], GRID)
        canvas.text((x, bottom + 18), percent(tick), SMALL_PX, SOFT, "middle")
    canvas.text((left + width / 2, bottom + 38), name, SMALL_PX, SOFT, "middle")


def _draw_group(
    canvas: "Canvas", axis: Axis, across: tuple[float, float], y: float, rate: Figures, colours: tuple[str, str]
) -> None:
    """Draw a rate and its interval; nothing where there is no photo."""
    if rate["rate"] is None:
        return
    left, width = across

    def place(value: float) -> tuple[float, float]:
        return left + axis.share(value) * width, y

    if rate["low"] is not None:
        whisker(canvas, place(rate["low"]), place(rate["high"]), colours[1])
    canvas.dot(place(rate["rate"]), _DOT_PX, colours[0])


def _cut(name: str, letters: int) -> str:
    """Return a name that fits, without its middle: either end may be what tells it from others."""
    name = printable(name)
    half = (letters - 1) // 2
    return name if len(name) <= letters else name[: letters - 1 - half] + "\u2026" + name[-half:]


def _below(points: list[Figures], highest: float) -> list[tuple[float, float]]:
    """Return a curve's points as coverage and error, from where it comes into the panel to where it leaves it.

    It may begin above: a single wrong name among the surest few is a large share of them.
    """
    curve = [(point["coverage"], point["error"]) for point in points]
    within = [place for place, (_, y) in enumerate(curve) if y <= highest]
    if not within:
        return []
    first = within[0]
    last = next((place for place in range(first, len(curve)) if curve[place][1] > highest), len(curve))
    entry = [_crossing(curve[first - 1], curve[first], highest)] if first else []
    leaving = [_crossing(curve[last - 1], curve[last], highest)] if last < len(curve) else []
    return [*entry, *curve[first:last], *leaving]


def _crossing(one: tuple[float, float], other: tuple[float, float], y: float) -> tuple[float, float]:
    """Return where the line between two points passes a height."""
    (x1, y1), (x2, y2) = one, other
    return x1 + (x2 - x1) * (y - y1) / (y2 - y1), y


def _mark_rule(canvas: "Canvas", plot: Plot, x: float, y: float) -> None:
    """Mark where the model's own rule stands, and say beside it what the mark is."""
    across, down = plot.at(x, y)
    canvas.dot((across, down), _DOT_PX + 1, BLUE)
    on_the_left = across < plot.frame.left + 0.6 * plot.frame.width
    place = (across + 14, down + 5) if on_the_left else (across - 14, down + 5)
    canvas.text(place, "the model's rule", SMALL_PX, BLUE, "start" if on_the_left else "end")
