"""`worker list` says of each process what it serves, what it could not load, and when its work advanced."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update

from core.clock import utc_now
from db import nodes, registry, swaps
from db.engine import Database
from db.nodes import NodeReport
from db.swaps import FailedSwap
from db.tables import Worker
from tests import ledger
from tests.unit.scripts.runner import Run


def report(database: Database, name: str, *, role: str = "identify", advanced: bool = False, **changes: Any) -> None:
    now = utc_now()
    said = NodeReport(name=name, role=role, host="host", pid=7, device="cpu", started_at=now, **changes)
    with database.write() as session:
        nodes.report_node(session, said, now, advanced=advanced)


def activate(database: Database, sha256: str) -> int:
    with database.write() as session:
        model = registry.get_model(session, f"v{ledger.add_model(session, sha256)}")
        registry.activate_model(session, model, who="test", why="test", now=utc_now())
        return model.id


def fail(database: Database, worker: str, model_id: int, attempts: int) -> None:
    now = utc_now()
    failure = FailedSwap(
        model_id=model_id, generation=2, code="artifact_missing", message="It is gone.", attempts=attempts, at=now
    )
    with database.write() as session:
        swaps.report_failures(session, worker, [failure], now)


def test_without_workers_it_says_how_to_start_one(run: Run, database: Database) -> None:
    assert "facefleet worker --device cpu" in run("worker", "list").out
    assert run("worker", "list", "--json").document == {"serving": None, "workers": []}


def test_each_process_is_listed_with_what_it_serves(run: Run, database: Database) -> None:
    old, new = activate(database, "a" * 64), activate(database, "b" * 64)
    since = utc_now() - timedelta(minutes=1)
    report(database, "w/0", generation=2, model_id=new, serves_since=since, advanced=True)
    report(database, "w/1", generation=1, model_id=old)
    report(database, "t/0", role="train")
    document = run("worker", "list", "--json").document
    assert document["serving"]["generation"] == 2
    shown = {worker["name"]: worker for worker in document["workers"]}
    assert list(shown) == ["t/0", "w/0", "w/1"]
    assert [shown[name]["model"] for name in shown] == [None, "v2", "v1"]
    assert [shown[name]["current"] for name in shown] == [None, True, False]
    assert shown["w/0"]["serves_since"] == since.isoformat()
    assert shown["w/0"]["advanced_at"] is not None
    assert shown["w/1"]["advanced_at"] is None
    lines = {line.split()[0]: line for line in run("worker", "list").out.splitlines() if "/" in line}
    assert "loading" in lines["w/1"]
    assert "never" in lines["w/1"]
    assert "loading" not in lines["w/0"]


def test_it_is_shown_how_each_process_runs_its_model_and_whether_that_was_known(run: Run, database: Database) -> None:
    model = activate(database, "a" * 64)
    serves: dict[str, Any] = {"generation": 1, "model_id": model}
    report(database, "w/0", **serves, variant="onednn", images_per_s=1046.7, tuning_cached=False)
    report(database, "w/1", **serves, variant="onednn", images_per_s=1046.7, tuning_cached=True)
    report(database, "w/2")
    measured = {"variant": "onednn", "images_per_s": 1046.7}
    workers = run("worker", "list", "--json").document["workers"]
    assert [worker["engine"] for worker in workers] == [
        {**measured, "cached": False},
        {**measured, "cached": True},
        None,
    ]
    lines = {line.split()[0]: line for line in run("worker", "list").out.splitlines() if "/" in line}
    assert "onednn" in lines["w/0"] and "1,047" in lines["w/0"] and "cached" not in lines["w/0"]
    assert "onednn (cached)" in lines["w/1"] and "1,047" in lines["w/1"]
    assert "1,047" not in lines["w/2"]


def test_a_process_that_was_not_heard_of_for_a_minute_is_called_silent(run: Run, database: Database) -> None:
    activate(database, "a" * 64)
    report(database, "w/0")
    with database.write() as session:
        session.execute(update(Worker).values(seen_at=utc_now() - timedelta(seconds=70)))
    report(database, "w/1")
    lines = {line.split()[0]: line for line in run("worker", "list").out.splitlines() if "/" in line}
    assert "silent" in lines["w/0"]
    assert "silent" not in lines["w/1"]
    assert [each["silent"] for each in run("worker", "list", "--json").document["workers"]] == [True, False]


def test_a_swap_that_failed_is_shown_with_the_reason(run: Run, database: Database) -> None:
    old, new = activate(database, "a" * 64), activate(database, "b" * 64)
    report(database, "w/0", generation=1, model_id=old)
    fail(database, "w/0", new, attempts=3)
    ran = run("worker", "list")
    assert "failed (artifact_missing)" in ran.out
    assert "w/0 could not load v2 (3 times since" in ran.out
    assert "It is gone." in ran.out
    [failed] = run("worker", "list", "--json").document["workers"][0]["failed_swaps"]
    assert (failed["model"], failed["code"], failed["attempts"], failed["ended_at"]) == (
        "v2",
        "artifact_missing",
        3,
        None,
    )


def test_a_failure_that_was_mended_is_not_shown(run: Run, database: Database) -> None:
    new = activate(database, "a" * 64)
    report(database, "w/0", generation=1, model_id=new)
    fail(database, "w/0", new, attempts=1)
    with database.write() as session:
        swaps.report_failures(session, "w/0", [], utc_now())
    assert run("worker", "list", "--json").document["workers"][0]["failed_swaps"] == []


def test_the_node_itself_takes_its_options_as_before(run: Run, home: object) -> None:
    ran = run("worker", "--device", "tpu")
    assert ran.code == 2
