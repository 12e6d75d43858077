"""Connections: what reads and writes mean, and what a user is told when the database is away."""

import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, StatementError

from core.errors import DatabaseUnreachableError, SettingError
from core.settings import Settings
from db import audit, jobs, patience, people
from db.engine import Database
from db.patience import PatientConnection, unhurried
from db.tables import AuditEntry
from tests import ledger
from tests.ledger import NOW
from tests.services import PostgresServer, free_port


def note(database: Database, action: str, now: datetime = NOW) -> None:
    with database.write() as session:
        audit.record(session, who="ada", action=action, subject="s", now=now)


def noted(database: Database) -> list[str]:
    with database.read() as session:
        return [entry.action for entry in audit.list_entries(session, 100)]


def test_a_block_that_ends_well_is_committed_and_one_that_raises_is_not(database: Database) -> None:
    note(database, "kept")
    with pytest.raises(RuntimeError, match="on purpose"), database.write() as session:
        audit.record(session, who="ada", action="lost", subject="s", now=NOW)
        session.flush()
        raise RuntimeError("on purpose")
    assert noted(database) == ["kept"]


def test_a_read_keeps_nothing(database: Database) -> None:
    with database.read() as session:
        audit.record(session, who="ada", action="lost", subject="s", now=NOW)
        session.flush()
    assert noted(database) == []


def test_a_reader_sees_what_was_committed_and_does_not_stop_a_writer(database: Database) -> None:
    note(database, "before")
    with database.read() as reader:
        assert len(audit.list_entries(reader, 10)) == 1
        note(database, "meanwhile")
    assert noted(database) == ["meanwhile", "before"]


def test_writers_that_read_first_do_not_lose_each_others_work(database: Database) -> None:
    """On SQLite such transactions fail at once unless they begin with the write lock."""
    (person_id,) = ledger.add_people(database, "Ada")

    def add(number: int) -> None:
        with database.write() as session:
            assert people.person_names(session, {person_id})
            audit.record(session, who="ada", action=str(number), subject="s", now=NOW)

    assert ledger.race([lambda n=number: add(n) for number in range(8)]) == [None] * 8
    assert sorted(noted(database)) == [str(number) for number in range(8)]


def test_foreign_keys_are_held(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(
            text(
                "INSERT INTO activations (generation, model_id, who, why, at) "
                "VALUES (1, 4711, 'a', 'b', '2026-01-01 00:00:00')"
            )
        )


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
def test_times_come_back_as_they_were_in_utc(database: Database, zone: timezone) -> None:
    note(database, "timed", NOW.astimezone(zone))
    with database.read() as session:
        (entry,) = audit.list_entries(session, 1)
        assert session.scalars(select(AuditEntry.at).where(AuditEntry.at <= NOW.astimezone(zone))).all() == [NOW]
    assert (entry.at, entry.at.tzinfo) == (NOW, UTC)


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="naive datetime"):
        note(database, "naive", NOW.replace(tzinfo=None))
    assert noted(database) == []


def test_a_postgresql_that_is_not_there_is_told_quickly_and_without_the_password() -> None:
    database = Database(f"postgresql+psycopg://ada:secret@127.0.0.1:{free_port()}/facefleet")
    with pytest.raises(DatabaseUnreachableError, match="FACEFLEET_DATABASE_URL") as caught:
        database.check()
    assert "secret" not in caught.value.message
    assert "\n" not in caught.value.message
    with pytest.raises(DatabaseUnreachableError):
        database.wait_until_up(timeout_s=0.3)
    database.close()


def test_waiting_for_a_database_ends_when_it_is_up(postgres_server: PostgresServer) -> None:
    database = Database(postgres_server.url("not_yet"))
    waiter = threading.Thread(target=database.wait_until_up, args=[30.0])
    waiter.start()
    postgres_server.admin("CREATE DATABASE not_yet")
    waiter.join(timeout=30)
    assert not waiter.is_alive()
    database.check()
    database.close()
    postgres_server.admin("DROP DATABASE not_yet WITH (FORCE)")


def test_a_connection_cut_within_a_transaction_is_told_and_the_next_one_works(postgres_database: Database) -> None:
    cut = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DatabaseUnreachableError, match="not committed"), postgres_database.write() as session:
        audit.record(session, who="ada", action="lost", subject="s", now=NOW)
        session.flush()
        session.execute(cut)
    assert noted(postgres_database) == []


