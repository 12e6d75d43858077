"""Health is red while work does not advance, and says what keeps it; what merely waits its turn is no alarm."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import ServiceError
from core.settings import Settings
from db import chunks, health, nodes, registry, swaps
from db.engine import Database
from db.health import Health
from db.nodes import NodeReport
from db.swaps import FailedSwap
from tests import ledger
from tests.ledger import LEASE_S, NOW
from tests.services import free_port
from tests.web import ask
from web.app import make_app, read_status
from workers.doorbell import Doorbell

LONG_AFTER = NOW + timedelta(seconds=health.STALL_LEASES * LEASE_S + 1)


def look(database: Database, now: datetime = LONG_AFTER, *, redis_answers: bool = True) -> Health:
    with database.read() as session:
        return health.read_health(session, now, LEASE_S, redis_answers=redis_answers)


def report(database: Database, name: str, *, seen: datetime = LONG_AFTER, **changes: Any) -> None:
    said = NodeReport(name=name, role="identify", host="host", pid=7, device="cpu", started_at=NOW, **changes)
    with database.write() as session:
        nodes.report_node(session, said, seen, advanced=False)


def activate_model(database: Database) -> int:
    with database.write() as session:
        model_id = ledger.add_model(session)
        registry.activate_model(session, registry.get_model(session, f"v{model_id}"), who="t", why="t", now=NOW)
    return model_id


def test_a_fleet_without_work_is_well_however_long_ago_it_worked(database: Database) -> None:
    activate_model(database)
    report(database, "host/0")
    assert look(database).problems == ()


def test_work_that_waits_less_than_a_killed_workers_lease_is_no_alarm(database: Database) -> None:
    ledger.add_job(database, items=4)
    activate_model(database)
    report(database, "host/0")
    assert look(database, NOW + timedelta(seconds=LEASE_S)).stall is None


@pytest.mark.parametrize("claimed", [False, True])
def test_workers_that_report_and_do_not_advance_are_named(database: Database, claimed: bool) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    if claimed:
        ledger.must_claim(database, chunk_id, worker="host/0:7")
    activate_model(database)
    report(database, "host/0")
    report(database, "host/1")
    stall = look(database).stall
    assert stall is not None
    assert stall.startswith("1 chunks wait or are in work, and none was finished for 121 s: host/0, host/1 report but")
    assert look(database).problems == (stall,)


def test_of_many_workers_the_first_few_are_named(database: Database) -> None:
    ledger.add_job(database, items=4)
    activate_model(database)
    for number in range(8):
        report(database, f"host/{number}")
    assert "host/3, host/4 and 3 more report but do not advance" in (look(database).stall or "")


def test_no_worker_no_model_and_no_redis_are_each_the_reason(database: Database) -> None:
    ledger.add_job(database, items=4)
    assert "no worker reports, and no model is active." in (look(database).stall or "")
    activate_model(database)
    report(database, "host/0", seen=NOW)  # long ago
    assert "none was finished for 121 s: no worker reports." in (look(database).stall or "")
    report(database, "host/0")
    assert "Redis takes no bells" in (look(database, redis_answers=False).stall or "")


def test_workers_that_cannot_load_the_model_are_named_with_the_reason(database: Database) -> None:
    ledger.add_job(database, items=4)
    activate_model(database)
    report(database, "host/0", model_error="The model store holds no artifact.")
    found = look(database)
    assert "no worker can load the model (host/0)" in (found.stall or "")
    assert "host/0: The model store holds no artifact." in found.problems


def test_what_cannot_be_loaded_is_told_by_worker_with_model_and_reason(
    database: Database, redis_url: str, settings: Settings
) -> None:
    model_id = activate_model(database)
    report(database, "host/0", model_id=model_id, generation=1, model_error="It is gone.")
    report(database, "host/1", model_id=model_id, generation=1)
    failure = FailedSwap(
        model_id=model_id, generation=2, code="artifact_missing", message="It is gone.", attempts=3, at=NOW
    )
    with database.write() as session:
        swaps.report_failures(session, "host/0", [failure], NOW)
    doorbell = Doorbell(redis_url)
    status = read_status(database, doorbell, settings, lambda: LONG_AFTER)
    assert status["problems"] == ["host/0: It is gone."]
    failed, well = status["workers"]
    assert (failed["model"], failed["generation"]) == ("v1", 1)
    assert [(each["model"], each["generation"], each["code"]) for each in failed["failed_swaps"]] == [
        ("v1", 2, "artifact_missing")
    ]
    assert well["failed_swaps"] == []
    assert get(database, doorbell, settings, "/") == 200
    doorbell.close()


def test_a_chunk_that_was_finished_lately_counts_though_its_worker_stopped(database: Database) -> None:
    """As in a rolling restart: the new workers have finished nothing yet."""
    _, (first, _) = ledger.add_job(database, items=8)
    model_id = activate_model(database)
    lease = ledger.must_claim(database, first)
    said = NodeReport(name="old/0", role="identify", host="host", pid=7, device="cpu", started_at=NOW)
    with database.write() as session:
        chunks.finish_chunk(session, lease, ledger.results_of(lease), model_id, LONG_AFTER)
        nodes.report_node(session, said, LONG_AFTER, advanced=True)
        nodes.report_stop(session, "old/0", LONG_AFTER)
    report(database, "new/0")
    assert look(database, LONG_AFTER + timedelta(seconds=1)).stall is None


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, lease_s=LEASE_S)


@pytest.fixture
def silent_doorbell() -> Iterator[Doorbell]:
    doorbell = Doorbell(f"redis://127.0.0.1:{free_port()}/0")
    yield doorbell
    doorbell.close()


def get(database: Database, doorbell: Doorbell, settings: Settings, path: str) -> int:
    """Ask the app; return the status code."""
    return ask(make_app(database, doorbell, settings, lambda: LONG_AFTER), path).status


def test_the_health_check_is_green_while_all_is_well(database: Database, redis_url: str, settings: Settings) -> None:
    activate_model(database)
    report(database, "host/0")
    doorbell = Doorbell(redis_url)
    assert read_status(database, doorbell, settings, lambda: LONG_AFTER)["problems"] == []
    assert get(database, doorbell, settings, "/health") == 200
    assert get(database, doorbell, settings, "/") == 200
    doorbell.close()


def test_the_health_check_is_red_without_redis_and_says_that_work_waits_for_it(
    database: Database, silent_doorbell: Doorbell, settings: Settings
) -> None:
    ledger.add_job(database, items=4)
    activate_model(database)
    report(database, "host/0")
    status = read_status(database, silent_doorbell, settings, lambda: LONG_AFTER)
    assert not status["ok"]
    away, stall = status["problems"]
    assert "did not answer" in away
    assert "Redis takes no bells, so that no worker hears of them" in stall
    assert get(database, silent_doorbell, settings, "/health") == 503


def test_the_health_check_is_red_without_a_database(redis_url: str, settings: Settings) -> None:
    database = Database(f"postgresql+psycopg://ada:secret@127.0.0.1:{free_port()}/facefleet")
    doorbell = Doorbell(redis_url)
    status = read_status(database, doorbell, settings, lambda: LONG_AFTER)
    assert [word in status["problems"][0] for word in ("postgresql", "did not answer", "secret")] == [True, True, False]
    assert get(database, doorbell, settings, "/health") == 503
    with pytest.raises(ServiceError):
        database.check()
    doorbell.close()
    database.close()
