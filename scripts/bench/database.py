"""An empty database to measure in, for benchmarks: leaves one alone that is in use, and says how large it became."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import inspect, text

from core.errors import InputError
from db import schema
from db.engine import Database
from db.tables import Base


@contextmanager
def empty_database(url: str | None) -> Iterator[Database]:
    """Open a database with empty tables, which are removed at the end.

    Raises:
        InputError: it holds tables already.
    """
    with TemporaryDirectory(prefix="facefleet-bench-") as folder:
        database = Database(url or f"sqlite:///{Path(folder) / 'bench.db'}")
        try:
            if inspect(database.engine).get_table_names():
                raise InputError(
                    f"{database.shown_url} holds tables already. Nothing was measured, so that none is lost. "
                    "Name an empty database."
                )
            schema.upgrade(database)
            try:
                yield database
            finally:
                if url:  # a file of our own is removed whole
                    Base.metadata.drop_all(database.engine)
                    with database.write() as session:
                        session.execute(text("DROP TABLE alembic_version"))
        finally:
            database.close()


def describe_database(database: Database) -> dict[str, Any]:
    """Return which database this is and the bytes that it takes on its disk, indexes included, as JSON."""
    size, name = "pg_database_size(current_database())", "current_setting('server_version')"
    if database.is_sqlite:
        size, name = "(SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)", "sqlite_version()"
    with database.read() as session:
        taken, version = session.execute(text(f"SELECT {size}, {name}")).one()
    return {"kind": "sqlite" if database.is_sqlite else "postgresql", "version": version, "bytes": int(taken)}


def tidy(database: Database) -> None:
    """Let PostgreSQL look at its tables, as it does by itself in time."""
    if not database.is_sqlite:
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
