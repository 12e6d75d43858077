"""The clock."""

from datetime import timedelta

from core.clock import utc_now


def test_now_is_aware_and_in_utc() -> None:
    first, second = utc_now(), utc_now()
    assert first.utcoffset() == timedelta(0)
    assert first <= second