def test_a_connection_cut_while_items_are_copied_is_told(postgres_database: Database) -> None:
    """COPY bypasses SQLAlchemy: its errors are translated all the same."""
    new = jobs.NewJob(name="n", faces_mode=jobs.FacesMode.CROP, request_digest="d")
    with pytest.raises(DatabaseUnreachableError), postgres_database.write() as session:
        job_id = jobs.create_job(session, new, NOW).id
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        with postgres_database.write() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            wait_until_gone(postgres_database, pid)
        jobs._insert_items(session, job_id, 0, ["a"])
    with postgres_database.read() as session:
        assert jobs.list_jobs(session, 10) == []


def wait_until_gone(database: Database, pid: object) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with database.read() as session:
            if not session.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid}):
                return
    raise AssertionError("the connection was not cut")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachableError, match="unable to open"):
        Database(f"sqlite:///{tmp_path / 'none' / 'facefleet.db'}").check()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "facefleet.db"
    file.write_bytes(b"this is no database, but it is long enough to be taken for one" * 100)
    database = Database(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnreachableError, match="not a database"):
        database.check()
    database.close()


@pytest.mark.parametrize(
    "url", ["mysql://localhost/x", "nonsense", "postgresql+asyncpg://localhost/x", "postgres://localhost/x", "://"]
)
def test_a_database_that_facefleet_does_not_speak_is_a_bad_setting(url: str) -> None:
    with pytest.raises(SettingError, match="FACEFLEET_DATABASE_URL"):
        Database(url)


def test_the_default_database_is_a_file_in_the_home_folder_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    database = Database.from_settings(Settings(home=home))
    database.check()
    database.close()
    assert (home / "facefleet.db").is_file()
    assert home.stat().st_mode & 0o777 == 0o700


def test_sqlite_is_set_up_to_survive_a_power_cut(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.read() as session:
        asked = {pragma: session.scalar(text(f"PRAGMA {pragma}")) for pragma in ("journal_mode", "synchronous")}
    database.close()
    assert asked == {"journal_mode": "wal", "synchronous": 2}


def test_a_postgresql_that_stays_silent_is_given_up_and_the_next_connection_works(postgres_database: Database) -> None:
    with pytest.raises(DatabaseUnreachableError, match="no answer within"), postgres_database.write() as session:
        driver = session.connection().connection.driver_connection
        assert isinstance(driver, PatientConnection)
        driver.patience_s = 0.2
        session.execute(text("SELECT pg_sleep(30)"))
    note(postgres_database, "later")
    assert noted(postgres_database) == ["later"]


def test_the_server_gives_a_statement_up_too_unless_it_is_a_migration(postgres_database: Database) -> None:
    with postgres_database.write() as session:
        connection = session.connection()
        assert session.scalar(text("SHOW statement_timeout")) == "1min"
        with unhurried(connection):
            assert session.scalar(text("SHOW statement_timeout")) == "0"
            assert connection.connection.driver_connection.patience_s is None
    with postgres_database.read() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "1min"
        assert session.connection().connection.driver_connection.patience_s > 60


def test_what_the_url_says_of_a_connection_goes_before_our_own(postgres_url: str) -> None:
    database = Database(f"{postgres_url}&options=-c%20statement_timeout%3D5s")
    with database.read() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "5s"
    database.close()


def test_a_writer_that_falls_silent_loses_its_locks_and_is_told(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does the session that a pooler or proxy keeps open for a client that it no longer has."""
    note(postgres_database, "before")
    monkeypatch.setattr(patience, "IDLE_TIMEOUT_S", 0.3)
    locking = select(AuditEntry).with_for_update()
    with pytest.raises(DatabaseUnreachableError, match="idle-in-transaction"), postgres_database.write() as silent:
        silent.scalars(locking).one()
        audit.record(silent, who="ada", action="lost", subject="s", now=NOW)
        silent.flush()
        with postgres_database.write() as other:
            other.execute(text("SET LOCAL lock_timeout = '20s'"))
            other.scalars(locking).one()
        silent.execute(text("SELECT 1"))
    assert noted(postgres_database) == ["before"]


def test_somebody_may_take_their_time_over_what_they_read(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "IDLE_TIMEOUT_S", 0.1)
    note(postgres_database, "before")
    with postgres_database.read() as session:
        assert len(audit.list_entries(session, 10)) == 1
        time.sleep(0.4)
        assert len(audit.list_entries(session, 10)) == 1
