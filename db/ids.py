"""Ids that people see: short, and sorted by time when sorted as text."""

import secrets
from datetime import UTC, datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
_TIME_DIGITS = 8  # 32^8 ms: until 2059
_RANDOM_DIGITS = 4  # a million ids in the same millisecond


def new_public_id(prefix: str, now: datetime) -> str:
    """Return an id such as `j1p3k9x2mf4qa`: a letter for the kind, the time in ms, four random digits.

    Args:
        prefix: one letter: `j` for jobs, `r` for runs.
        now: aware time.
    """
    milliseconds = int((now - _EPOCH).total_seconds() * 1000)
    return prefix + _base32(milliseconds, _TIME_DIGITS) + _base32(secrets.randbits(5 * _RANDOM_DIGITS), _RANDOM_DIGITS)


def face_id(job_public_id: str, ordinal: int, face_index: int) -> str:
    """Return the id of a face: the same however often its chunk was run."""
    return f"{job_public_id}-{ordinal}-{face_index}"


def model_version(model_id: int) -> str:
    """Return the version that people see for a row of `models`."""
    return f"v{model_id}"


def _base32(value: int, digits: int) -> str:
    """Return the lowest `digits` base-32 digits of `value`."""
    return "".join(_ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(digits)))
