"""Writes the demo's report: one HTML file that stands alone, with its pictures and charts inside and no script.

Owns what stands on the page and how much of it; scripts/templates/report.html.j2 owns how it looks.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.models.manifest import Manifest
from core.records import EpochProgress, Skipped
from scripts import report_charts
from scripts.demo_score import (
    PersonScore,
    ProbeOutcome,
    ScoredPhoto,
    count_probes,
    count_strangers,
    likely_range,
    share,
)
from scripts.output import show_duration
from scripts.report_pictures import Thumbnails

_TEMPLATES = Path(__file__).parent / "templates"
_THUMBNAIL_PX, _PORTRAIT_PX = 128, 64
# At 2-4 kB a thumbnail these keep the page below 2 MB for any number of photos, and below 5 MB were they all noise.
_MOST_MISTAKES = 60  # each with a picture of the person it was taken for
_MOST_REFUSED = 45
_MOST_NAMED = 36
_MOST_STRANGERS = 18
_MOST_PEOPLE = 200
_MOST_LEFT_OUT = 100


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """How long each part took, in seconds."""

    start: float
    """Until the fleet was ready."""
    photos: float
    """Drawing or sorting the photos."""
    people: float
    """Importing the labelled photos."""
    training: float
    """From the doorbell until the model served."""
    identification: float
    """From submitting the job until its last result."""
    total: float


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that the page tells."""

    made_at: datetime
    """Aware time."""
    drawn: bool
    """Whether the faces are the drawn ones of the sample."""
    source: str
    """Where the photos are from, for people."""
    photos: Sequence[ScoredPhoto]
    people: Sequence[PersonScore]
    portraits: Mapping[str, str]
    """Name -> URI of a photo that was learned from."""
    model_version: str
    model_sha256: str
    manifest: Manifest
    epochs: Sequence[EpochProgress]
    """At least one."""
    seconds: Seconds
    workers: int
    failed: Sequence[Skipped] = ()
    """What could not be used and should be looked at."""
    skipped: Sequence[Skipped] = ()
    """What was passed over as no photo of anybody."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One photo on the page."""

    photo: ScoredPhoto
    picture: str | None
    """data URI; None when the photo cannot be shown."""
    portrait: str | None = None
    """The nearest person, as a data URI."""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Some of the photos that ended in one way."""

    cards: Sequence[Card]
    total: int


def write_report(data: ReportData, thumbnails: Thumbnails, path: Path) -> None:
    """Write the page, whole or not at all; a file that was there is replaced.

    Raises:
        OSError: the page cannot be written.
    """
    text = render_report(data, thumbnails)
    descriptor, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(staged).chmod(0o644)
        Path(staged).replace(path)
    finally:
        Path(staged).unlink(missing_ok=True)


def render_report(data: ReportData, thumbnails: Thumbnails) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _unbroken(percent),
        "similarity": _similarity,
        "number": _number,
        "duration": _unbroken(show_duration),
    }
    return environment.get_template("report.html.j2").render(_context(data, thumbnails)).lstrip()


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share for people. What is not all is never shown as 100 %, what is not nothing never as 0 %."""
    if value is None:
        return "–"
    least = 10.0**-digits
    shown = round(value * 100, digits)
    if shown in (0.0, 100.0) and value not in (0.0, 1.0):
        return f"> {100 - least:g} %" if shown else f"< {least:g} %"
    return f"{shown:g} %"


def _unbroken(write: Callable[..., str | None]) -> Callable[..., str]:
    """Return a filter that writes as `write` does, with spaces at which no line is broken."""
    return lambda *values: (write(*values) or "–").replace(" ", "\u00a0")


