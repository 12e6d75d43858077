"""Result rows as a table for people, page by page: widths come from the first page, so any number of rows streams.

rich lays a row out in a millisecond, which is too slow for a million of them; these lines are padded by hand.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from core.records import FaceOutcome, ItemOutcome, Verdict
from scripts.output import printable, shorten

if TYPE_CHECKING:
    from scripts.result_formats import Row

_PAGE = 500
# A terminal narrower than this shows no nearest person: that column is in every other format.
_WIDE = 110
_FEWEST_OF_A_PATH = 12
_MOST_OF_A_NAME = 20
_GAP = "  "
_COLOURS = {
    FaceOutcome.IDENTIFIED: "green",
    FaceOutcome.UNKNOWN: "yellow",
    FaceOutcome.AMBIGUOUS: "yellow",
    FaceOutcome.LOW_QUALITY: "yellow",
    ItemOutcome.ERROR: "red",
}
_HEADINGS = ("Photo", "Outcome", "Person", "Nearest", "Similarity", "Confidence", "Model")
_NEAREST = _HEADINGS.index("Nearest")
_RIGHT = {"Similarity", "Confidence"}


def write_table(rows: "Iterable[Row]", file: TextIO) -> int:
    """Write a table; return the number of rows. Nothing is shortened where no terminal is."""
    terminal_width = shutil.get_terminal_size().columns if file.isatty() else None
    layout: _Layout | None = None
    page: list[Row] = []
    count = 0
    for row in rows:
        page.append(row)
        count += 1
        if len(page) == _PAGE:
            layout = _write_page(page, layout, terminal_width, file)
            page = []
    if page:
        _write_page(page, layout, terminal_width, file)
    file.flush()
    return count


class _Layout:
    """The columns of a table and their widths."""

    def __init__(self, cells: Sequence[Sequence[str]], terminal_width: int | None) -> None:
        self.terminal_width = terminal_width
        self.wide = terminal_width is None or terminal_width >= _WIDE
        self.coloured = terminal_width is not None and not os.environ.get("NO_COLOR")
        self.headings = self.choose(_HEADINGS)
        columns = zip(self.headings, *map(self.choose, cells), strict=True)
        self.widths = [max(map(_cell_length, column)) for column in columns]
        if terminal_width is not None:
            self._fit(terminal_width)

    def choose(self, cells: Sequence[str]) -> list[str]:
        """Return the cells that this layout shows."""
        return [cell for number, cell in enumerate(cells) if self.wide or number != _NEAREST]

    def line(self, cells: Sequence[str], colour: str | None = None) -> str:
        """Return a row as text."""
        padded = [self._pad(*column) for column in zip(self.headings, cells, self.widths, strict=True)]
        if colour and self.coloured:
            padded[1] = click.style(padded[1], fg=colour)
        return _GAP.join(padded).rstrip()

    def _fit(self, terminal_width: int) -> None:
        """Shorten long names, then let the photo have what the others leave."""
        self.widths[2:-3] = [min(width, _MOST_OF_A_NAME) for width in self.widths[2:-3]]
        others = sum(self.widths[1:]) + len(_GAP) * (len(self.widths) - 1)
        self.widths[0] = max(_FEWEST_OF_A_PATH, min(self.widths[0], terminal_width - others))

    def _pad(self, heading: str, cell: str, width: int) -> str:
        if self.terminal_width is not None and len(cell) > width:
            cell = shorten(cell, width) if heading == "Photo" else cell[: width - 1] + "…"
        blanks = " " * (width - _cell_length(cell))
        return blanks + cell if heading in _RIGHT else cell + blanks


def _write_page(page: "list[Row]", layout: _Layout | None, terminal_width: int | None, file: TextIO) -> _Layout:
    """Write a page, the first one with the headings; return the layout for the others."""
    cells = [_cells(row) for row in page]
    if layout is None:
        layout = _Layout(cells, terminal_width)
        rule = "─" * (sum(layout.widths) + len(_GAP) * (len(layout.widths) - 1))
        file.write(f"{layout.line(layout.headings)}\n{rule}\n")
    lines = (
        layout.line(layout.choose(line), _COLOURS.get(row["outcome"])) for row, line in zip(page, cells, strict=True)
    )
    file.write("\n".join(lines) + "\n")
    return layout


def _cells(row: "Row") -> list[str]:
    """Return a row as people read it. A nearest person who was refused never stands under `Person`."""
    outcome = row["outcome"] + (f" ({row['error']['code']})" if row["error"] else "")
    similarity = None if row["similarity"] is None else f"{row['similarity']:.3f}"
    confidence = None if row["confidence"] is None else f"{100 * row['confidence']:.1f} %"
    if row["label"] and row["label"]["verdict"] == Verdict.IS:
        confidence = "label"  # a person said so
    texts: list[Any] = [row["uri"], outcome, row["person"], row["candidate"], similarity, confidence, row["model"]]
    return [printable(text or "") for text in texts]


def _cell_length(text: str) -> int:
    """Return how many columns of a terminal a text takes; Chinese characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
