"""Columns that the database puts together itself."""

from db.bulk import Bulk
from db.engine import Database

ROWS = [
    (2**40, 'it\'s "quoted", tab\t and ü', None, True, bytes(range(256))),
    (-1, "", 7, False, bytes(256)),
    (0, "NULL", None, True, b"\xff\xfe" * 128),
]
NAMES = ["a", "b", "c", "d", "e"]


def store(database: Database) -> None:
    with database.write() as session:
        connection = session.connection()
        kinds = zip(NAMES, ["BIGINT", "TEXT", "BIGINT", "BOOLEAN", "BYTEA"], strict=True)
        connection.exec_driver_sql(f"CREATE TABLE things ({', '.join(map(' '.join, kinds))})")
        marks = ", ".join(["?" if database.is_sqlite else "%s"] * len(NAMES))
        connection.exec_driver_sql(f"INSERT INTO things VALUES ({marks})", ROWS)


def test_columns_hold_what_rows_would(database: Database) -> None:
    store(database)
    with database.read() as session:
        bulk = Bulk(session.connection())
        found, data = bulk.fetch_columns(NAMES[:4], "SELECT * FROM things ORDER BY a", (), joined="e")
        some, nothing = bulk.fetch_columns(["a"], "SELECT a FROM things WHERE a > ? ORDER BY a DESC", (-1,))

    in_order = sorted(ROWS)
    assert found == [list(column) for column in zip(*in_order, strict=True)][:4]
    assert data == b"".join(row[4] for row in in_order)
    assert (some, nothing) == ([[2**40, 0]], b"")


def test_no_rows_are_empty_columns(database: Database) -> None:
    store(database)
    with database.read() as session:
        found = Bulk(session.connection()).fetch_columns(["a", "b"], "SELECT * FROM things WHERE a = 5", (), joined="e")
    assert found == ([[], []], b"")
