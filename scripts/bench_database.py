"""An empty database to measure in, for benchmarks. Leaves one alone that is in use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

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
                Base.metadata.drop_all(database.engine)
                with database.write() as session:
                    session.execute(text("DROP TABLE alembic_version"))
        finally:
            database.close()
