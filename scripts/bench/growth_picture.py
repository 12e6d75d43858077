"""Draws `facefleet bench growth` as one picture: a photo's cost by the size of its job, and memory over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.plot import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    SMALL_PX,
    SOFT,
    TEXT_PX,
    Axis,
    Frame,
    Plot,
    linear_axis,
)

if TYPE_CHECKING:
    from scripts.canvas import Anchor, Canvas

_WIDTH, _HEIGHT = 1320, 500
_TOP, _EDGE, _GAP = 92, 24, 16
_PARTS = (
    ("identify", "Identifying a photo, µs", "green: computing of all processes; blue: by the clock"),
    ("submit", "Submitting a photo, µs", "green: computing of who submits; blue: by the clock"),
)
_KINDS = (("computing", GREEN), ("wall", BLUE))
_PLACES: tuple[tuple[tuple[float, float], "Anchor"], ...] = (((-7, 18), "end"), ((7, -9), "start"))
"""Where a ratio stands beside the lower dot, and beside the upper one: off the lines, which mostly fall."""
_WORKERS = (GREEN, BLUE, ORANGE, SOFT)
_MIB = 2**20


def draw_growth(file: Path, document: dict[str, Any]) -> None:
    """Write the picture; one of the same name is replaced.

    Args:
        file: with a suffix that `check_picture` lets pass.
        document: the command's JSON form.

    Raises:
        InputError: it cannot be written there.
    """
    from scripts.canvas import drawing

    title = "What a photo costs by the size of its job, and what workers hold"
    with drawing(file, _WIDTH, _HEIGHT, PAPER, title) as canvas:
        canvas.text((_EDGE, 48), title, 26, INK)
        database, machine = document["database"], document["machine"]
        note = f"{document['ledger_photos']:,} photos in one {database['kind']} ledger, {document['workers']} workers, "
        canvas.text(
            (_EDGE, 74), f"{note}{machine['backbone']}; {machine['cores']} cores, {machine['cpu']}", TEXT_PX, SOFT
        )
        width, height = (_WIDTH - 2 * _EDGE - 2 * _GAP) / 3, _HEIGHT - _TOP - _EDGE
        frames = [
            Frame(left=_EDGE + number * (width + _GAP), top=_TOP, width=width, height=height) for number in range(3)
        ]
        for frame, (part, name, kinds) in zip(frames, _PARTS, strict=False):
            frame.draw(canvas, name, kinds)
            _draw_costs(canvas, frame, document["sizes"], part)
        _draw_memory(canvas, frames[-1], document)


def _draw_costs(canvas: "Canvas", frame: Frame, sizes: Sequence[dict[str, Any]], part: str) -> None:
    """Draw what a photo costs by the size of its job, by the clock and in computing, with the range of the rounds."""
    most = max(size[part][f"{kind}_us"]["max"] for size in sizes for kind, _ in _KINDS)
    counts = [size["count"] for size in sizes]
    plot = Plot(frame=frame, x=_sizes_axis(counts), y=linear_axis(0.0, most))
    x_name = "photos of the job; beside a dot: times a small job's"
    plot.draw_axes(canvas, x_name, lambda us: f"{us:g}", lambda count: f"{count:,.0f}")
    for kind, colour in _KINDS:
        canvas.line([plot.at(size["count"], size[part][f"{kind}_us"]["median"]) for size in sizes], colour, 2)
    for size in sizes:
        for number, (kind, colour) in enumerate(sorted(_KINDS, key=lambda of: size[part][f"{of[0]}_us"]["median"])):
            figures, ratio = size[part][f"{kind}_us"], size[part][f"{kind}_ratio"]
            canvas.line([plot.at(size["count"], figures["min"]), plot.at(size["count"], figures["max"])], colour, 2)
            x, y = plot.at(size["count"], figures["median"])
            canvas.dot((x, y), 4.5, colour)
            if ratio is not None:  # the lower of the two dots has it below, so that neither covers the other's
                place, anchor = _PLACES[number]
                canvas.text((x + place[0], y + place[1]), f"{ratio['median']:.2f}", SMALL_PX, colour, anchor)


def _sizes_axis(counts: Sequence[int]) -> Axis:
    """Return a logarithmic axis with a mark at each size, and room beside the first and the last."""
    return Axis(low=counts[0] / 2, high=2 * counts[-1], ticks=tuple(map(float, counts)), logarithmic=True)


def _draw_memory(canvas: "Canvas", frame: Frame, document: dict[str, Any]) -> None:
    """Draw what each worker holds over time: while it was watched, or else between the jobs."""
    watch = document["watch"]
    if watch is not None:
        note = "of each worker alone, at work; growth from the dashed line on"
        times = [reading["at_s"] / 60 for reading in watch["readings"]]
        rows = [reading["unique_bytes"] for reading in watch["readings"]]
    else:
        note = "of each worker alone, between two jobs"
        times = [job["at_s"] / 60 for job in document["jobs"]]
        rows = [[after for _, after in job["unique_bytes"]] for job in document["jobs"]]
    frame.draw(canvas, "Memory, MiB", note)
    lines = _lines(times, rows)
    most = max((y for line in lines for _, y in line), default=1.0)
    plot = Plot(frame=frame, x=linear_axis(0.0, max(times)), y=linear_axis(0.0, most))
    plot.draw_axes(canvas, "minutes", lambda value: f"{value:g}")
    if watch is not None:
        start = watch["warm_up_s"] / 60
        canvas.line([plot.at(start, plot.y.low), plot.at(start, plot.y.high)], SOFT, dashed=True)
    for number, line in enumerate(lines):
        colour = _WORKERS[number % len(_WORKERS)]
        canvas.line([plot.at(*point) for point in line], colour, 2)
        if watch is not None and watch["workers"][number]["unique_bytes"]["per_hour"] is not None:
            _label(canvas, plot, number, watch["workers"][number]["unique_bytes"], colour)


def _label(canvas: "Canvas", plot: Plot, number: int, trend: dict[str, Any], colour: str) -> None:
    """Say below the lines how fast one of them rises."""
    x, y = plot.at(plot.x.high, plot.y.low)
    text = f"{100 * trend['per_hour']:+.2f} % an hour (± {100 * trend['error']:.2f})"
    canvas.text((x, y - 12 - 18 * number), text, SMALL_PX, colour, "end")


def _lines(times: Sequence[float], rows: Sequence[Sequence[int | None]]) -> list[list[tuple[float, float]]]:
    """Return the line of each worker in MiB by time, without the moments at which it was not there."""
    workers = min(map(len, rows))
    return [
        [(at, held / _MIB) for at, row in zip(times, rows, strict=True) if (held := row[number]) is not None]
        for number in range(workers)
    ]
