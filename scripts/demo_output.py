"""What the demo says: its steps while they go on, and its figures at the end, for people and as JSON."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.records import Skipped
from scripts.demo_score import PersonScore, count_probes, count_strangers, share
from scripts.output import add_row, make_console, make_table, printable, show_duration
from scripts.report import ReportData, percent

if TYPE_CHECKING:
    from rich.console import Console

_MOST_PEOPLE = 40
_MOST_LEFT_OUT = 10


class Step:
    """One step of the story, timed from its making."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.seconds = 0.0
        """How long it took, once it has ended."""
        self.end = ""
        """What came of it, in a few words."""

    def elapsed(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self._began


class Narrator:
    """Says on stderr what is going on: a numbered line when a step begins, and what came of it when it ends."""

    def __init__(self, steps: int) -> None:
        self._console = make_console(sys.stderr)
        self._steps = steps
        self._number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Announce a step and time it; it ends with the block."""
        self._number += 1
        self._console.print(f"{self._number}/{self._steps}  {printable(title)}", style="bold", soft_wrap=True)
        step = Step()
        yield step
        step.seconds = step.elapsed()
        said = f"{printable(step.end)}, " if step.end else ""
        self._console.print(f"     {said}{show_duration(step.seconds)}", soft_wrap=True)


def summary_document(data: ReportData, report: Path, home: Path | None) -> dict[str, Any]:
    """Return every figure as JSON values; shares are 0..1."""
    accuracy, strangers = count_probes(data.photos), count_strangers(data.photos)
    rule, tried = data.manifest.rule, accuracy.probes + strangers.total
    return {
        "people": len(data.people),
        "train_photos": sum(person.train_photos for person in data.people),
        "accuracy": {
            "probes": accuracy.probes,
            "named_right": accuracy.named_right,
            "refused": accuracy.refused,
            "named_wrong": accuracy.named_wrong,
            "unreadable": accuracy.unreadable,
            "rank1": accuracy.rank1,
        },
        "strangers": {
            "total": strangers.total,
            "refused": strangers.refused,
            "named": strangers.named,
            "unreadable": strangers.unreadable,
        },
        "model": {
            "version": data.model_version,
            "sha256": data.model_sha256,
            "backbone": data.manifest.backbone,
            "recipe": data.manifest.recipe,
            "epochs": len(data.epochs),
            "dataset_digest": data.manifest.dataset_digest,
            "threshold": rule.threshold,
            "margin": rule.margin,
            "fpir_target": rule.fpir_target,
            "basis": rule.basis,
        },
        "seconds": {name: round(value, 3) for name, value in vars(data.seconds).items()},
        "images_per_s": round(tried / data.seconds.identification, 2),
        "failed": [vars(entry) for entry in data.failed],
        "skipped": [vars(entry) for entry in data.skipped],
        "report": str(report.absolute()),
        "home": str(home) if home else None,
    }


def print_summary(console: "Console", data: ReportData, report: Path) -> None:
    """Print the figures, the people, what was left out, and where to look next."""
    console.print()
    _print_outcomes(console, data)
    console.print()
    _print_people(console, data.people)
    _print_left_out(console, "Could not be used", data.failed)
    _print_left_out(console, "Passed over", data.skipped)
    console.print(f"\nReport: {printable(str(report.absolute()))}", soft_wrap=True)
    if data.drawn:
        console.print("With your own photos: facefleet demo --photos DIR, with DIR/<person>/<image>", soft_wrap=True)


def _print_outcomes(console: "Console", data: ReportData) -> None:
    accuracy, strangers = count_probes(data.photos), count_strangers(data.photos)
    table = make_table(["New photos of", "Outcome", ">Photos", ">Share"])
    rows = [
        ("known people", "named right", accuracy.named_right, accuracy.probes),
        ("", "refused", accuracy.refused, accuracy.probes),
        ("", "named wrong", accuracy.named_wrong, accuracy.probes),
        ("", "unreadable", accuracy.unreadable, accuracy.probes),
        ("strangers", "refused", strangers.refused, strangers.total),
        ("", "named", strangers.named, strangers.total),
        ("", "unreadable", strangers.unreadable, strangers.total),
    ]
    for whose, outcome, count, whole in rows:
        if whole and (count or outcome != "unreadable"):
            add_row(table, whose, outcome, f"{count:,}", percent(share(count, whole)))
    console.print(table)
    readable = accuracy.probes - accuracy.unreadable
    console.print(
        f"Nearest person right, named or not (rank-1): {accuracy.nearest_right:,} of {readable:,}, "
        f"{percent(accuracy.rank1)}",
        soft_wrap=True,
    )


def _print_people(console: "Console", people: Sequence[PersonScore]) -> None:
    """Print a line a person; where there are many, those with most mistakes."""
    shown = (
        sorted(people, key=PersonScore.trouble, reverse=True)[:_MOST_PEOPLE] if len(people) > _MOST_PEOPLE else people
    )
    table = make_table(["Person", ">Learned from", ">Tried", ">Right", ">Refused", ">Wrong"])
    for person in shown:
        figures = (person.train_photos, person.probes, person.named_right, person.refused, person.named_wrong)
        add_row(table, person.name, *(f"{figure:,}" for figure in figures))
    console.print(table)
    if len(shown) < len(people):
        console.print(f"{len(shown)} of {len(people):,} people: those with most mistakes.")


def _print_left_out(console: "Console", heading: str, entries: Sequence[Skipped]) -> None:
    if not entries:
        return
    console.print(f"\n{heading}: {len(entries):,}")
    for entry in entries[:_MOST_LEFT_OUT]:
        console.print(printable(f"  {entry.name}: {entry.reason}"), soft_wrap=True)
    if len(entries) > _MOST_LEFT_OUT:
        console.print(f"  and {len(entries) - _MOST_LEFT_OUT:,} more; the report lists them.")
