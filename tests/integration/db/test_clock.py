"""The ledger's clock is the server's, however wrong this machine's is."""

from datetime import UTC, datetime, timedelta

import pytest

from core.clock import utc_now
from core.errors import DatabaseUnreachableError
from db.clock import ASK_EVERY_S, LedgerClock
from db.engine import Database

NEAR = timedelta(seconds=30)


def an_hour_ahead() -> datetime:
    return utc_now() + timedelta(hours=1)


class Seconds:
    """A monotonic clock that is set by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class CountingDatabase(Database):
    """Counts how often it is asked, and may be away."""

    asked = 0
    away = False

    def read(self):  # type: ignore[no-untyped-def]
        self.asked += 1
        if self.away:
            raise DatabaseUnreachableError("away")
        return super().read()


def test_a_wrong_clock_does_not_reach_a_server_and_is_the_one_of_a_file(database: Database) -> None:
    told = LedgerClock(database, own=an_hour_ahead)()
    assert told.tzinfo is UTC or told.utcoffset() == timedelta(0)
    expected = an_hour_ahead() if database.is_sqlite else utc_now()
    assert abs(told - expected) < NEAR


def test_the_server_is_asked_once_in_a_while_and_time_goes_on_meanwhile(postgres_url: str) -> None:
    database, seconds = CountingDatabase(postgres_url), Seconds()
    clock = LedgerClock(database, own=an_hour_ahead, monotonic=seconds)
    first = clock()
    seconds.now_s = ASK_EVERY_S - 1
    assert clock() - first == timedelta(seconds=ASK_EVERY_S - 1)
    assert database.asked == 1
    seconds.now_s = ASK_EVERY_S
    assert abs(clock() - first) < NEAR  # the server's own time has hardly moved
    assert database.asked == 2
    database.close()


@pytest.mark.parametrize("known", [True, False])
def test_a_server_that_is_away_is_asked_again_later(postgres_url: str, known: bool) -> None:
    database, seconds = CountingDatabase(postgres_url), Seconds()
    clock = LedgerClock(database, own=an_hour_ahead, monotonic=seconds)
    if known:
        clock()
    database.away, seconds.now_s = True, ASK_EVERY_S
    assert abs(clock() - (utc_now() if known else an_hour_ahead())) < NEAR + timedelta(seconds=ASK_EVERY_S)
    database.away, seconds.now_s = False, 2 * ASK_EVERY_S
    assert abs(clock() - utc_now()) < NEAR
    database.close()
