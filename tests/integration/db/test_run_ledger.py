"""Training runs: one trainer at a time, fenced, cancelled when asked, given up when they kill their trainer."""

from datetime import timedelta

import pytest

from core.errors import LeaseLostError, UnknownIdError
from core.records import EpochProgress, RunState
from db import runs
from db.engine import Database
from db.runs import MAX_ATTEMPTS, RunLease
from db.tables import Run
from tests import ledger
from tests.ledger import EXPIRED, LEASE_S, NOW


def add_run(database: Database) -> int:
    with database.write() as session:
        return runs.create_run(session, recipe="compact", options={"epochs": 3}, now=NOW).id


def claim(database: Database, run_id: int, worker: str = "t1", at: int = 0) -> RunLease | None:
    """Claim a run when `at` leases have gone by."""
    with database.write() as session:
        return runs.claim_run(session, run_id, worker, NOW + at * (EXPIRED - NOW), LEASE_S)


def must_claim(database: Database, run_id: int, worker: str = "t1", at: int = 0) -> RunLease:
    lease = claim(database, run_id, worker, at)
    assert lease is not None
    return lease


def row(database: Database, run_id: int) -> Run:
    with database.read() as session:
        return session.get_one(Run, run_id)


def sweep(database: Database, at: int) -> int:
    with database.write() as session:
        return runs.reclaim_expired(session, NOW + at * (EXPIRED - NOW))


def progress(epoch: int, loss: float = 1.0) -> EpochProgress:
    return EpochProgress(
        epoch=epoch,
        epochs=3,
        train_loss=loss,
        train_accuracy=0.5,
        val_loss=None,
        val_accuracy=None,
        learning_rate=0.001,
        seconds=2.5,
    )


def test_a_lease_given_before_the_clock_was_set_back_ends(database: Database) -> None:
    run_id = add_run(database)
    must_claim(database, run_id, at=10)
    with database.write() as session:
        runs.end_leases_from_the_future(session, NOW, LEASE_S)
    assert sweep(database, at=0) == 1


def test_only_one_of_eight_trainers_gets_a_run(database: Database) -> None:
    run_id = add_run(database)
    got = ledger.race([lambda i=i: claim(database, run_id, f"t{i}") for i in range(8)])
    leases = [lease for lease in got if lease is not None]
    assert len(leases) == 1
    assert isinstance(leases[0], RunLease)
    assert (leases[0].attempt, leases[0].recipe, leases[0].options) == (1, "compact", {"epochs": 3})


def test_a_heartbeat_keeps_a_run_and_says_whether_to_stop(database: Database) -> None:
    run_id = add_run(database)
    lease = must_claim(database, run_id)
    with database.write() as session:
        assert runs.heartbeat(session, lease, NOW + timedelta(seconds=30), LEASE_S) is False
    assert sweep(database, at=1) == 0
    with database.write() as session:
        runs.request_cancel(session, lease.public_id, NOW)
    with database.write() as session:
        assert runs.heartbeat(session, lease, NOW, LEASE_S) is True


def test_a_trainer_that_lost_its_run_can_write_nothing(database: Database) -> None:
    run_id = add_run(database)
    old = must_claim(database, run_id, "stalled")
    new = must_claim(database, run_id, "successor", at=1)
    assert new.attempt == 2
    for write in (
        lambda session: runs.heartbeat(session, old, EXPIRED, LEASE_S),
        lambda session: runs.set_stage(session, old, "training", dataset_digest="f" * 64),
        lambda session: runs.record_epoch(session, old, progress(1)),
        lambda session: runs.finish_run(session, old, RunState.SUCCEEDED, now=EXPIRED, reason=None),
    ):
        with pytest.raises(LeaseLostError), database.write() as session:
            write(session)
    with database.write() as session:
        runs.release_run(session, old)

    run = row(database, run_id)
    assert (run.state, run.worker, run.stage, run.dataset_digest) == (RunState.RUNNING, "successor", None, None)
    with database.read() as session:
        assert runs.list_epochs(session, run_id) == []


def test_a_run_begins_once_however_often_it_is_resumed(database: Database) -> None:
    run_id = add_run(database)
    must_claim(database, run_id)
    must_claim(database, run_id, at=1)
    assert row(database, run_id).started_at == NOW


def test_a_run_ends_once(database: Database) -> None:
    run_id = add_run(database)
    lease = must_claim(database, run_id)

    def end(reason: str) -> None:
        with database.write() as session:
            runs.finish_run(session, lease, RunState.FAILED, now=NOW, reason=reason)

    outcomes = ledger.race([lambda i=i: end(f"reason {i}") for i in range(4)])
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [LeaseLostError] * 3
    run = row(database, run_id)
    assert (run.state, run.finished_at, run.lease_token) == (RunState.FAILED, NOW, None)
    assert claim(database, run_id) is None


