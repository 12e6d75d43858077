"""What a check of the doctor is: a look at one thing that gives findings, each with its remedy."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.errors import FacefleetError
from core.settings import Settings


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"  # as it should be
    WARN = "warn"  # something does not run yet, or may run short
    FAIL = "fail"  # facefleet cannot do its work like this


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look showed."""

    level: Level
    name: str
    """What was looked at."""
    detail: str
    """What was found."""
    remedy: str | None = None
    """The command that mends it."""
    figures: dict[str, Any] | None = None
    """What `detail` says in numbers, for --json; JSON values."""


Check = Callable[[Settings], list[Finding]]


def run_check(name: str, check: Check, settings: Settings) -> list[Finding]:
    """Run a check; what it raises is a finding too."""
    try:
        return check(settings)
    except FacefleetError as error:
        return [Finding(level=Level.FAIL, name=name, detail=error.message)]
    except (ImportError, OSError, RuntimeError) as error:
        detail = f"{type(error).__name__}: {error}"
        return [Finding(level=Level.FAIL, name=name, detail=detail, remedy="make setup")]


def ok(name: str, detail: str, figures: dict[str, Any] | None = None) -> Finding:
    """Return a finding that all is well."""
    return Finding(level=Level.OK, name=name, detail=detail, figures=figures)


def warn(name: str, detail: str, remedy: str | None = None) -> Finding:
    """Return a finding that something does not run yet or may run short."""
    return Finding(level=Level.WARN, name=name, detail=detail, remedy=remedy)


def fail(name: str, detail: str, remedy: str | None = None) -> Finding:
    """Return a finding that something must be mended."""
    return Finding(level=Level.FAIL, name=name, detail=detail, remedy=remedy)
