"""Live progress on stderr, when stderr is a terminal; nothing at all otherwise."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from scripts.output import make_console, print_text, say, show_bytes

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


# The time over which a rate is taken: of photos, and of epochs, each of which may take a minute.
_QUICK_S = 30.0
_SLOW_S = 600.0
_BYTES = "bytes"


class Bar(Protocol):
    """What a command tells about how far it is."""

    def update(self, *, done: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Show progress; a None leaves what is shown as it is."""

    def say(self, message: str) -> None:
        """Say a sentence without disturbing the bar."""


class _NoBar:
    """Where nobody looks."""

    def update(self, *, done: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Show nothing."""

    def say(self, message: str) -> None:
        """Say it on stderr."""
        say(message)


class _RichBar:
    """One line that moves."""

    def __init__(self, progress: "Progress", label: str, total: float | None) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=total, note="")

    def update(self, *, done: float | None = None, total: float | None = None, note: str | None = None) -> None:
        """Redraw the line."""
        fields: dict[str, Any] = {} if note is None else {"note": note}
        self._progress.update(self._task, completed=done, total=total, **fields)

    def say(self, message: str) -> None:
        """Say it above the line."""
        print_text(self._progress.console, message)


@contextmanager
def show_progress(
    label: str, total: float | None = None, *, unit: str | None = None, rate: bool = True
) -> Iterator[Bar]:
    """Show a bar while the block runs; it is gone afterwards.

    Args:
        label: what is going on.
        total: how much there is to do; None when it is not known (yet).
        unit: what is counted (`photos`, `bytes`); with neither this nor a total, only a spinner is shown.
        rate: whether to show how many of the unit a second; without, each may take a while.
    """
    if not sys.stderr.isatty():
        yield _NoBar()
        return
    from rich.progress import Progress

    console = make_console(sys.stderr)
    columns = _columns(total, unit, rate=rate and unit is not None)
    period_s = _QUICK_S if rate else _SLOW_S
    with Progress(*columns, console=console, transient=True, speed_estimate_period=period_s) as progress:
        yield _RichBar(progress, label, total)


def _columns(total: float | None, unit: str | None, *, rate: bool) -> list["ProgressColumn"]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    if total is not None or unit is not None:
        amount = DownloadColumn(binary_units=True) if unit == _BYTES else MofNCompleteColumn()
        columns += [BarColumn(bar_width=20), amount]
    if rate and unit is not None:
        columns.append(_rate_column(unit))
    elif unit is not None:
        columns.append(TextColumn(unit))
    if total is not None or unit is not None:
        columns += [TextColumn("ETA", style="dim"), TimeRemainingColumn(compact=True)]
    columns.append(TextColumn("{task.fields[note]}", markup=False, style="dim"))
    return columns


def _rate_column(unit: str) -> "ProgressColumn":
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        """How fast it goes."""

        def render(self, task: Task) -> Text:
            speed = task.speed or 0.0
            if unit == _BYTES:
                return Text(f"{show_bytes(speed)}/s")
            return Text(f"{speed:,.0f} {unit}/s" if speed >= 10 else f"{speed:.1f} {unit}/s")

    return Rate()
