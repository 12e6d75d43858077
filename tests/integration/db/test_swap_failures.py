"""Why a model is not where it should be: said once a slot and model, since the first of the attempts that failed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from db import swaps
from db.engine import Database
from db.swaps import FailedSwap
from db.tables import SwapFailure
from tests import ledger
from tests.ledger import NOW

SOON, LATER = NOW + timedelta(seconds=5), NOW + timedelta(seconds=10)


@pytest.fixture
def failure(database: Database) -> FailedSwap:
    with database.write() as session:
        model_id = ledger.add_model(session)
    return FailedSwap(
        model_id=model_id, generation=3, code="artifact_missing", message="It is gone.", attempts=1, at=NOW
    )


def report(database: Database, *failures: FailedSwap, worker: str = "w/0") -> None:
    with database.write() as session:
        swaps.report_failures(session, worker, failures, failures[0].at if failures else LATER)


def of_model(database: Database, model_id: int) -> list[SwapFailure]:
    with database.read() as session:
        return list(swaps.failures_of_model(session, model_id))


def test_a_failure_that_is_tried_again_is_one_failure_since_the_first_attempt(
    database: Database, failure: FailedSwap
) -> None:
    report(database, failure)
    report(database, replace(failure, attempts=2, at=SOON, message="It is gone still."))
    [found] = of_model(database, failure.model_id)
    assert (found.worker, found.generation, found.code, found.message) == (
        "w/0",
        3,
        "artifact_missing",
        "It is gone still.",
    )
    assert (found.attempts, found.first_at, found.last_at, found.ended_at) == (2, NOW, SOON, None)


def test_a_failure_that_is_not_reported_any_more_has_ended_and_stays_on_record(
    database: Database, failure: FailedSwap
) -> None:
    report(database, failure)
    report(database)
    [found] = of_model(database, failure.model_id)
    assert (found.last_at, found.ended_at) == (NOW, LATER)
    with database.read() as session:
        assert swaps.open_failures(session, ["w/0"]) == []


def test_a_failure_anew_counts_from_then(database: Database, failure: FailedSwap) -> None:
    report(database, failure)
    report(database)
    report(database, replace(failure, generation=7, at=LATER))
    [found] = of_model(database, failure.model_id)
    assert (found.generation, found.first_at, found.ended_at) == (7, LATER, None)


def test_one_slot_says_nothing_of_another(database: Database, failure: FailedSwap) -> None:
    report(database, failure, worker="w/1")
    report(database, failure)
    report(database)
    with database.read() as session:
        assert [row.worker for row in swaps.open_failures(session, ["w/0", "w/1"])] == ["w/1"]
        assert swaps.open_failures(session, ["w/0"]) == []


def test_old_failures_are_forgotten(database: Database, failure: FailedSwap) -> None:
    report(database, failure)
    report(database, replace(failure, at=LATER), worker="w/1")
    with database.write() as session:
        swaps.forget_failures(session, SOON)
    assert [row.worker for row in of_model(database, failure.model_id)] == ["w/1"]