def test_an_epoch_repeated_after_a_crash_replaces_its_figures(database: Database) -> None:
    run_id = add_run(database)
    lease = must_claim(database, run_id)
    for number, loss in [(1, 1.0), (2, 0.8), (2, 0.6), (3, 0.5)]:
        with database.write() as session:
            runs.record_epoch(session, lease, progress(number, loss))
    with database.read() as session:
        assert [(e.epoch, e.train_loss) for e in runs.list_epochs(session, run_id)] == [(1, 1.0), (2, 0.6), (3, 0.5)]
        assert [e.epoch for e in runs.list_epochs(session, run_id, after=2)] == [3]


def test_a_run_whose_trainer_vanishes_is_tried_again_and_then_given_up(database: Database) -> None:
    run_id = add_run(database)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert must_claim(database, run_id, at=2 * attempt).attempt == attempt
        assert sweep(database, at=2 * attempt + 1) == 1
    run = row(database, run_id)
    assert run.state == RunState.FAILED
    assert "3 times" in (run.reason or "")
    assert claim(database, run_id, at=99) is None


def test_a_run_given_back_waits_again_and_its_attempt_is_not_counted(database: Database) -> None:
    run_id = add_run(database)
    lease = must_claim(database, run_id)
    with database.write() as session:
        runs.release_run(session, lease)
    assert (row(database, run_id).state, row(database, run_id).attempts) == (RunState.QUEUED, 0)
    must_claim(database, run_id)


def test_a_run_that_nobody_holds_is_cancelled_at_once(database: Database) -> None:
    run_id = add_run(database)
    with database.write() as session:
        runs.request_cancel(session, row(database, run_id).public_id, NOW)
    assert (row(database, run_id).state, row(database, run_id).finished_at) == (RunState.CANCELLED, NOW)
    assert claim(database, run_id) is None


def test_a_cancelled_run_whose_trainer_vanished_ends_cancelled(database: Database) -> None:
    run_id = add_run(database)
    lease = must_claim(database, run_id)
    with database.write() as session:
        runs.request_cancel(session, lease.public_id, NOW)
    assert sweep(database, at=1) == 1
    assert row(database, run_id).state == RunState.CANCELLED


def test_a_cancelled_run_that_was_given_back_ends_cancelled(database: Database) -> None:
    """Its trainer was stopped in the moment of the request: nobody may claim it, so the sweeper ends it."""
    run_id = add_run(database)
    lease = must_claim(database, run_id)
    with database.write() as session:
        runs.request_cancel(session, lease.public_id, NOW)
    with database.write() as session:
        runs.release_run(session, lease)
    assert claim(database, run_id) is None
    assert sweep(database, at=0) == 1
    assert (row(database, run_id).state, row(database, run_id).finished_at) == (RunState.CANCELLED, NOW)


def test_a_run_that_ended_is_not_cancelled_any_more(database: Database) -> None:
    run_id = add_run(database)
    lease = must_claim(database, run_id)
    with database.write() as session:
        runs.finish_run(session, lease, RunState.SUCCEEDED, now=NOW, reason=None, activated=True)
    with database.write() as session:
        runs.request_cancel(session, lease.public_id, NOW)
    run = row(database, run_id)
    assert (run.state, run.cancel_requested, run.activated) == (RunState.SUCCEEDED, False, True)


def test_runs_are_rung_until_they_are_claimed(database: Database) -> None:
    first, second, held = (add_run(database) for _ in range(3))
    must_claim(database, held)
    with database.write() as session:
        assert runs.find_to_ring(session, NOW) == [first, second]
        runs.mark_rung(session, first, NOW)
        assert runs.find_to_ring(session, NOW) == [second]
        assert runs.find_to_ring(session, NOW + timedelta(seconds=1)) == [first, second]


def test_a_stage_keeps_the_dataset_that_was_named_before(database: Database) -> None:
    run_id = add_run(database)
    lease = must_claim(database, run_id)
    with database.write() as session:
        runs.set_stage(session, lease, "snapshot", dataset_digest="f" * 64)
        runs.set_stage(session, lease, "training")
    assert (row(database, run_id).stage, row(database, run_id).dataset_digest) == ("training", "f" * 64)


def test_an_unknown_run_is_told(database: Database) -> None:
    with database.read() as session, pytest.raises(UnknownIdError, match="r-none"):
        runs.get_run(session, "r-none")