def _range(part: int, whole: int) -> str | None:
    """Write the likely range of a share; None of nothing."""
    if not whole:
        return None
    low, high = likely_range(part, whole)
    return f"{low * 100:.0f}–{high * 100:.0f}\u00a0%"


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _similarity(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _sentence(text: str) -> str:
    """Return text with a capital at its start and a full stop at its end."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _context(data: ReportData, thumbnails: Thumbnails) -> dict[str, Any]:
    """Collect what the template speaks of."""
    accuracy, strangers = count_probes(data.photos), count_strangers(data.photos)
    scored = accuracy.probes + strangers.total
    return {
        "data": data,
        "accuracy": accuracy,
        "strangers": strangers,
        "right_range": _range(accuracy.named_right, accuracy.probes),
        "named_range": _range(strangers.named, strangers.total),
        "share": share,
        "galleries": _galleries(data, thumbnails),
        "charts": (report_charts.loss_chart(data.epochs), report_charts.accuracy_chart(data.epochs)),
        "histogram": _histogram(data),
        "view": report_charts,
        "people": _people(data, thumbnails),
        "basis": _sentence(data.manifest.rule.basis),
        "images_per_s": scored / data.seconds.identification if data.seconds.identification else None,
        "left_out": [*data.failed, *data.skipped][:_MOST_LEFT_OUT],
    }


def _galleries(data: ReportData, thumbnails: Thumbnails) -> dict[str, Gallery]:
    """Choose which photos are shown: every mistake while there is room, and some of what went well."""
    probes = [photo for photo in data.photos if photo.truth is not None]
    strangers = [photo for photo in data.photos if photo.truth is None]

    def choose(photos: Sequence[ScoredPhoto], outcome: ProbeOutcome, most: int, pair: bool = False) -> Gallery:
        chosen = [photo for photo in photos if photo.outcome is outcome]
        cards = [_card(photo, data, thumbnails, pair=pair) for photo in _spread_out(chosen, most)]
        return Gallery(cards=cards, total=len(chosen))

    return {
        "wrong": choose(probes, ProbeOutcome.NAMED_WRONG, _MOST_MISTAKES, pair=True),
        "strangers_named": choose(strangers, ProbeOutcome.NAMED_WRONG, _MOST_MISTAKES, pair=True),
        "refused": choose(probes, ProbeOutcome.REFUSED, _MOST_REFUSED),
        "right": choose(probes, ProbeOutcome.NAMED_RIGHT, _MOST_NAMED),
        "strangers_refused": choose(strangers, ProbeOutcome.REFUSED, _MOST_STRANGERS),
    }


def _card(photo: ScoredPhoto, data: ReportData, thumbnails: Thumbnails, *, pair: bool) -> Card:
    known = data.portraits.get(photo.candidate or "")
    return Card(
        photo=photo,
        picture=thumbnails.make(photo.uri, _THUMBNAIL_PX),
        portrait=thumbnails.make(known, _THUMBNAIL_PX) if pair and known else None,
    )


def _spread_out(photos: Sequence[ScoredPhoto], most: int) -> list[ScoredPhoto]:
    """Take at most `most` photos, evenly from first to last."""
    if len(photos) <= most:
        return list(photos)
    return [photos[number * len(photos) // most] for number in range(most)]


def _people(data: ReportData, thumbnails: Thumbnails) -> list[tuple[PersonScore, str | None]]:
    """The people with their portraits; those with most mistakes first when there are too many to show."""
    people = list(data.people)
    if len(people) > _MOST_PEOPLE:
        people = sorted(people, key=PersonScore.trouble, reverse=True)[:_MOST_PEOPLE]
    return [
        (person, thumbnails.make(data.portraits[person.name], _PORTRAIT_PX) if person.name in data.portraits else None)
        for person in people
    ]


def _histogram(data: ReportData) -> report_charts.Histogram | None:
    """The similarities of people and strangers; None when no photo could be read."""
    known = [photo.similarity for photo in data.photos if photo.truth is not None and photo.similarity is not None]
    strangers = [photo.similarity for photo in data.photos if photo.truth is None and photo.similarity is not None]
    if not known:
        return None
    return report_charts.similarity_histogram(known, strangers, data.manifest.rule.threshold)
