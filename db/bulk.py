"""Many rows in one statement of the driver's own: SQLAlchemy's handling of each value costs half of a chunk's commit.

Values go to the driver as they are, so times and JSON are turned into what the columns hold here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection

from db.in_passing import update_in_passing
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
        self,
        table: type[Base],
        columns: Sequence[str],
        json_columns: set[str],
        rows: Iterable[tuple[Any, ...]],
        *,
        if_absent: bool = False,
    ) -> None:
        """Insert rows. Those of `json_columns` are given as JSON text.

        Args:
            table: which.
            columns: of the rows.
            json_columns: those that hold JSON.
            rows: one value a column.
            if_absent: pass over rows whose key is there already.
        """
        marks = ", ".join(self.json_mark if column in json_columns else "?" for column in columns)
        otherwise = " ON CONFLICT DO NOTHING" if if_absent else ""
        statement = f"INSERT INTO {table.__tablename__} ({', '.join(columns)}) VALUES ({marks}){otherwise}"  # noqa: S608
        self._run(statement, rows)

    def fill(self, table: type[Base], columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert rows that nobody else can have inserted: by COPY on PostgreSQL, by one prepared statement on SQLite.

        Args:
            table: which.
            columns: of the rows.
            rows: one value a column, JSON as text. Read as they are needed.
        """
        names = ", ".join(columns)
        with closing(self._driver.cursor()) as cursor:
            if self._postgresql:
                with cursor.copy(f"COPY {table.__tablename__} ({names}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                marks = ", ".join("?" for _ in columns)
                cursor.executemany(f"INSERT INTO {table.__tablename__} ({names}) VALUES ({marks})", rows)  # noqa: S608

    def fetch_columns(
        self, columns: Sequence[str], statement: str, values: Sequence[Any], joined: str | None = None
    ) -> tuple[list[list[Any]], bytes]:
        """Return what a statement finds as columns, which the database itself puts together.

        A row is an object or two, which take longer to make than to read. And SQLite's driver takes Python's lock and
        gives it back for each: a thread that writes meanwhile then takes twice as long.

        Args:
            columns: whole numbers, texts and truth values, by their names in the statement.
            statement: gives one row each, in order.
            values: of its placeholders.
            joined: another column, of bytes.

        Returns:
            The columns, and the bytes of `joined`, one row's after the other's.
        """
        aggregate = "array_agg({})" if self._postgresql else "json_group_array({})"
        as_bytes = "string_agg({}, ''::BYTEA)" if self._postgresql else "CAST(group_concat({}, '') AS BLOB)"
        wanted = [aggregate.format(column) for column in columns]
        wanted.append(as_bytes.format(joined) if joined else "NULL")
        ((*found, data),) = self.fetch(f"SELECT {', '.join(wanted)} FROM ({statement}) AS found", values)  # noqa: S608
        return [_listed(column) for column in found], data or b""

    def fetch(self, statement: str, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        """Return all rows that a statement finds, as the driver gives them."""
        if not self._postgresql:
            return self._connection.exec_driver_sql(statement, tuple(values)).cursor.fetchall()
        with self._driver.cursor(binary=True) as cursor:  # as text, bytes would be twice as long, and parsed
            return list(cursor.execute(self._spelled(statement), tuple(values)).fetchall())

    def look_up_row_by_row(self) -> None:
        """Have PostgreSQL answer the rest of this transaction along indexes: for few rows out of large tables.

        It takes a range of a key for hundreds of times as many rows as it holds, and would read a whole table for it,
        in order or in parallel. SQLite does nothing else.
        """
        if self._postgresql:
            off = ("enable_mergejoin", "enable_hashjoin", "max_parallel_workers_per_gather")
            values = [f"set_config('{name}', '{'0' if name.startswith('max') else 'off'}', true)" for name in off]
            self._connection.exec_driver_sql(f"SELECT {', '.join(values)}")

    def execute(self, statement: str, values: Sequence[Any]) -> None:
        """Run a statement that finds nothing."""
        self._connection.exec_driver_sql(self._spelled(statement), tuple(values))

    def update_unchanged(
        self,
        table: type[Base],
        *,
        values: dict[str, Sequence[Any]],
        same: Mapping[str, str],
        keys: dict[str, Sequence[Any]],
        unchanged: dict[str, Sequence[Any]],
        within: str,
        all_within: bool = False,
    ) -> int:
        """Set columns in rows that are still as they were read; return how many there were.

        Args:
            table: which.
            values: columns to set, at least one, each with what it is in one row after the other.
            same: columns that are the same in all rows afterwards, each with the SQL of what it is.
            keys: columns that find the row among those of `within`, each with what it holds.
            unchanged: columns that must still hold what they did, each with what that is.
            within: a condition that holds for all of them; without it, PostgreSQL may read the whole table.
            all_within: it holds for no others, and they come in the order of the table's key: SQLite then goes through
                them once, in less than half of the time.
        """
        name = table.__tablename__
        fixed = [f"{column} = {value}" for column, value in same.items()]
        if all_within and not self._postgresql:
            found = update_in_passing(self._driver, name, values, fixed, keys | unchanged, within)
            if found is not None:
                return found
        rows = zip(*values.values(), *keys.values(), *unchanged.values(), strict=True)
        if self._postgresql:
            return self._copy_and_update(name, [*values], fixed, [*keys], [*unchanged], rows, within)
        setting = ", ".join([*(f"{column} = ?" for column in values), *fixed])
        finding = [within, *(f"{column} = ?" for column in keys), *(f"{column} IS ?" for column in unchanged)]
        statement = f"UPDATE {name} SET {setting} WHERE {' AND '.join(finding)}"  # noqa: S608
        with closing(self._driver.cursor()) as cursor:  # SQLAlchemy would make a list of all rows
            return int(cursor.executemany(statement, rows).rowcount)

    def _copy_and_update(
        self,
        table: str,
        values: Sequence[str],
        fixed: Sequence[str],
        keys: Sequence[str],
        unchanged: Sequence[str],
        rows: Iterable[tuple[Any, ...]],
        within: str,
    ) -> int:
        """Bring rows into a temporary table by COPY, and update from there in one statement."""
        were = {column: f"was_{column}" for column in unchanged}
        columns = ", ".join([*values, *keys, *(f"{column} AS {was}" for column, was in were.items())])
        statement = f"CREATE TEMPORARY TABLE changed AS SELECT {columns} FROM {table} LIMIT 0"  # noqa: S608
        self._connection.exec_driver_sql(statement)
        self._copy("changed", rows)
        setting = ", ".join([*(f"{column} = changed.{column}" for column in values), *fixed])
        finding = [within, *(f"{table}.{column} = changed.{column}" for column in keys)]
        finding += [f"{table}.{column} IS NOT DISTINCT FROM changed.{was}" for column, was in were.items()]
        updating = f"UPDATE {table} SET {setting} FROM changed WHERE {' AND '.join(finding)}"  # noqa: S608
        # Of rows that are younger than its statistics PostgreSQL expects few, and would compare each with all of these.
        self._connection.exec_driver_sql("SET LOCAL enable_nestloop = off")
        updated = self._connection.exec_driver_sql(updating).rowcount
        self._connection.exec_driver_sql("SET LOCAL enable_nestloop = on")
        self._connection.exec_driver_sql("DROP TABLE changed")
        return updated

    def _copy(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert rows that have a value for each column of a PostgreSQL table, by COPY in its own encoding."""
        with self._driver.cursor() as cursor:
            # Not prepared: the table of a name is another one next time, with other columns.
            cursor.execute(f"SELECT * FROM {table} LIMIT 0", prepare=False)  # noqa: S608
            types = [column.type_code for column in cursor.description]
            with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)

    @property
    def _driver(self) -> Any:
        return self._connection.connection.driver_connection

    def _spelled(self, statement: str) -> str:
        return statement.replace("?", "%s") if self._postgresql else statement

    def _run(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        given = list(rows)
        if given:
            self._connection.exec_driver_sql(self._spelled(statement), given)


def json_text(value: Any) -> str:
    """Return a value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _listed(column: Any) -> list[Any]:
    """Return a column as a list: SQLite gives it as JSON, and PostgreSQL nothing for no rows."""
    return list(json.loads(column)) if isinstance(column, str) else column or []


def in_pages(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield values in lists of `size`, the last one shorter: a statement takes only so many parameters."""
    left = iter(values)
    while page := list(islice(left, size)):
        yield page
