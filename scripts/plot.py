"""One panel of a picture of charts: its frame, axes and ticks, and from figures to places. Knows no figures itself."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.report_charts import nice_ticks

if TYPE_CHECKING:
    from scripts.canvas import Canvas

INK, SOFT, GRID, PAPER, CARD = "#1b1c1a", "#5b5d57", "#e3e0d8", "#fbfaf7", "#ffffff"
GREEN, PALE_GREEN, ORANGE, BLUE, RED = "#0d7358", "#d3e8e1", "#b4560c", "#5a6b8c", "#c0392b"
TITLE_PX, TEXT_PX, SMALL_PX = 17, 13, 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 24, 74, 54


def percent(share: float) -> str:
    """Return a share as ticks have it: 0.3 %, 98.5 %, 100 %."""
    return f"{100 * share:.4g} %"


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where a panel lies."""

    left: float
    top: float
    width: float
    height: float

    def draw(self, canvas: "Canvas", title: str, note: str) -> None:
        """Draw the panel's card, its title and what its axes show."""
        right, bottom = self.left + self.width, self.top + self.height
        canvas.area([(self.left, self.top), (right, self.top), (right, bottom), (self.left, bottom)], CARD)
        corners = [
            (self.left, self.top),
            (right, self.top),
            (right, bottom),
            (self.left, bottom),
            (self.left, self.top),
        ]
        canvas.line(corners, GRID)
        canvas.text((self.left + 18, self.top + 29), title, TITLE_PX, INK)
        canvas.text((self.left + 18, self.top + 49), note, SMALL_PX, SOFT)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A range of figures and its marks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return how far along the axis a figure lies, 0..1; beyond its ends it is kept at them."""
        low, high, at = (self._measure(each) for each in (self.low, self.high, value))
        return min(max((at - low) / (high - low), 0.0), 1.0)

    def _measure(self, value: float) -> float:
        return math.log10(max(value, 1e-9)) if self.logarithmic else value


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A panel with two axes of shares."""

    frame: Frame
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a pair of figures."""
        frame = self.frame
        width, height = frame.width - _LEFT - _RIGHT, frame.height - _TOP - _BOTTOM
        return frame.left + _LEFT + self.x.share(x) * width, frame.top + _TOP + (1.0 - self.y.share(y)) * height

    def draw_axes(
        self,
        canvas: "Canvas",
        x_name: str,
        show: Callable[[float], str] = percent,
        show_x: Callable[[float], str] | None = None,
    ) -> None:
        """Draw lines across at the ticks of y, the ticks' labels, and the name of x; that of y stands in the note.

        Args:
            canvas: what is drawn on.
            x_name: what the x axis shows.
            show: a tick's label, of both axes where `show_x` is None.
            show_x: the same of the x axis.
        """
        for tick in self.y.ticks:
            start, end = self.at(self.x.low, tick), self.at(self.x.high, tick)
            canvas.line([start, end], GRID)
            canvas.text((start[0] - 8, start[1] + 4), show(tick), SMALL_PX, SOFT, "end")
        for tick in self.x.ticks:
            x, y = self.at(tick, self.y.low)
            canvas.line([(x, y), (x, y + 5)], SOFT)
            canvas.text((x, y + 20), (show_x or show)(tick), SMALL_PX, SOFT, "middle")
        left, right = self.at(self.x.low, self.y.low), self.at(self.x.high, self.y.low)
        canvas.line([left, right], SOFT)
        canvas.text(((left[0] + right[0]) / 2, left[1] + 40), x_name, SMALL_PX, SOFT, "middle")


def linear_axis(low: float, high: float, ticks: int = 4) -> Axis:
    """Return an axis of round shares that encloses some."""
    marks = nice_ticks(low, high, ticks)
    return Axis(low=marks[0], high=marks[-1], ticks=tuple(marks))


def upper_axis(lowest: float) -> Axis:
    """Return an axis of shares up to 100 % that begins at a round one below `lowest`."""
    marks = [mark for mark in nice_ticks(min(lowest, 0.999), 1.0, 4) if mark <= 1.0]
    return Axis(low=max(marks[0], 0.0), high=1.0, ticks=tuple(mark for mark in marks if mark >= 0.0))


def log_axis(low: float) -> Axis:
    """Return a logarithmic axis from a share to 100 %, with the marks 1 and 3 of each power of ten."""
    marks = [digit * 10.0**power for power in range(-7, 0) for digit in (1, 3)]
    return Axis(low=low, high=1.0, ticks=(*(mark for mark in marks if mark >= low * 0.99), 1.0), logarithmic=True)


def whisker(canvas: "Canvas", start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """Draw an interval: a level bar from one end to the other."""
    (left, y), (right, _) = start, end
    right = max(right, left + 1.0)
    canvas.area([(left, y - 4), (right, y - 4), (right, y + 4), (left, y + 4)], colour)


def lowest(values: Sequence[float | None], otherwise: float) -> float:
    """Return the least of some figures, some of which may be missing."""
    return min((value for value in values if value is not None), default=otherwise)
