"""Connections to the ledger: one `Database` per process, its read and write transactions, its errors in our words.

What SQLite needs to be safe with several writers stands here; no query does.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from core.errors import DatabaseFullError, DatabaseSchemaError, DatabaseUnreachableError, SettingError
from core.settings import Settings
from db.patience import CONNECT_ARGS, SERVER_OPTIONS, PatientConnection, bound_idleness

# A writer waits this long for another writer of the same SQLite file before it gives up.
SQLITE_BUSY_TIMEOUT_S = 30

_SQLITE_CACHE_KIB = 64 << 10
"""Of a connection that changes many rows; otherwise it is SQLite's own 2 MiB."""

_SQLITE_FULL = {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"}
_DISK_FULL = "53100"  # PostgreSQL's SQLSTATE


class Database:
    """The ledger, connected lazily. Safe to share between threads; not across fork."""

    def __init__(self, url: str) -> None:
        """Take the database at `url`.

        Args:
            url: an SQLAlchemy URL of SQLite or PostgreSQL.

        Raises:
            SettingError: the URL names no database that facefleet speaks.
        """
        self.url = url
        self.engine = _make_engine(url)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Database":
        """Take the database that the settings name; the folder of an embedded one is made."""
        if not settings.database_url:
            settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(settings.resolved_database_url)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a SQLite file."""
        return self.engine.dialect.name == "sqlite"

    @property
    def shown_url(self) -> str:
        """The URL without its password, for people."""
        return make_url(self.url).render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that only reads; it is rolled back at the end.

        Raises:
            DatabaseUnreachableError: the database did not answer.
        """
        with self._translated(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, *, many: bool = False) -> Iterator[Session]:
        """Open a session that writes: committed when the block ends well, rolled back when it raises.

        On SQLite the write lock is taken at once (BEGIN IMMEDIATE): a transaction that reads first and then wants to
        write fails at once when another has written in between, whatever the busy timeout.

        Args:
            many: ten thousand rows and more are changed at once. SQLite then keeps them in memory until the commit,
                instead of writing them aside and reading them again.

        Raises:
            DatabaseUnreachableError: the database did not answer; nothing was written.
        """
        engine = self.engine.execution_options(facefleet_write=True)
        with self._translated(), Session(engine, expire_on_commit=False) as session:
            if many and self.is_sqlite:
                session.execute(text(f"PRAGMA cache_size=-{_SQLITE_CACHE_KIB}"))
            yield session
            session.commit()

    def check(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            DatabaseUnreachableError: it gave none.
        """
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def wait_until_up(self, timeout_s: float) -> None:
        """Wait for the database to answer.

        Raises:
            DatabaseUnreachableError: it did not within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.check()
            except DatabaseUnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the driver's words for a missing database or table into ours."""
        try:
            yield
        except DBAPIError as error:
            if _is_missing_table(error):
                raise DatabaseSchemaError(
                    f"The database {self.shown_url} has no facefleet tables, or old ones. Nothing was changed. "
                    f"Make them with `facefleet db upgrade`."
                ) from error
            if _is_full(error.orig):
                raise self._full() from error
            lost = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
            if lost or _is_no_sqlite(error):
                raise self._unreachable(error) from error
            raise
        except self.engine.dialect.loaded_dbapi.OperationalError as error:  # out of the driver's own COPY
            raise (self._full() if _is_full(error) else self._unreachable(error)) from error

    def _full(self) -> DatabaseFullError:
        return DatabaseFullError(
            f"The disk of the database {self.shown_url} is full. What was not committed is not stored; nothing else is "
            f"lost. Free space there; workers wait and go on by themselves."
        )

    def _unreachable(self, error: Exception) -> DatabaseUnreachableError:
        reason = str(error.orig if isinstance(error, DBAPIError) else error).strip().partition("\n")[0]
        return DatabaseUnreachableError(
            f"The database {self.shown_url} did not answer ({reason}). What was not committed is not stored; "
            f"nothing else is lost. Check FACEFLEET_DATABASE_URL and that the database runs: `facefleet doctor`."
        )


def _is_missing_table(error: DBAPIError) -> bool:
    """Whether the database answered that a table or column does not exist."""
    words = str(error.orig)
    if isinstance(error, OperationalError):
        return "no such table" in words or "no such column" in words
    return isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", None) in {"42P01", "42703"}


def _is_full(error: BaseException | None) -> bool:
    """Whether the database has no room on its disk."""
    return getattr(error, "sqlite_errorname", None) in _SQLITE_FULL or getattr(error, "sqlstate", None) == _DISK_FULL


def _is_no_sqlite(error: DBAPIError) -> bool:
    """Whether the file is not, or no longer, an SQLite database."""
    return type(error) is DatabaseError and isinstance(error.orig, sqlite3.DatabaseError)


def _make_engine(url: str) -> Engine:
    """Make the engine for a URL, with each database's own safety settings."""
    try:
        driver = make_url(url).drivername
    except ArgumentError as error:
        raise SettingError(f"FACEFLEET_DATABASE_URL is not a database URL: {error}. Unset it to use SQLite.") from None
    if driver in {"postgresql", "postgresql+psycopg"}:
        engine = create_engine(
            url,
            pool_pre_ping=True,
            pool_size=5,
            connect_args={"options": SERVER_OPTIONS, **CONNECT_ARGS, **make_url(url).query},
        )
        event.listen(engine, "do_connect", _connect_patiently)
        event.listen(engine, "begin", bound_idleness)
        return engine
    if driver in {"sqlite", "sqlite+pysqlite"}:
        engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    raise SettingError(f"FACEFLEET_DATABASE_URL names {driver!r}; facefleet speaks sqlite and postgresql+psycopg.")


def _connect_patiently(_dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
    """Connect to PostgreSQL."""
    return PatientConnection.connect(*arguments, **options)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Set up one SQLite connection: our own BEGIN, write-ahead log, every commit on the disk, foreign keys held."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Begin a transaction: with the write lock for writers, without for readers."""
    immediate = connection.get_execution_options().get("facefleet_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
