"""A model that should be in a process, and why it is not. Light: needs no torch."""

from dataclasses import dataclass

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
"""Before a model that failed to load is tried again; each failure doubles it."""


@dataclass(frozen=True, kw_only=True)
class WantedModel:
    """A model that should be here."""

    version: int
    """Its version in the registry."""
    sha256: str
    """Of its artifact."""
    generation: int | None
    """The activation that makes it serve; None for one that stands beside the model that serves."""


@dataclass(frozen=True, kw_only=True)
class FailedLoad:
    """Why a model could not be loaded."""

    model: WantedModel
    code: str
    """A stable code out of docs/errors.md."""
    message: str
    attempts: int
    """Tries so far that failed, one after the other."""
    failed_s: float
    """When the last one did, on the loader's clock."""

    @property
    def retry_s(self) -> float:
        """When the next try is due, on the loader's clock."""
        return self.failed_s + float(min(FIRST_PAUSE_S * 2 ** (self.attempts - 1), LONGEST_PAUSE_S))
