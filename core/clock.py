"""Time as facefleet keeps it: aware UTC. What compares times takes `now` as an argument; it comes from here."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)
