"""Draws a comparison as one picture: photos a second of each contender, and how many times as fast the cluster was."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.compare import show_ratio
from scripts.output import printable
from scripts.plot import GREEN, GRID, INK, PALE_GREEN, PAPER, SMALL_PX, SOFT, TEXT_PX, Frame
from scripts.report_charts import nice_ticks

if TYPE_CHECKING:
    from scripts.canvas import Canvas

Figures = dict[str, Any]

_WIDTH, _EDGE = 1000, 24
_HEAD, _FRAME_TOP, _FRAME_BOTTOM, _ROW = 92, 74, 48, 58
_NAMES, _RATIOS = 230, 230
"""Widths of the columns left and right of the bars."""
_BAR_PX = 20
_OTHERS, _PALE_OTHERS = "#5a6b8c", "#d5dae3"


def write_comparison(file: Path, figures: Figures) -> None:
    """Write the picture; one of the same name is replaced.

    Args:
        file: .png or .svg, in a folder that is there.
        figures: the comparison's JSON form.

    Raises:
        InputError: it cannot be written there.
    """
    from scripts.canvas import drawing

    rows = len(figures["contenders"])
    frame = Frame(left=_EDGE, top=_HEAD, width=_WIDTH - 2 * _EDGE, height=_FRAME_TOP + rows * _ROW + _FRAME_BOTTOM)
    height = round(frame.top + frame.height + _EDGE + 18 * len(figures["absent"]) + 6)
    with drawing(file, _WIDTH, height, PAPER, "Photos a second") as canvas:
        _draw_head(canvas, figures)
        frame.draw(canvas, "Photos a second", "median; pale: slowest to fastest round")
        _draw_bars(canvas, frame, figures["contenders"])
        _draw_absent(canvas, frame.top + frame.height + _EDGE, figures["absent"])


def _draw_head(canvas: "Canvas", figures: Figures) -> None:
    machine = figures["machine"]
    canvas.text((_EDGE, 46), "facefleet and others on the same photos", 26, INK)
    work = (
        f"{figures['count']:,} photos a round, {figures['rounds']} rounds, faces: {figures['faces']}, "
        f"{figures['backbone']}, {figures['workers']} processes; {machine['cores']} cores, {machine['cpu']}"
    )
    canvas.text((_EDGE, 72), printable(work), TEXT_PX, SOFT)


def _draw_bars(canvas: "Canvas", frame: Frame, contenders: dict[str, Figures]) -> None:
    """Draw a bar for each contender, from zero, and its ratio at the right."""
    ticks = nice_ticks(0.0, max(each["images_per_s"]["max"] for each in contenders.values()), 5)
    left, width = frame.left + _NAMES, frame.width - _NAMES - _RATIOS
    bottom = frame.top + frame.height - _FRAME_BOTTOM

    def at(rate: float) -> float:
        return left + width * rate / ticks[-1]

    for tick in ticks:
        canvas.line([(at(tick), frame.top + _FRAME_TOP - 8), (at(tick), bottom)], GRID)
        canvas.text((at(tick), bottom + 20), f"{tick:,.0f}", SMALL_PX, SOFT, "middle")
    canvas.text((frame.left + frame.width - 18, frame.top + 49), "cluster / this", SMALL_PX, SOFT, "end")
    for row, (key, figures) in enumerate(contenders.items()):
        middle = frame.top + _FRAME_TOP + row * _ROW + _ROW / 2 - 8
        colours = (GREEN, PALE_GREEN) if key == "cluster" else (_OTHERS, _PALE_OTHERS)
        _draw_bar(canvas, (at(0.0), middle), at, figures["images_per_s"], colours)
        canvas.text((left - 12, middle + 5), figures["title"], TEXT_PX, INK, "end")
        ratio = show_ratio(figures["cluster_over"]) or "\u2013"
        canvas.text((frame.left + frame.width - 18, middle + 5), ratio, TEXT_PX, INK, "end")


def _draw_bar(canvas: "Canvas", start: tuple[float, float], at: Any, rates: Figures, colours: tuple[str, str]) -> None:
    """Draw a median as a bar, and the range of its rounds as a paler one across its end."""
    (zero, middle), (strong, pale) = start, colours
    half = _BAR_PX / 2
    _area(canvas, zero, at(rates["median"]), middle, half, strong)
    _area(canvas, at(rates["min"]), max(at(rates["max"]), at(rates["min"]) + 1), middle + half + 4, 3, pale)
    canvas.text((at(rates["median"]) + 8, middle + 5), f"{rates['median']:,.0f}", TEXT_PX, INK)


def _area(canvas: "Canvas", left: float, right: float, middle: float, half: float, colour: str) -> None:
    top, bottom = middle - half, middle + half
    canvas.area([(left, top), (right, top), (right, bottom), (left, bottom)], colour)


def _draw_absent(canvas: "Canvas", top: float, absent: list[Figures]) -> None:
    """Name those that could not run: a picture that leaves them out would say that they lost."""
    for number, each in enumerate(absent):
        text = f"Not compared: {each['title']}: {each['reason']}"
        canvas.text((_EDGE, top + number * 18), printable(text), SMALL_PX, SOFT)
