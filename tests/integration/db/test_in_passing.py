"""Rows are updated in passing exactly where those are found that are expected, in their order; else nothing changes."""

import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import closing

import pytest

from db.in_passing import update_in_passing

ROWS = [(1, 0, 7), (1, 1, 7), (2, 0, 7), (5, 0, 8)]


@pytest.fixture
def driver() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE faces (ordinal INT, face INT, model INT, score REAL, word TEXT, at TEXT, "
            "PRIMARY KEY (ordinal, face)) WITHOUT ROWID"
        )
        connection.executemany("INSERT INTO faces (ordinal, face, model) VALUES (?, ?, ?)", ROWS)
        yield connection


def update(driver: sqlite3.Connection, rows: list[tuple[int, int, int]], within: str = "ordinal > 0") -> int | None:
    ordinals, faces, models = (list(column) for column in zip(*rows, strict=True))
    return update_in_passing(
        driver,
        "faces",
        values={"score": [float(number) for number in range(len(rows))], "word": [None, *["word"] * (len(rows) - 1)]},
        same=["at = 'now'"],
        expected={"ordinal": ordinals, "face": faces, "model": models},
        within=within,
    )


def stored(driver: sqlite3.Connection) -> list[tuple[float | None, str | None, str | None]]:
    return driver.execute("SELECT score, word, at FROM faces ORDER BY ordinal, face").fetchall()


def test_each_row_gets_its_own_values(driver: sqlite3.Connection) -> None:
    assert update(driver, ROWS) == 4
    assert stored(driver) == [(0.0, None, "now"), (1.0, "word", "now"), (2.0, "word", "now"), (3.0, "word", "now")]


def test_rows_beyond_the_condition_stay(driver: sqlite3.Connection) -> None:
    assert update(driver, ROWS[:3], "model = 7") == 3
    assert stored(driver)[3] == (None, None, None)


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param(ROWS[:3], id="one more is found"),
        pytest.param([ROWS[0], ROWS[2], ROWS[1], ROWS[3]], id="in another order"),
        pytest.param([*ROWS[:2], (2, 0, 6), ROWS[3]], id="a model is another one"),
        pytest.param([*ROWS[:2], ROWS[3]], id="one in the middle is not expected"),
    ],
)
def test_nothing_changes_where_other_rows_are_found(
    driver: sqlite3.Connection, expected: list[tuple[int, int, int]]
) -> None:
    assert update(driver, expected) is None
    assert stored(driver) == [(None, None, None)] * 4


def test_rows_that_are_gone_are_missed_in_the_count(driver: sqlite3.Connection) -> None:
    driver.execute("DELETE FROM faces WHERE ordinal = 5")
    assert update(driver, ROWS) == 3


def test_other_errors_are_the_callers(driver: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        update(driver, ROWS, "absent = 1")


class Column(list[float]):
    """A list that one can see go."""


def test_a_connection_keeps_no_values(driver: sqlite3.Connection) -> None:
    column = Column([1.0] * 4)
    gone = weakref.ref(column)
    expected = {"ordinal": [row[0] for row in ROWS]}
    done = update_in_passing(driver, "faces", {"score": column}, [], expected, "ordinal > 0")
    undone = update_in_passing(driver, "faces", {"model": [1] * 4, "score": column}, [], expected, "ordinal = 5")
    del column
    assert gone() is None
    assert (done, undone) == (4, None)
