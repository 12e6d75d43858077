"""Artifacts are removed only when nothing refers to them: no model, no run in progress, and no haste."""

import logging
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from core.clock import utc_now
from core.errors import ForeignStoreError
from core.models.store import ModelStore
from db import runs
from db.engine import Database
from db.tables import Run
from tests import ledger
from tests.factories import put_bytes
from tests.integration.workers.fleet import SmallFleet, wait_until
from workers.collect import collect_artifacts
from workers.sweep import run_sweeper

DAY_S = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "artifacts")


def put(store: ModelStore, data: bytes, *, days_old: float) -> str:
    """Store an artifact so many days ago."""
    sha256 = put_bytes(store, data)
    then_s = time.time() - days_old * DAY_S
    os.utime(store.path(sha256), (then_s, then_s))
    return sha256


def register(database: Database, sha256: str) -> None:
    with database.write() as session:
        ledger.add_model(session, sha256)


def names(store: ModelStore) -> set[str]:
    return {each.sha256 for each in store.list_artifacts()}


def test_what_no_model_names_and_is_old_is_removed(database: Database, store: ModelStore) -> None:
    named, orphan, young = (put(store, data, days_old=days) for data, days in ((b"a", 30), (b"b", 30), (b"c", 1)))
    register(database, named)
    looked = collect_artifacts(database, store, utc_now(), dry_run=True)
    assert names(store) == {named, orphan, young}
    done = collect_artifacts(database, store, utc_now())
    assert looked == done
    assert [each.sha256 for each in done.removed] == [orphan]
    assert (done.kept, done.registered) == (2, 1)
    assert names(store) == {named, young}
    assert collect_artifacts(database, store, utc_now()).removed == ()


def test_what_was_stored_since_a_run_began_stays_until_the_run_has_ended(database: Database, store: ModelStore) -> None:
    named, before, since = (put(store, data, days_old=days) for data, days in ((b"a", 30), (b"b", 20), (b"c", 9)))
    register(database, named)
    register(database, put(store, b"d", days_old=30))
    with database.write() as session:
        run = runs.create_run(session, recipe="compact", options={}, now=utc_now())
    with database.write() as session:
        lease = runs.claim_run(session, run.id, "t", utc_now(), 60.0)
        session.get_one(Run, run.id).started_at = utc_now() - timedelta(days=10)
    assert lease is not None
    assert [each.sha256 for each in collect_artifacts(database, store, utc_now()).removed] == [before]
    with database.write() as session:
        runs.release_run(session, lease)
    assert collect_artifacts(database, store, utc_now()).removed == (), "it will go on"
    with database.write() as session:
        runs.request_cancel(session, run.public_id, utc_now())
    assert [each.sha256 for each in collect_artifacts(database, store, utc_now()).removed] == [since]


def test_a_store_of_another_fleet_is_left_alone_unless_somebody_insists(database: Database, store: ModelStore) -> None:
    """As when the setting of the database was forgotten: an empty one knows no model."""
    theirs = {put(store, data, days_old=30) for data in (b"a", b"b")}
    register(database, put(store, b"mine", days_old=1))
    with pytest.raises(ForeignStoreError, match="2 artifacts that no model of this database names, and 1 that one"):
        collect_artifacts(database, store, utc_now())
    assert names(store) > theirs
    assert len(collect_artifacts(database, store, utc_now(), dry_run=True).removed) == 2
    assert len(collect_artifacts(database, store, utc_now(), force=True).removed) == 2
    assert len(names(store)) == 1


def test_the_sweeper_collects_and_says_what(sqlite_fleet: SmallFleet, caplog: pytest.LogCaptureFixture) -> None:
    store = ModelStore(sqlite_fleet.settings.artifacts_dir)
    sqlite_fleet.add_model()
    orphan = put(store, b"orphan", days_old=30)

    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        if len(waited) == 1:
            return False
        wait_until(
            lambda: orphan not in names(store) and orphan in caplog.text, "the orphan is removed, and it is said"
        )
        return True

    with caplog.at_level(logging.INFO, logger="workers.sweep"):
        run_sweeper(sqlite_fleet.database, sqlite_fleet.doorbell, sqlite_fleet.settings, wait=wait)
