"""Migrations: from empty to the models, any number of times and by several at once; never backwards."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from core.errors import DatabaseSchemaError
from db import jobs, schema
from db.engine import Database
from db.tables import Base
from tests import ledger

ROOT = Path(__file__).resolve().parents[3]
_UPGRADE = """
import sys
from db import schema
from db.engine import Database
print(*schema.upgrade(Database(sys.argv[1])))
"""


def set_revision(database: Database, revision: str) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_migrations_from_empty_give_the_models(empty_database: Database) -> None:
    assert schema.upgrade(empty_database) == (None, schema.head_revision())
    with empty_database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    schema.check(empty_database)


def test_a_second_upgrade_changes_nothing(database: Database) -> None:
    job_id, _ = ledger.add_job(database, items=4)
    head = schema.head_revision()
    assert schema.upgrade(database) == (head, head)
    assert ledger.get_job(database, job_id).total == 4


def test_processes_that_upgrade_at_once_all_succeed(empty_database: Database) -> None:
    command = [sys.executable, "-c", _UPGRADE, empty_database.url]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ends = [(process.communicate(timeout=60), process.returncode) for process in started]
    assert [code for _, code in ends] == [0, 0, 0], ends
    head = schema.head_revision()
    assert sorted(out.split() for (out, _), _ in ends) == sorted([[head, head], [head, head], ["None", head]])
    schema.check(empty_database)


def test_a_database_without_tables_is_told_how_to_get_them(empty_database: Database) -> None:
    with pytest.raises(DatabaseSchemaError, match=r"no facefleet tables.*facefleet db upgrade"):
        schema.check(empty_database)
    with pytest.raises(DatabaseSchemaError, match="facefleet db upgrade"), empty_database.read() as session:
        jobs.list_jobs(session, limit=1)
    assert inspect(empty_database.engine).get_table_names() == []


def test_a_newer_database_is_left_alone(database: Database) -> None:
    set_revision(database, "9999")
    for refused in (schema.check, schema.upgrade):
        with pytest.raises(DatabaseSchemaError, match=r"newer facefleet \(schema 9999"):
            refused(database)
    with database.read() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_an_upgrade_that_breaks_leaves_nothing(empty_database: Database) -> None:
    """A foreign table stands where a later table of the migration belongs."""
    with empty_database.write() as session:
        session.execute(text("CREATE TABLE faces (id INTEGER)"))
    with pytest.raises(Exception, match="faces"):
        schema.upgrade(empty_database)
    assert inspect(empty_database.engine).get_table_names() == ["faces"]
