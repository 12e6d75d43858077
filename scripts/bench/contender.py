"""What the comparison compares: ways to identify the same photos, and ways that cannot be tried on this machine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import NamedTuple, Protocol

INSTALL_COMMAND = "pip install '.[bench]'"
"""Typed in a checkout; brings what the contenders of others stand on."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a contender is."""

    key: str
    """In JSON."""
    title: str
    """In tables and pictures."""
    does: str
    """What exactly it does, in a sentence."""
    computing_counts: bool = True
    """Whether what it computed can be counted: not where its processes live for one round, loading included."""


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A contender that cannot be tried, or that broke down."""

    card: Card
    reason: str
    remedy: str
    """What to type or to change so that it can."""
    broke_down: bool = False
    """Whether it was tried."""


def broken(card: Card, error: Exception) -> Absent:
    """Return a contender that was tried and broke down."""
    remedy = "Look at what it wrote on stderr, and try again."
    return Absent(card=card, reason=f"it broke down: {error}", remedy=remedy, broke_down=True)


class ContenderError(Exception):
    """A contender cannot be set up, or broke down; the message says why."""


class Timed(NamedTuple):
    """What a round gave."""

    seconds: float
    """From the start to the last outcome."""
    faces: int
    """That were found and compared: about the same for all, or they do not do the same work."""
    errors: int = 0
    """Photos that could not be used, as far as the contender counts them."""
    computing_s: float | None = None
    """That all processes of the benchmark computed meanwhile; None where that does not say what the contender did."""


class Contender(Protocol):
    """A way to identify photos, warm."""

    card: Card
    ran_as: str
    """How its network runs, where it has a choice."""

    def run(self, uris: Sequence[str]) -> Timed:
        """Identify photos.

        Raises:
            ContenderError: it broke down.
        """


def missing_packages(modules: Iterable[str]) -> list[str]:
    """Return which of these modules cannot be imported here; none is imported to find out."""
    return [module for module in modules if find_spec(module) is None]


def absent_without(card: Card, modules: Iterable[str]) -> Absent | None:
    """Return why a contender is absent when it lacks a module; None when all are there."""
    missing = missing_packages(modules)
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    return Absent(card=card, reason=f"{' and '.join(missing)} {verb} not installed", remedy=INSTALL_COMMAND)
