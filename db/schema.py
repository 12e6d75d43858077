"""The schema's version: bringing a database up to date, and telling whether it is. The steps stand in db/migrations."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from core.errors import DatabaseSchemaError
from db.engine import Database
from db.patience import unhurried

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any fixed number: PostgreSQL's advisory lock under which one process at a time migrates.
_MIGRATION_LOCK = 7_230_411


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the schema up to date; safe to call from several processes at once.

    Returns:
        The revisions before (None for an empty database) and after.

    Raises:
        DatabaseSchemaError: the database was made by a newer facefleet.
        DatabaseUnreachableError: the database did not answer.
    """
    with database.write() as session:
        connection = session.connection()
        with unhurried(connection):
            if not database.is_sqlite:  # SQLite's write transaction is the lock already
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            before = _revision(connection)
            if before is not None and before not in _known_revisions():
                raise _newer_schema(database, before)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, head_revision()


def check(database: Database) -> None:
    """Make sure that the database has the schema that this version needs.

    Raises:
        DatabaseSchemaError: it has another one, or none.
        DatabaseUnreachableError: the database did not answer.
    """
    with database.read() as session:
        found = _revision(session.connection())
    if found == head_revision():
        return
    if found is not None and found not in _known_revisions():
        raise _newer_schema(database, found)
    what = "has no facefleet tables" if found is None else f"is at schema {found}, not {head_revision()}"
    raise DatabaseSchemaError(
        f"The database {database.shown_url} {what}. Nothing was changed. Run `facefleet db upgrade`."
    )


def head_revision() -> str:
    """Return the newest revision that this version knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError(f"no migration found in {_MIGRATIONS}")
    return head


def _known_revisions() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _newer_schema(database: Database, found: str) -> DatabaseSchemaError:
    return DatabaseSchemaError(
        f"The database {database.shown_url} was made by a newer facefleet (schema {found}; this one knows "
        f"{head_revision()}). Nothing was changed. Use the newer version of facefleet."
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
