"""A ledger whose disk is full says so, stores nothing by halves, and goes on when there is room."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import event, text

from core.errors import DatabaseFullError
from core.records import JobState
from db import jobs
from db.engine import Database
from tests import ledger
from tests.disks import fill, tiny_disk


def job_names(database: Database) -> list[str]:
    with database.read() as session:
        return [job.public_id for job in jobs.list_jobs(session, 10)]


def test_a_sqlite_file_that_may_not_grow_is_told_as_a_full_disk(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(DatabaseFullError, match=r"disk of the database sqlite:///.*is full.*Free space there"):
        ledger.add_job(database, items=5_000)
    assert job_names(database) == []
    database.close()


def test_a_sqlite_file_on_a_full_disk_goes_on_when_there_is_room(sqlite_url: str, tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", kibibytes=2048) as disk:
        file = shutil.copy(sqlite_url.removeprefix("sqlite:///"), disk / "facefleet.db")
        database = Database(f"sqlite:///{file}")
        job_id, _ = ledger.add_job(database, items=4)
        ballast = fill(disk)
        with pytest.raises(DatabaseFullError):
            ledger.add_job(database, items=20_000)
        assert ledger.get_job(database, job_id).state == JobState.RUNNING
        ballast.unlink()
        ledger.add_job(database, items=4)
        assert len(job_names(database)) == 2
        database.close()


def test_a_sqlite_file_that_is_opened_on_a_full_disk_is_told(sqlite_url: str, tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", kibibytes=2048) as disk:
        file = shutil.copy(sqlite_url.removeprefix("sqlite:///"), disk / "facefleet.db")
        fill(disk)
        database = Database(f"sqlite:///{file}")
        with pytest.raises(DatabaseFullError):
            ledger.add_job(database, items=4)
        database.close()


def test_a_postgresql_without_room_is_told_as_a_full_disk(postgres_database: Database) -> None:
    full = text("DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$")
    with (
        pytest.raises(DatabaseFullError, match="disk of the database postgresql"),
        postgres_database.write() as session,
    ):
        session.execute(full)
    ledger.add_job(postgres_database, items=4)
