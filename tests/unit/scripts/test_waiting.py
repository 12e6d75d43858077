from datetime import timedelta
from typing import Any

import pytest

from core.records import JobState
from db.engine import Database
from db.nodes import NodeReport, report_node
from db.registry import activate_model, get_model
from db.tables import Job
from scripts import waiting
from scripts.common import Invocation
from tests import ledger


def test_a_job_waits_for_a_worker_then_for_a_model_then_for_nothing(database: Database) -> None:
    assert "No worker runs" in (why(database) or "")
    report(database)
    assert "No model is active" in (why(database) or "")
    activate(database)
    assert why(database) is None


def test_a_paused_job_waits_for_its_owner(database: Database) -> None:
    paused = Job(public_id="j1", state=JobState.PAUSED)
    with database.read() as session:
        assert "facefleet job resume j1" in (waiting.why_job_waits(session, paused, ledger.NOW) or "")


def test_a_worker_that_was_last_seen_long_ago_is_none(database: Database) -> None:
    activate(database)
    report(database)

    assert "No worker runs" in (why(database, after_s=waiting.FRESH_S + 1) or "")


def test_workers_that_all_fail_to_load_the_model_say_why(database: Database) -> None:
    activate(database)
    report(database, model_error="The file is damaged.")
    assert "The file is damaged." in (why(database) or "")

    report(database, name="w/1", generation=1)
    assert why(database) is None, "one that serves is enough"


def test_watching_ends_when_the_job_is_cancelled(database: Database) -> None:
    job_id, _ = ledger.add_job(database, items=3)
    ledger.set_job_state(database, job_id, JobState.CANCELLED)
    public_id = ledger.get_job(database, job_id).public_id
    invocation = Invocation(as_json=False)

    assert waiting.wait_for_job(database, public_id, invocation).state == JobState.CANCELLED
    assert f"facefleet job watch {public_id}" in invocation.on_interrupt


def test_a_reason_is_told_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job is cancelled by the third look, so that the wait ends."""
    monkeypatch.setattr(waiting, "_PATIENCE_S", -1.0)
    monkeypatch.setattr(waiting, "POLL_S", 0.0)
    job_id, _ = ledger.add_job(database, items=3)
    looks = []

    def look_and_cancel(session: Any, job: Any, now: Any) -> str:
        looks.append(now)
        if len(looks) == 3:
            ledger.set_job_state(database, job_id, JobState.CANCELLED)
        return "No worker runs."

    monkeypatch.setattr(waiting, "why_job_waits", look_and_cancel)

    waiting.wait_for_job(database, ledger.get_job(database, job_id).public_id, Invocation(as_json=False))

    assert capsys.readouterr().err == "No worker runs.\n"


def test_what_a_worker_said_before_the_activation_is_not_said_of_the_new_model(database: Database) -> None:
    with database.write() as session:
        model = get_model(session, f"v{ledger.add_model(session)}")
        activate_model(session, model, who="test", why="test", now=ledger.NOW + timedelta(seconds=1))
    report(database, model_error="No model is active yet.")
    assert why(database, after_s=2.0) is None


def why(database: Database, after_s: float = 1.0) -> str | None:
    with database.read() as session:
        return waiting.why_job_waits(session, Job(state=JobState.RUNNING), ledger.NOW + timedelta(seconds=after_s))


def report(database: Database, name: str = "w/0", **changes: Any) -> None:
    word = NodeReport(name=name, role="identify", host="h", pid=1, device="cpu", started_at=ledger.NOW, **changes)
    with database.write() as session:
        report_node(session, word, ledger.NOW, advanced=False)


def activate(database: Database) -> None:
    with database.write() as session:
        model = get_model(session, f"v{ledger.add_model(session)}")
        activate_model(session, model, who="test", why="test", now=ledger.NOW)
