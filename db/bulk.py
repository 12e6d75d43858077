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
        cast = "CAST(? AS JSONB)" if self._postgresql else "?"
        marks = ", ".join(cast if column in json_columns else "?" for column in columns)
        self._run(f"INSERT INTO {table.__tablename__} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608

    def _run(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        given = list(rows)
        if given:
            self._connection.exec_driver_sql(statement.replace("?", "%s") if self._postgresql else statement, given)


def json_text(value: Any) -> str:
    """Return a value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def in_pages(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield values in lists of `size`, the last one shorter: a statement takes only so many parameters."""
    left = iter(values)
    while page := list(islice(left, size)):
        yield page
