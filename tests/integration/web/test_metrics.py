"""Metrics say what the ledger holds at the moment of the scrape, also when there is no ledger to be asked."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.applications import Starlette

from core.records import FaceOutcome, FaceResult, JobState, RunState
from core.settings import Settings
from db import health, nodes, registry, swaps
from db.engine import Database
from db.nodes import SILENT_AFTER, NodeReport
from db.swaps import FailedSwap
from db.tables import Run
from tests import ledger
from tests.ledger import LEASE_S, NOW, face
from tests.services import free_port
from tests.web import Metrics, ask, scrape
from web.app import make_app
from workers.doorbell import Doorbell

ROOT = Path(__file__).resolve().parents[3]
LATER = NOW + timedelta(seconds=10)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, lease_s=LEASE_S)


@pytest.fixture
def doorbell(redis_url: str) -> Iterator[Doorbell]:
    made = Doorbell(redis_url)
    yield made
    made.close()


@pytest.fixture
def app(database: Database, doorbell: Doorbell, settings: Settings) -> Starlette:
    return make_app(database, doorbell, settings, lambda: LATER)


def activate(database: Database, sha256: str = "a" * 64) -> int:
    with database.write() as session:
        model_id = ledger.add_model(session, sha256)
        registry.activate_model(session, registry.get_model(session, f"v{model_id}"), who="t", why="t", now=NOW)
    return model_id


def report(database: Database, name: str, *, seen: datetime = LATER, advanced: bool = False, **changes: Any) -> None:
    said = NodeReport(name=name, role="identify", host="host", pid=7, device="cpu", started_at=NOW)
    with database.write() as session:
        nodes.report_node(session, replace(said, **changes), seen, advanced=advanced)


def fail(database: Database, worker: str, model_id: int, *, generation: int | None, attempts: int = 3) -> None:
    failure = FailedSwap(
        model_id=model_id,
        generation=generation,
        code="artifact_missing",
        message="It is gone.",
        attempts=attempts,
        at=NOW,
    )
    with database.write() as session:
        swaps.report_failures(session, worker, [failure], NOW)


def mend(database: Database, worker: str) -> None:
    with database.write() as session:
        swaps.report_failures(session, worker, [], LATER)


def by(metrics: Metrics, name: str, label: str) -> dict[str, float]:
    """The samples of a metric by their only label."""
    found = metrics.labelled(name)
    assert all(set(labels) == {label} for labels, _ in found)
    return {labels[label]: value for labels, value in found}


def by_worker(metrics: Metrics, name: str) -> dict[str, float]:
    return {labels["worker"]: value for labels, value in metrics.labelled(name)}


def fill(database: Database) -> None:
    """A job that is done with every outcome, one that is paused half way, one that runs; and training runs."""
    (ada,) = ledger.add_people(database, "Ada Lovelace")
    model_id = activate(database)
    every = [
        face(0, FaceOutcome.IDENTIFIED, ada),
        face(1),
        face(2, FaceOutcome.AMBIGUOUS),
        face(3, FaceOutcome.LOW_QUALITY),
    ]

    def store(*faces: FaceResult) -> None:
        """Finish a chunk of three: a photo with these faces, one with none, one that is broken."""
        lease = ledger.claim(database)
        assert lease is not None
        first = lease.first_ordinal
        results = [ledger.result(first, *faces), ledger.result(first + 1), ledger.failure(first + 2)]
        ledger.finish(database, lease, results, model_id)

    ledger.add_job(database, items=6, chunk_size=3)
    store(*every)
    store(face())
    paused, _ = ledger.add_job(database, items=6, chunk_size=3)
    store(*every)
    ledger.set_job_state(database, paused, JobState.PAUSED)
    ledger.add_job(database, items=12)
    ledger.claim(database)
    with database.write() as session:
        for number, state in enumerate((RunState.QUEUED, RunState.FAILED, RunState.FAILED)):
            session.add(Run(public_id=f"r{number}", recipe="compact", options={}, state=state, created_at=NOW))


def test_photos_faces_and_jobs_are_added_up_over_all_jobs(database: Database, app: Starlette) -> None:
    fill(database)
    metrics = scrape(app)
    assert by(metrics, "photos", "outcome") == {"faces": 3, "no_face": 3, "error": 3}
    assert by(metrics, "faces", "outcome") == {"identified": 2, "unknown": 3, "ambiguous": 2, "low_quality": 2}
    jobs = by(metrics, "jobs", "state")
    assert jobs == {"submitting": 0, "running": 1, "paused": 1, "done": 1, "cancelled": 0}
    assert by(metrics, "waiting_photos", "job_state") == {"running": 12, "paused": 3}
    assert by(metrics, "open_chunks", "state") == {"queued": 2, "claimed": 1}  # of jobs that run


def test_training_runs_are_counted_by_state(database: Database, app: Starlette) -> None:
    fill(database)
    runs = by(scrape(app), "training_runs", "state")
    assert runs == {"queued": 1, "running": 0, "succeeded": 0, "failed": 2, "cancelled": 0}


def test_a_fleet_that_has_done_nothing_shows_zeros_and_no_model(database: Database, app: Starlette) -> None:
    metrics = scrape(app)
    assert by(metrics, "photos", "outcome") == {"faces": 0, "no_face": 0, "error": 0}
    assert set(by(metrics, "jobs", "state").values()) == {0}
    assert metrics.value("model_generation") == 0
    assert metrics.labelled("model_info") == []
    assert metrics.value("database_up") == 1
    assert metrics.value("healthy") == 0


def test_the_newest_activation_and_its_model_are_told(database: Database, app: Starlette) -> None:
    activate(database)
    activate(database, "b" * 64)
    metrics = scrape(app)
    assert metrics.value("model_generation") == 2
    assert metrics.labelled("model_info") == [({"version": "v2", "sha256": "b" * 64}, 1)]


def test_health_is_green_exactly_when_the_health_check_is(database: Database, app: Starlette) -> None:
    activate(database)
    assert (scrape(app).value("healthy"), ask(app, "/health").status) == (0, 503)
    report(database, "host/0")
    assert (scrape(app).value("healthy"), ask(app, "/health").status) == (1, 200)


def test_work_that_does_not_advance_is_stalled(
    database: Database, doorbell: Doorbell, settings: Settings, app: Starlette
) -> None:
    ledger.add_job(database, items=4)
    assert scrape(app).value("stalled") == 0
    long_after = NOW + timedelta(seconds=health.STALL_LEASES * LEASE_S + 1)
    assert scrape(make_app(database, doorbell, settings, lambda: long_after)).value("stalled") == 1


def test_a_worker_on_an_older_generation_is_not_current(database: Database, app: Starlette) -> None:
    first, second = activate(database), activate(database, "b" * 64)
    report(database, "host/0", generation=2, model_id=second)
    report(database, "host/1", generation=1, model_id=first)
    report(database, "host/2")
    report(database, "host/trainer", role="train", device="cuda:1")
    metrics = scrape(app)
    assert by_worker(metrics, "worker_generation") == {"host/0": 2, "host/1": 1, "host/2": 0}
    assert by_worker(metrics, "worker_current") == {"host/0": 1, "host/1": 0, "host/2": 0}
    behind = {"worker": "host/1", "role": "identify", "host": "host", "device": "cpu", "model": f"v{first}"}
    trainer = {"worker": "host/trainer", "role": "train", "host": "host", "device": "cuda:1", "model": ""}
    assert (behind, 1) in metrics.labelled("worker_info")
    assert (trainer, 1) in metrics.labelled("worker_info")


def test_a_worker_is_silent_when_worker_list_says_so(database: Database, app: Starlette) -> None:
    report(database, "host/0", seen=LATER - SILENT_AFTER)
    report(database, "host/1", seen=LATER - SILENT_AFTER - timedelta(seconds=1))
    report(database, "host/2", seen=LATER - 2 * SILENT_AFTER)
    with database.write() as session:
        nodes.report_stop(session, "host/2", LATER)
    metrics = scrape(app)
    assert by_worker(metrics, "worker_silent") == {"host/0": 0, "host/1": 1}
    assert by_worker(metrics, "worker_heartbeat_age_seconds") == {"host/0": 60, "host/1": 61}


def test_work_that_advanced_is_told_apart_from_a_heartbeat(database: Database, app: Starlette) -> None:
    report(database, "host/0", seen=NOW, advanced=True)
    report(database, "host/0")
    report(database, "host/1", seen=LATER + timedelta(seconds=1))  # between the look at the clock and this row
    metrics = scrape(app)
    assert by_worker(metrics, "worker_advance_age_seconds") == {"host/0": 10}
    assert by_worker(metrics, "worker_heartbeat_age_seconds") == {"host/0": 0, "host/1": 0}


def test_a_model_that_cannot_be_loaded_is_told_by_worker_with_its_code(database: Database, app: Starlette) -> None:
    model_id = activate(database)
    report(database, "host/0", model_error="It is gone.")
    fail(database, "host/0", model_id, generation=1)
    report(database, "host/1")
    fail(database, "host/1", model_id, generation=None, attempts=1)
    metrics = scrape(app)
    of = {"model": f"v{model_id}", "code": "artifact_missing"}
    expected = [({"worker": "host/0", "place": "active", **of}, 3), ({"worker": "host/1", "place": "beside", **of}, 1)]
    assert metrics.labelled("swap_failures_total") == expected
    assert by_worker(metrics, "swap_failing") == {"host/0": 1, "host/1": 1}


def test_a_failure_that_has_ended_or_whose_worker_is_gone_is_no_alarm(database: Database, app: Starlette) -> None:
    model_id = activate(database)
    for name in ("mended/0", "silent/0", "stopped/0"):
        report(database, name, seen=NOW - SILENT_AFTER if name == "silent/0" else LATER)
        fail(database, name, model_id, generation=1)
    mend(database, "mended/0")
    with database.write() as session:
        nodes.report_stop(session, "stopped/0", LATER)
    metrics = scrape(app)
    assert by_worker(metrics, "swap_failing") == {"mended/0": 0, "silent/0": 0}
    assert by_worker(metrics, "swap_failures_total") == {"mended/0": 3, "silent/0": 3}


def say_that_the_database_is_away(metrics: Metrics) -> None:
    assert metrics.names == {
        "facefleet_healthy",
        "facefleet_database_up",
        "facefleet_redis_up",
        "facefleet_scrape_duration_seconds",
    }
    assert metrics.value("database_up") == metrics.value("healthy") == 0
    assert metrics.value("redis_up") == 1


def test_without_a_database_the_scrape_says_so_and_no_number_is_made_up(doorbell: Doorbell, settings: Settings) -> None:
    database = Database(f"postgresql+psycopg://ada:secret@127.0.0.1:{free_port()}/facefleet")
    say_that_the_database_is_away(scrape(make_app(database, doorbell, settings)))
    database.close()


def test_a_database_without_tables_is_not_up(empty_database: Database, doorbell: Doorbell, settings: Settings) -> None:
    say_that_the_database_is_away(scrape(make_app(empty_database, doorbell, settings)))


def test_without_redis_the_ledger_is_told_all_the_same(database: Database, settings: Settings) -> None:
    fill(database)
    report(database, "host/0")
    silent = Doorbell(f"redis://127.0.0.1:{free_port()}/0")
    metrics = scrape(make_app(database, silent, settings, lambda: LATER))
    silent.close()
    assert (metrics.value("redis_up"), metrics.value("database_up"), metrics.value("healthy")) == (0, 1, 0)
    assert metrics.value("jobs", state="running") == 1


def test_who_asks_for_openmetrics_gets_it(database: Database, app: Starlette) -> None:
    fill(database)
    answer = ask(app, "/metrics", accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert answer.content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["facefleet_swap_failures"].type == "counter"
    assert all(family.documentation.endswith(".") for family in families.values())


def test_no_person_job_or_photo_is_named(database: Database, app: Starlette) -> None:
    fill(database)
    public_id = ledger.get_job(database, 1).public_id
    page, text = ask(app, "/").text, ask(app, "/metrics").text
    assert public_id in page
    assert not any(word in text for word in (public_id, "album", "Ada", "Lovelace", "r0"))


def test_every_metric_is_documented_and_alerts_ask_for_no_other(database: Database, app: Starlette) -> None:
    activate(database)
    report(database, "host/0", advanced=True)
    fail(database, "host/0", 1, generation=1)
    documented = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("\n## Metrics\n")[2]
    documented = documented.partition("\n## ")[0]
    names = scrape(app).names
    assert set(re.findall(r"^\| `(\w+)", documented, re.M)) == names
    assert set(re.findall(r"\bfacefleet_\w+", documented)) == names
