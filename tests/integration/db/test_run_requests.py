"""Requests for training runs: the same falls together, one is on at a time, and new labels are noticed."""

from datetime import timedelta
from typing import Any

import pytest

from core.records import RunState
from db import audit, run_requests, runs
from db.engine import Database
from db.runs import RunLease
from db.tables import Run
from tests import labelled, ledger
from tests.labelled import say, store
from tests.ledger import LEASE_S, NOW


def request(database: Database, *, recipe: str = "compact", who: str = "ada", **options: Any) -> tuple[int, bool]:
    with database.write() as session:
        run, repeated = run_requests.request_run(session, recipe=recipe, options={"who": who, **options}, now=NOW)
        return run.id, repeated


def claim(database: Database, run_id: int, worker: str = "t1", minutes: float = 0.0) -> RunLease | None:
    with database.write() as session:
        return runs.claim_run(session, run_id, worker, NOW + timedelta(minutes=minutes), LEASE_S)


def end(database: Database, lease: RunLease | None, state: RunState = RunState.SUCCEEDED) -> None:
    assert lease is not None
    with database.write() as session:
        runs.finish_run(session, lease, state, now=NOW, reason=None)


def read(database: Database, run_id: int) -> Run:
    with database.read() as session:
        return session.get_one(Run, run_id)


def test_the_same_request_falls_together_with_one_that_waits_whoever_asks(database: Database) -> None:
    first, repeated = request(database, seed=1)
    assert not repeated
    assert request(database, seed=1, who="bob") == (first, True)
    assert request(database, seed=2)[1] is False
    assert request(database, seed=1, recipe="seed")[1] is False
    with database.read() as session:
        assert [run.recipe for run in run_requests.list_runs(session, 10)] == ["seed", "compact", "compact"]


def test_a_request_does_not_fall_together_with_a_run_that_has_begun(database: Database) -> None:
    """It may have read the labels already."""
    first, _ = request(database)
    lease = claim(database, first)
    second, repeated = request(database)
    assert (second != first, repeated) == (True, False)
    assert lease is not None
    with database.write() as session:
        runs.release_run(session, lease)
        runs.request_cancel(session, lease.public_id, NOW)
    assert request(database) == (second, True)


def test_a_run_that_was_given_back_keeps_its_labels_so_none_falls_together_with_it(database: Database) -> None:
    first, _ = request(database)
    assert claim(database, first) is not None
    with database.write() as session:
        assert runs.reclaim_expired(session, NOW + timedelta(minutes=5)) == 1
    assert read(database, first).state == RunState.QUEUED
    assert request(database)[1] is False


def test_eight_who_ask_at_once_get_one_run(database: Database) -> None:
    got = ledger.race([lambda: request(database) for _ in range(8)])
    assert len({run_id for run_id, _ in got}) == 1  # type: ignore[misc]
    assert sorted(repeated for _, repeated in got) == [False] + [True] * 7  # type: ignore[misc]


def test_one_run_is_on_at_a_time(database: Database) -> None:
    first, second = (request(database, seed=seed)[0] for seed in (1, 2))
    lease = claim(database, first)
    assert claim(database, second, "t2") is None
    end(database, lease)
    with database.read() as session:
        assert run_requests.first_queued(session) == second
    assert claim(database, second, "t2") is not None


def test_of_two_runs_that_are_claimed_at_once_one_is_on(database: Database) -> None:
    ids = [request(database, seed=seed)[0] for seed in range(6)]
    got = ledger.race([lambda run_id=run_id: claim(database, run_id, f"t{run_id}") for run_id in ids])
    assert sum(lease is not None for lease in got) == 1


def test_a_run_whose_trainer_vanished_holds_no_other_up_for_longer_than_its_lease(database: Database) -> None:
    first, second = (request(database, seed=seed)[0] for seed in (1, 2))
    assert claim(database, first) is not None
    assert claim(database, second, "t2", minutes=0.5) is None
    assert claim(database, second, "t2", minutes=2) is not None


@pytest.mark.parametrize("held", [False, True], ids=["waiting", "on"])
def test_who_cancelled_a_run_is_known_and_the_second_time_changes_nothing(database: Database, held: bool) -> None:
    run_id, _ = request(database)
    if held:
        claim(database, run_id)
    public_id = read(database, run_id).public_id
    with database.write() as session:
        run, changed = run_requests.cancel_run(session, public_id, "bob", NOW)
        assert (run.state, changed) == (RunState.RUNNING if held else RunState.CANCELLED, True)
    with database.write() as session:
        assert run_requests.cancel_run(session, public_id, "bob", NOW + timedelta(seconds=1))[1] is False
    with database.read() as session:
        entries = audit.list_entries(session, 10, public_id)
    assert [(entry.who, entry.action) for entry in entries] == [("bob", "run.cancel")]


def test_labels_given_since_are_counted_from_the_newest(database: Database) -> None:
    ada, bob = ledger.add_people(database, "Ada", "Bob")
    job = store(database, labelled.add_model(database), ledger.result(0, labelled.ranked((ada, 0.9), (bob, 0.2))))
    say(database, labelled.key(job), labelled.Verdict.IS_NOT, "Ada")
    say(database, labelled.key(job), labelled.Verdict.IS, "Bob")
    with database.read() as session:
        given = [run_requests.labelled_since(session, NOW - timedelta(seconds=1), count) for count in (1, 2, 3)]
        assert given == [True, True, False]
        assert not run_requests.labelled_since(session, NOW, 1)
