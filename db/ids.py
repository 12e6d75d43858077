"""Ids that people see: short, and sorted by time when sorted as text."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.tables import Job, Run

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
_TIME_DIGITS = 8  # 32^8 ms: until 2059
_RANDOM_DIGITS = 4  # a million ids in the same millisecond

Draw = Callable[[int], int]
"""Gives a number of so many random bits."""


def insert_with_public_id(
    session: Session, row: Job | Run, prefix: str, now: datetime, draw: Draw = secrets.randbits
) -> None:
    """Insert a row under a new public id. One that another row has, inserted at the same time or before, is drawn anew.

    Args:
        session: a write session; what was done in it before stays.
        row: complete but for its id.
        prefix: one letter: `j` for jobs, `r` for runs.
        now: aware time.
        draw: where the random digits come from.

    Raises:
        IntegrityError: the row clashes with another in something else.
    """
    kind = type(row)
    while True:
        row.public_id = new_public_id(prefix, now, draw)
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            if session.scalar(select(kind.id).where(kind.public_id == row.public_id)) is None:
                raise
        else:
            return


def new_public_id(prefix: str, now: datetime, draw: Draw = secrets.randbits) -> str:
    """Return an id such as `j1p3k9x2mf4qa`: a letter for the kind, the time in ms, four random digits.

    Args:
        prefix: one letter: `j` for jobs, `r` for runs.
        now: aware time.
        draw: where the random digits come from.
    """
    milliseconds = int((now - _EPOCH).total_seconds() * 1000)
    return prefix + _base32(milliseconds, _TIME_DIGITS) + _base32(draw(5 * _RANDOM_DIGITS), _RANDOM_DIGITS)


def face_id(job_public_id: str, ordinal: int, face_index: int) -> str:
    """Return the id of a face: the same however often its chunk was run."""
    return f"{job_public_id}-{ordinal}-{face_index}"


def model_version(model_id: int) -> str:
    """Return the version that people see for a row of `models`."""
    return f"v{model_id}"


def _base32(value: int, digits: int) -> str:
    """Return the lowest `digits` base-32 digits of `value`."""
    return "".join(_ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(digits)))
