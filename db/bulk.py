"""Many rows in one statement of the driver's own: SQLAlchemy's handling of each value costs half of a chunk's commit.

Values go to the driver as they are, so times and JSON are turned into what the columns hold here.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection

from db.tables import Base, UtcDateTime

T = TypeVar("T")

_TIME = UtcDateTime()


class Bulk:
    """Statements of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._postgresql = connection.dialect.name == "postgresql"

    @property
    def json_mark(self) -> str:
        """The placeholder of a JSON value in a statement: it is given as text."""
        return "CAST(? AS JSONB)" if self._postgresql else "?"

    def time(self, value: datetime) -> Any:
        """Return an aware time as the driver takes it."""
        bound = _TIME.process_bind_param(value, self._connection.dialect)
        return bound if self._postgresql or bound is None else bound.isoformat(sep=" ", timespec="microseconds")

    def update(
        self, table: type[Base], values: Sequence[str], keys: Sequence[str], rows: Iterable[tuple[Any, ...]]
    ) -> None:
        """Set columns in rows that have no value in the first of them yet.

        Args:
            table: which.
            values: columns to set; the first decides whether a row still waits for them.
            keys: columns that find the row.
            rows: the values, then the keys.
        """
        setting = ", ".join(f"{column} = ?" for column in values)
        finding = " AND ".join(f"{column} = ?" for column in keys)
        self._run(f"UPDATE {table.__tablename__} SET {setting} WHERE {finding} AND {values[0]} IS NULL", rows)  # noqa: S608

    def insert(
        self, table: type[Base], columns: Sequence[str], json_columns: set[str], rows: Iterable[tuple[Any, ...]]
    ) -> None:
        """Insert rows. Those of `json_columns` are given as JSON text."""
        marks = ", ".join(self.json_mark if column in json_columns else "?" for column in columns)
        self._run(f"INSERT INTO {table.__tablename__} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608

    def fetch(self, statement: str, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        """Return all rows that a statement finds, as the driver gives them."""
        return self._connection.exec_driver_sql(self._spelled(statement), tuple(values)).cursor.fetchall()

    def execute(self, statement: str, values: Sequence[Any]) -> None:
        """Run a statement that finds nothing."""
        self._connection.exec_driver_sql(self._spelled(statement), tuple(values))

    def update_unchanged(
        self,
        table: type[Base],
        *,
        values: Sequence[str],
        json_columns: set[str],
        keys: Sequence[str],
        unchanged: Sequence[str],
        rows: Iterable[tuple[Any, ...]],
        within: str,
    ) -> int:
        """Set columns in rows that are still as they were read; return how many there were.

        Args:
            table: which.
            values: columns to set.
            json_columns: those of them that are given as JSON text.
            keys: columns that find the row.
            unchanged: columns that must still hold what they did.
            rows: the values, then the keys, then what the unchanged columns held.
            within: a condition that holds for all of them; without it, PostgreSQL may read the whole table.
        """
        if self._postgresql:
            return self._copy_and_update(table.__tablename__, values, keys, unchanged, rows, within)
        setting = ", ".join(f"{column} = ?" for column in values)
        finding = " AND ".join([*(f"{column} = ?" for column in keys), *(f"{column} IS ?" for column in unchanged)])
        statement = f"UPDATE {table.__tablename__} SET {setting} WHERE {finding}"  # noqa: S608
        return self._connection.exec_driver_sql(statement, list(rows)).rowcount

    def _copy_and_update(
        self,
        table: str,
        values: Sequence[str],
        keys: Sequence[str],
        unchanged: Sequence[str],
        rows: Iterable[tuple[Any, ...]],
        within: str,
    ) -> int:
        """Bring rows into a temporary table by COPY, and update from there in one statement."""
        columns = ", ".join([*values, *keys])
        were = [f"was_{column}" for column in unchanged]
        held = ", ".join(f"{column} AS {was}" for column, was in zip(unchanged, were, strict=True))
        statement = f"CREATE TEMPORARY TABLE changed ON COMMIT DROP AS SELECT {columns}, {held} FROM {table} LIMIT 0"  # noqa: S608
        self._connection.exec_driver_sql(statement)
        driver: Any = self._connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(f"COPY changed ({columns}, {', '.join(were)}) FROM STDIN") as copy:
            copy.write("".join(_copy_line(row) for row in rows))
        setting = ", ".join(f"{column} = changed.{column}" for column in values)
        finding = [f"{table}.{column} = changed.{column}" for column in keys]
        finding += [f"{table}.{column} IS NOT DISTINCT FROM changed.was_{column}" for column in unchanged]
        updating = f"UPDATE {table} SET {setting} FROM changed WHERE {within} AND {' AND '.join(finding)}"  # noqa: S608
        # Of rows that are younger than its statistics PostgreSQL expects few, and would compare each with all of these.
        self._connection.exec_driver_sql("SET LOCAL enable_nestloop = off")
        updated = self._connection.exec_driver_sql(updating).rowcount
        self._connection.exec_driver_sql("SET LOCAL enable_nestloop = on")
        return updated

    def _spelled(self, statement: str) -> str:
        return statement.replace("?", "%s") if self._postgresql else statement

    def _run(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        given = list(rows)
        if given:
            self._connection.exec_driver_sql(self._spelled(statement), given)


def json_text(value: Any) -> str:
    """Return a value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _copy_line(row: tuple[Any, ...]) -> str:
    """Return a row as COPY reads it. Its texts hold no tab, backslash or line end: outcomes, JSON of numbers."""
    return "\t".join(["\\N" if value is None else str(value) for value in row]) + "\n"


def in_pages(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield values in lists of `size`, the last one shorter: a statement takes only so many parameters."""
    left = iter(values)
    while page := list(islice(left, size)):
        yield page
