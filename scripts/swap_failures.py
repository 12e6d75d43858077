"""How it is shown that a model could not be loaded somewhere."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from scripts.output import show_duration, show_time

if TYPE_CHECKING:
    from db.tables import SwapFailure


def failure_document(failure: "SwapFailure") -> dict[str, Any]:
    """Return it as JSON values."""
    from db.ids import model_version

    return {
        "worker": failure.worker,
        "model": model_version(failure.model_id),
        "generation": failure.generation,
        "code": failure.code,
        "message": failure.message,
        "attempts": failure.attempts,
        "first_at": failure.first_at.isoformat(),
        "last_at": failure.last_at.isoformat(),
        "ended_at": failure.ended_at.isoformat() if failure.ended_at else None,
    }


def failure_text(failure: "SwapFailure", now: datetime) -> str:
    """Return it as a sentence."""
    from db.ids import model_version

    tries = "once" if failure.attempts == 1 else f"{failure.attempts} times since {show_time(failure.first_at)}"
    ended = f", until {show_time(failure.ended_at)}" if failure.ended_at else ""
    when = f"{tries}, last {show_ago(failure.last_at, now)}{ended}"
    return f"{failure.worker} could not load {model_version(failure.model_id)} ({when}): {failure.message}"


def show_ago(moment: datetime | None, now: datetime) -> str:
    """Return how long ago something was, as people read it."""
    if moment is None:
        return "never"
    return f"{show_duration(max(0.0, (now - moment).total_seconds()))} ago"
