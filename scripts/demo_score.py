"""Scores a job against known truth: who was named right, named wrongly, or refused.

Owns the words and the counting. Knows no queue, no database and no page.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.records import ItemOutcome


class ProbeOutcome(StrEnum):
    """How one photo ended, seen by somebody who knows the truth."""

    NAMED_RIGHT = "named_right"  # the name given is the person's
    NAMED_WRONG = "named_wrong"  # a name was given and it is another's; any name, for a stranger
    REFUSED = "refused"  # no name was given
    UNREADABLE = "unreadable"  # the photo could not be used


@dataclass(frozen=True, kw_only=True)
class ScoredPhoto:
    """One photo, what is true of it and what was said of it."""

    uri: str
    truth: str | None
    """Whom it shows; None for a stranger."""
    outcome: ProbeOutcome
    person: str | None = None
    """The name given."""
    candidate: str | None = None
    """The nearest person, also when refused."""
    similarity: float | None = None
    """Similarity to the nearest person, -1..1."""
    confidence: float | None = None
    """Stated probability that the nearest person is right, 0..1."""
    error: str | None = None
    """Why it is unreadable."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How often the people of the gallery were recognised in photos that were not learned from."""

    probes: int
    named_right: int
    refused: int
    named_wrong: int
    unreadable: int
    nearest_right: int
    """Probes whose nearest person is the right one, named or not."""

    @property
    def rank1(self) -> float | None:
        """Share of the readable probes whose nearest person is right; None without any."""
        return share(self.nearest_right, self.probes - self.unreadable)


@dataclass(frozen=True, kw_only=True)
class Strangers:
    """How often people who are not in the gallery got a name."""

    total: int
    refused: int
    named: int
    unreadable: int


@dataclass(frozen=True, kw_only=True)
class PersonScore:
    """One person's line."""

    name: str
    train_photos: int
    probes: int
    named_right: int
    refused: int
    named_wrong: int
    unreadable: int

    def trouble(self) -> int:
        """Return how much there is to look at: a wrong name weighs twice a refusal."""
        return 2 * self.named_wrong + self.refused


def score_row(row: Mapping[str, Any], truth: str | None) -> ScoredPhoto:
    """Judge one result row, as `db.results.iter_results` yields it."""
    error = row["error"]
    return ScoredPhoto(
        uri=row["uri"],
        truth=truth,
        outcome=_judge(row["outcome"], row["person"], truth),
        person=row["person"],
        candidate=row["candidate"],
        similarity=row["similarity"],
        confidence=row["confidence"],
        error=error["message"] if error else None,
    )


def count_probes(photos: Iterable[ScoredPhoto]) -> Accuracy:
    """Count the photos of people; strangers among `photos` are passed over."""
    probes = [photo for photo in photos if photo.truth is not None]
    return Accuracy(
        probes=len(probes),
        named_right=_count(probes, ProbeOutcome.NAMED_RIGHT),
        refused=_count(probes, ProbeOutcome.REFUSED),
        named_wrong=_count(probes, ProbeOutcome.NAMED_WRONG),
        unreadable=_count(probes, ProbeOutcome.UNREADABLE),
        nearest_right=sum(photo.candidate == photo.truth for photo in probes),
    )


def count_strangers(photos: Iterable[ScoredPhoto]) -> Strangers:
    """Count the photos of strangers; the others are passed over."""
    strangers = [photo for photo in photos if photo.truth is None]
    return Strangers(
        total=len(strangers),
        refused=_count(strangers, ProbeOutcome.REFUSED),
        named=_count(strangers, ProbeOutcome.NAMED_WRONG),
        unreadable=_count(strangers, ProbeOutcome.UNREADABLE),
    )


def score_people(photos: Iterable[ScoredPhoto], train_photos: Mapping[str, int]) -> list[PersonScore]:
    """Return a line for everybody in `train_photos`, in its order.

    Args:
        photos: scored photos; strangers are passed over.
        train_photos: how many photos of each person were learned from.
    """
    by_person: dict[str, list[ScoredPhoto]] = {name: [] for name in train_photos}
    for photo in photos:
        if photo.truth is not None:
            by_person[photo.truth].append(photo)
    return [
        PersonScore(
            name=name,
            train_photos=train_photos[name],
            probes=len(probes),
            named_right=_count(probes, ProbeOutcome.NAMED_RIGHT),
            refused=_count(probes, ProbeOutcome.REFUSED),
            named_wrong=_count(probes, ProbeOutcome.NAMED_WRONG),
            unreadable=_count(probes, ProbeOutcome.UNREADABLE),
        )
        for name, probes in by_person.items()
    ]


def share(part: int, whole: int) -> float | None:
    """Return part / whole; None of nothing."""
    return part / whole if whole else None


def likely_range(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson 1927), which holds for few photos and for none or all.

    Args:
        part: how many, 0 <= part <= whole.
        whole: out of how many, > 0.
    """
    z = 1.96
    rate = part / whole
    scale = 1 + z * z / whole
    middle = (rate + z * z / (2 * whole)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / whole + z * z / (4 * whole * whole))
    return max(0.0, middle - half), min(1.0, middle + half)


def _judge(outcome: str, person: str | None, truth: str | None) -> ProbeOutcome:
    if outcome == ItemOutcome.ERROR:
        return ProbeOutcome.UNREADABLE
    if person is None:
        return ProbeOutcome.REFUSED
    return ProbeOutcome.NAMED_RIGHT if person == truth else ProbeOutcome.NAMED_WRONG


def _count(photos: list[ScoredPhoto], outcome: ProbeOutcome) -> int:
    return sum(photo.outcome is outcome for photo in photos)
