"""Training runs on the command line: listed, shown with their curve, cancelled."""

import pytest

from core.clock import utc_now
from core.records import EpochProgress, RunState
from db import run_requests, runs
from db.engine import Database
from db.runs import RunLease
from db.tables import Run as RunRow
from scripts.run_report import sparkline
from tests.unit.scripts.runner import Run


def add_run(database: Database) -> RunRow:
    with database.write() as session:
        return run_requests.request_run(session, recipe="compact", options={"who": "ada", "seed": 3}, now=utc_now())[0]


def begin(database: Database, row: RunRow, epochs: int) -> RunLease:
    with database.write() as session:
        lease = runs.claim_run(session, row.id, "trainer", utc_now(), 60)
        assert lease is not None
        runs.set_stage(session, lease, "training", dataset_digest="d" * 64, environment={"torch": "2.15.0"})
        for epoch in range(1, epochs + 1):
            runs.record_epoch(session, lease, progress(epoch))
    return lease


def progress(epoch: int) -> EpochProgress:
    return EpochProgress(
        epoch=epoch,
        epochs=10,
        train_loss=4.0 / epoch,
        train_accuracy=1.0 - 0.5 / epoch,
        val_loss=None,
        val_accuracy=None,
        learning_rate=0.001,
        seconds=2.0,
    )


def test_without_runs_the_list_says_what_to_type(run: Run, database: Database) -> None:
    assert "facefleet retrain --wait" in run("run", "list").out
    assert run("run", "list", "--json").document == {"runs": []}


def test_runs_are_listed_newest_first(run: Run, database: Database) -> None:
    first = add_run(database)
    begin(database, first, 1)
    second = add_run(database)
    listed = run("run", "list", "--json").document["runs"]
    assert [(each["run"], each["state"], each["stage"]) for each in listed] == [
        (second.public_id, "queued", None),
        (first.public_id, "running", "training"),
    ]
    assert "running: training" in run("run", "list").out


def test_a_run_that_is_on_shows_how_far_it_is_and_its_curve(run: Run, database: Database) -> None:
    row = add_run(database)
    begin(database, row, 4)
    shown = run("run", "show", row.public_id, "--json").document
    assert (shown["epoch"], shown["epochs"], shown["seconds_per_epoch"], shown["eta_s"]) == (4, 10, 2.0, 12.0)
    assert (shown["options"]["seed"], shown["environment"], shown["dataset_digest"]) == (
        3,
        {"torch": "2.15.0"},
        "d" * 64,
    )
    assert [(point["epoch"], point["train_loss"]) for point in shown["curve"]] == [
        (1, 4.0),
        (2, 2.0),
        (3, 4 / 3),
        (4, 1.0),
    ]
    text = run("run", "show", row.public_id).out
    assert "4 of 10" in text
    assert "about 12.0 s" in text
    assert "Loss                   4.000  █▃▂▁  1.000" in text
    assert "Accuracy              50.0 %  ▁▆▇█  87.5 %" in text


def test_a_run_that_waits_says_why(run: Run, database: Database) -> None:
    row = add_run(database)
    assert "No trainer runs" in run("run", "show", row.public_id).out
    assert "No trainer runs" in run("run", "show", row.public_id, "--json").document["waits_because"]


def test_cancelling_says_what_it_does_and_the_second_time_nothing(run: Run, database: Database) -> None:
    waiting, held = add_run(database), add_run(database)
    assert waiting.id == held.id, "the same request"
    cancelled = run("run", "cancel", waiting.public_id, "--json")
    assert (cancelled.code, cancelled.document) == (
        0,
        {"run": waiting.public_id, "state": "cancelled", "changed": True},
    )
    assert "had ended before: cancelled" in run("run", "cancel", waiting.public_id).out
    held = add_run(database)
    begin(database, held, 1)
    assert "stops within seconds" in run("run", "cancel", held.public_id).out
    assert run("run", "cancel", held.public_id, "--json").document["changed"] is False


@pytest.mark.parametrize("what", ["show", "watch", "cancel"])
def test_an_unknown_run_is_wrong_usage(run: Run, database: Database, what: str) -> None:
    ran = run("run", what, "r-none")
    assert ran.code == 2
    assert "No training run has the id" in ran.err


def test_watching_a_run_that_failed_ends_with_exit_code_1_and_its_reason(run: Run, database: Database) -> None:
    row = add_run(database)
    lease = begin(database, row, 1)
    with database.write() as session:
        runs.finish_run(session, lease, RunState.FAILED, now=utc_now(), reason="The disk is full.")
    ran = run("run", "watch", row.public_id)
    assert ran.code == 1
    assert "The disk is full." in ran.out


def test_the_same_training_asked_for_twice_is_queued_once(run: Run, database: Database) -> None:
    row = add_run(database)
    assert run("run", "show", row.public_id, "--json").document["attempts"] == 0
    assert add_run(database).id == row.id


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [([], 5, ""), ([1.0], 5, "▁"), ([0.0, 1.0], 5, "▁█"), ([2.0] * 4, 9, "▁▁▁▁"), ([0.0, 0.0, 7.0, 7.0], 2, "▁█")],
)
def test_a_line_of_blocks_shows_the_course_of_figures(values: list[float], width: int, expected: str) -> None:
    assert sparkline(values, width) == expected
