"""Where the workers of a benchmark's fleet are seen while they work: its photos are identified once more, watched."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from scripts.bench.holding import list_workers
from scripts.bench.pyspy import HotFunction, NotWatchedError, hottest_functions, watching

if TYPE_CHECKING:
    from scripts.bench.fleet import BenchFleet

__all__ = ["NotWatchedError", "Seen", "watch_workers"]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen."""

    hottest: tuple[HotFunction, ...]
    """The hottest first."""
    flame: bytes
    """An SVG picture; empty where none was asked for."""


def watch_workers(fleet: "BenchFleet", program: Path, *, drawing: bool) -> Seen:
    """Identify all photos while py-spy watches, once for the functions and once for a flame graph that is asked for.

    Twice, as a process can be watched by one only, and py-spy writes one kind of file. Of several nodes, which there
    are where there are several GPUs, the first is watched.

    Raises:
        NotWatchedError: py-spy may not look, or cannot.
    """
    pids = [row.pid for row in list_workers(fleet.database)]
    node = psutil.Process(pids[0]).ppid()
    with tempfile.TemporaryDirectory(prefix="facefleet-pyspy-") as folder:
        raw, flame = Path(folder) / "raw.txt", Path(folder) / "flame.svg"
        with watching(program, node, raw, style="raw"):
            fleet.run()
        if drawing:
            _draw(fleet, program, node, flame)
        text = raw.read_text(encoding="utf-8", errors="replace")
        hottest = hottest_functions(text, pids)
        return Seen(hottest=tuple(hottest), flame=flame.read_bytes() if drawing else b"")


def _draw(fleet: "BenchFleet", program: Path, node: int, flame: Path) -> None:
    """Draw a flame graph, with machine code where py-spy can tell it apart here."""
    try:
        with watching(program, node, flame, style="flamegraph", native=True):
            fleet.run()
    except NotWatchedError:
        with watching(program, node, flame, style="flamegraph"):
            fleet.run()
