from pathlib import Path

from db import schema
from db.engine import Database
from tests.unit.scripts.runner import Run


def test_upgrade_makes_the_tables_once(run: Run, home: Path) -> None:
    first, again = run("db", "upgrade", "--json"), run("db", "upgrade", "--json")

    assert (first.document["before"], first.document["after"]) == (None, schema.head_revision())
    assert again.document["before"] == schema.head_revision()
    assert run("db", "check").code == 0


def test_check_finds_a_database_without_tables(run: Run, home: Path) -> None:
    ran = run("db", "check", "--json")

    assert ran.code == 3
    assert ran.document["error"]["code"] == "database_schema"
    assert "facefleet db upgrade" in ran.document["error"]["message"]


def test_check_tells_the_schema(run: Run, database: Database) -> None:
    assert run("db", "check", "--json").document["schema"] == schema.head_revision()
