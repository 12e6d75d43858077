"""Draws a scorecard as one picture that a person can open: key figures above, a panel for each curve below."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from scripts.output import printable, show_count, show_share
from scripts.plot import GRID, INK, PAPER, SMALL_PX, SOFT, TEXT_PX, Frame
from scripts.scorecard_panels import choose_panels
from scripts.scorecard_tables import show_fpir, show_interval

if TYPE_CHECKING:
    from scripts.canvas import Canvas

_KINDS = (".png", ".svg")
_WIDTH = 1200
_EDGE, _GAP = 24, 16
_TILES_TOP, _TILES_HEIGHT = 92, 96
_PANEL_HEIGHT = 380
_AT_FPIR = 0.01

_TILES = (
    ("rank1", "nearest person right"),
    ("tpir", "known named right"),
    ("fpir", "strangers named"),
    ("at_fpir", f"named right at FPIR {show_fpir(_AT_FPIR)}"),
    ("wrong_names", "names that are wrong"),
    ("expected_calibration_error", "confidence off by"),
)


def check_picture(file: Path | None) -> None:
    """Refuse a picture that could not be written, before anything is measured.

    Raises:
        InputError: its kind is none that is drawn, or there is no such folder.
    """
    if file is None:
        return
    if file.suffix.lower() not in _KINDS:
        raise InputError(f"{file} is neither .png nor .svg. Nothing was measured. Name a file of one of these kinds.")
    if not file.absolute().parent.is_dir():
        raise InputError(
            f"There is no folder {file.absolute().parent}. Nothing was measured. Make it, or choose another."
        )


def write_picture(file: Path, figures: dict[str, Any], *, title: str, group_by: str | None) -> None:
    """Write the picture; one of the same name is replaced.

    Args:
        file: with a suffix that `check_picture` lets pass.
        figures: the scorecard's JSON form.
        title: what was measured.
        group_by: what the groups are of.

    Raises:
        InputError: it cannot be written there.
    """
    from scripts.canvas import drawing

    panels = choose_panels(figures)
    rows = 2 if len(panels) > 3 else min(1, len(panels))
    height = _TILES_TOP + _TILES_HEIGHT + rows * (_PANEL_HEIGHT + _GAP) + _EDGE
    with drawing(file, _WIDTH, height, PAPER, f"Scorecard: {title}") as canvas:
        _draw_head(canvas, figures, title, group_by)
        _draw_tiles(canvas, figures)
        across = 2 if rows == 2 else max(len(panels), 1)
        width = (_WIDTH - 2 * _EDGE - (across - 1) * _GAP) / across
        for number, draw in enumerate(panels):
            row, column = divmod(number, across)
            left = _EDGE + column * (width + _GAP)
            top = _TILES_TOP + _TILES_HEIGHT + _GAP + row * (_PANEL_HEIGHT + _GAP)
            draw(canvas, Frame(left=left, top=top, width=width, height=_PANEL_HEIGHT), figures)


def _draw_head(canvas: "Canvas", figures: dict[str, Any], title: str, group_by: str | None) -> None:
    """Write what was measured, and on what."""
    photos, people = figures["photos"], figures["people"]
    known = f"{show_count(photos['known'], 'photo')} of {show_count(people['known'], 'known person', 'known people')}"
    strangers = f"{show_count(photos['strangers'], 'photo')} of {show_count(people['strangers'], 'stranger')}"
    if not photos["strangers"]:
        strangers = "no strangers"
    groups = f"; groups by {printable(group_by)}" if group_by else ""
    canvas.text((_EDGE, 50), f"Scorecard: {printable(title)}", 26, INK)
    canvas.text((_EDGE, 76), f"{known}, {strangers}{groups}. In brackets: 95 % intervals.", TEXT_PX, SOFT)


def _draw_tiles(canvas: "Canvas", figures: dict[str, Any]) -> None:
    """Write the key figures beside each other."""
    width = (_WIDTH - 2 * _EDGE) / len(_TILES)
    for number, (key, label) in enumerate(_TILES):
        left = _EDGE + number * width
        figure = _find(figures, key)
        canvas.line([(left, _TILES_TOP + 8), (left, _TILES_TOP + _TILES_HEIGHT - 8)], GRID, 2)
        canvas.text((left + 14, _TILES_TOP + 24), label, SMALL_PX, SOFT)
        canvas.text((left + 14, _TILES_TOP + 58), show_share(figure["rate"]) or "\u2013", 26, INK)
        ends = figure["none"] if figure["rate"] is None else show_interval(figure) or "too few people"
        canvas.text((left + 14, _TILES_TOP + 80), f"({ends})", SMALL_PX, SOFT)


def _find(figures: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a figure with its interval, and what to say where there is none."""
    if key == "at_fpir":
        at = next(each for each in figures["tpir_at_fpir"] if each["fpir"] == _AT_FPIR)
        rate = at["tpir"] or {"rate": None, "low": None, "high": None}
        return {**rate, "none": f"needs {at['strangers_needed']:,} strangers"}
    figure = figures[key]
    return {**figure, "rate": figure["rate"] if "rate" in figure else figure["value"], "none": "no photos"}
