"""Draws `facefleet bench query` as one picture: what pages of each filter took, beside what they are to keep to."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.plot import GREEN, INK, ORANGE, PALE_GREEN, PAPER, RED, SMALL_PX, SOFT, TEXT_PX, Axis, Frame

if TYPE_CHECKING:
    from scripts.canvas import Canvas

_WIDTH, _EDGE, _TOP, _ROW_PX = 1100, 24, 92, 22
_NAMES_PX, _HEAD_PX = 330, 92


def draw_query(file: Path, document: dict[str, Any]) -> None:
    """Write the picture; one of the same name is replaced.

    Args:
        file: with a suffix that `check_picture` lets pass.
        document: the command's JSON form.

    Raises:
        InputError: it cannot be written there.
    """
    from scripts.canvas import drawing

    filters = document["filters"]
    height = _TOP + _HEAD_PX + _ROW_PX * len(filters) + 2 * _EDGE
    title = "How long a page of results takes, by filter"
    with drawing(file, _WIDTH, height, PAPER, title) as canvas:
        canvas.text((_EDGE, 48), title, 26, INK)
        kind, machine = document["database"]["kind"], document["machine"]
        note = f"{document['rows']:,} results in {kind}, pages of {document['page']}"
        canvas.text((_EDGE, 74), f"{note}; {machine['cores']} cores, {machine['cpu']}", TEXT_PX, SOFT)
        frame = Frame(left=_EDGE, top=_TOP, width=_WIDTH - 2 * _EDGE, height=height - _TOP - _EDGE)
        frame.draw(canvas, "Milliseconds", "bar: half of all pages; line: 95 of 100; dot: the slowest")
        _draw_rows(canvas, frame, document)


def _draw_rows(canvas: "Canvas", frame: Frame, document: dict[str, Any]) -> None:
    """Draw a row for each filter on a logarithmic axis."""
    most = max(100.0, *(each["max_ms"] for each in document["filters"]))
    ticks = tuple(tick for tick in (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0) if tick <= most)
    axis = Axis(low=0.1, high=most, ticks=ticks, logarithmic=True)
    left, width = frame.left + _NAMES_PX, frame.width - _NAMES_PX - 40
    top = frame.top + _HEAD_PX
    bottom = top + _ROW_PX * len(document["filters"])

    def x(value: float) -> float:
        return left + width * axis.share(value)

    for tick in ticks:
        canvas.line([(x(tick), top - 6), (x(tick), bottom)], PALE_GREEN)
        canvas.text((x(tick), top - 12), f"{tick:g}", SMALL_PX, SOFT, "middle")
    limit = document["limit_ms"]
    canvas.line([(x(limit), top - 6), (x(limit), bottom)], RED, dashed=True)
    for number, each in enumerate(document["filters"]):
        middle = top + _ROW_PX * number + _ROW_PX / 2
        colour = ORANGE if each["filter"] in document["missed"] else GREEN
        canvas.text((left - 12, middle + 4), each["filter"], SMALL_PX, INK, "end")
        right = x(each["p50_ms"])
        canvas.area([(left, middle - 6), (right, middle - 6), (right, middle + 6), (left, middle + 6)], colour)
        canvas.line([(right, middle), (x(each["p95_ms"]), middle)], colour, 3)
        canvas.dot((x(each["max_ms"]), middle), 3.5, colour)
