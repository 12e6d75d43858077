"""What commands print: one JSON document, or text and tables for people. Colours on terminals only.

Text out of names and paths is made harmless first: a file name must not command the reader's terminal.
"""

import io
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Nothing is elided in a file or pipe; rich would assume 80 columns there.
_WIDTH_OF_A_FILE = 10_000
_JOINERS = "\u200c\u200d"  # invisible, and part of the spelling of Persian and Indic names


def write_json(document: Any) -> None:
    """Write a document on stdout: UTF-8, strict JSON, one line end."""
    click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2))


def say(message: str) -> None:
    """Write a sentence for people on stderr, beside whatever stdout carries; wrapped between words on a terminal."""
    text = printable(message)
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
    click.echo(text, err=True)


def printable(text: str) -> str:
    r"""Return text in which every control or invisible character stands as its escape, such as `\x1b`."""
    return "".join(
        char if char.isprintable() or char in _JOINERS else char.encode("unicode_escape").decode() for char in text
    )


def make_console(file: TextIO | None = None) -> "Console":
    """Return a console that writes to `file` (stdout when None) and takes all text literally."""
    from rich.console import Console

    stream = sys.stdout if file is None else file
    if stream.isatty():
        return Console(file=stream, highlight=False, markup=False, emoji=False)
    trimmed = cast("TextIO", _TrimmedText(stream))
    return Console(file=trimmed, width=_WIDTH_OF_A_FILE, highlight=False, markup=False, emoji=False)


def make_table(columns: Sequence[str], *, title: str | None = None) -> "Table":
    """Return an empty table.

    Args:
        columns: headings; one that starts with `>` is of numbers and set right.
        title: stands above it.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False, title=title, title_justify="left"
    )
    for heading in columns:
        right = heading.startswith(">")
        table.add_column(heading.removeprefix(">"), justify="right" if right else "left", overflow="fold")
    return table


def add_row(table: "Table", *cells: Any, style: str | None = None) -> None:
    """Add a row of plain values to a table; None stands as an empty cell."""
    from rich.text import Text

    table.add_row(*(Text(printable("" if cell is None else str(cell))) for cell in cells), style=style)


def print_text(console: "Console", text: str, *, indent: int = 0) -> None:
    """Print a sentence, wrapped between words on a terminal and whole in a file."""
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding.indent(Text(printable(text), overflow="fold"), indent))


def print_fields(console: "Console", fields: Sequence[tuple[str, Any]]) -> None:
    """Print names and values below each other; a None is left out."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields:
        if value is not None:
            grid.add_row(name, Text(printable(str(value))))
    console.print(grid)


def show_time(moment: datetime | None) -> str | None:
    """Return a time as people read it, in UTC."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def show_minute(moment: datetime) -> str:
    """Return a time as tables show it, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"


def show_duration(seconds: float | None) -> str | None:
    """Return a duration as people read it: `0.8 s`, `4 min 05 s`, `3 h 20 min`."""
    if seconds is None:
        return None
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def show_share(share: float | None, digits: int = 1) -> str | None:
    """Return 0..1 as a percentage."""
    return None if share is None else f"{100 * share:.{digits}f} %"


def show_bytes(size: float) -> str:
    """Return a number of bytes in the unit that fits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def show_count(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 photo`, `1,234 photos`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def shorten(text: str, width: int) -> str:
    """Return text that fits `width`: the end of a path says more than its beginning."""
    return text if len(text) <= width else "\u2026" + text[len(text) - width + 1 :]


class _TrimmedText(io.TextIOBase):
    """Passes text on without the blanks that pad a table's last column."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        """Pass on whole lines, as rich writes them."""
        self._stream.write("\n".join(line.rstrip(" ") for line in text.split("\n")))
        return len(text)

    def flush(self) -> None:
        """Pass it on."""
        self._stream.flush()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What rich asks for to choose the lines of a table."""
        return self._stream.encoding
