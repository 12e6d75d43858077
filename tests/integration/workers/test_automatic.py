"""Training that nobody asked for: only when a setting says so, when enough was labelled, and once."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.records import RunState, Split
from core.settings import Settings
from db import labels, people, run_requests, runs
from db.engine import Database
from db.tables import Run
from tests.ledger import NOW
from workers.automatic import retrain_when_due

HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def label(database: Database, count: int, at: datetime) -> None:
    with database.write() as session:
        person = people.get_or_add_person(session, "Ada", at)
        for number in range(count):
            sha256 = f"{at.timestamp():.0f}{number}".zfill(64)
            labels.label_photo(
                session,
                person=person,
                sha256=sha256,
                uri=f"/{sha256}",
                split=Split.TRAIN,
                author="t",
                now=at,
            )


def train(database: Database, state: RunState, at: datetime, **options: object) -> None:
    """A run that began and ended then."""
    with database.write() as session:
        run, _ = run_requests.request_run(session, recipe="compact", options={"who": "ada", **options}, now=at)
        lease = runs.claim_run(session, run.id, "t", at, 60.0)
        assert lease is not None
        runs.finish_run(session, lease, state, now=at, reason=None)


def newest(database: Database) -> Run:
    with database.read() as session:
        found = run_requests.newest_run(session)
    assert found is not None
    return found


def test_nothing_is_trained_by_itself_unless_a_setting_says_so(database: Database, settings: Settings) -> None:
    train(database, RunState.SUCCEEDED, NOW)
    label(database, 50, NOW + HOUR)
    assert retrain_when_due(database, settings, NOW + 100 * HOUR) == 0


def test_enough_labels_repeat_the_last_training_that_gave_a_model_once(database: Database, settings: Settings) -> None:
    settings = replace(settings, retrain_after_labels=10)
    train(database, RunState.SUCCEEDED, NOW, seed=7)
    label(database, 9, NOW + HOUR)
    assert retrain_when_due(database, settings, NOW + 2 * HOUR) == 0
    label(database, 1, NOW + 2 * HOUR)
    assert retrain_when_due(database, settings, NOW + 3 * HOUR) == 1
    run = newest(database)
    assert (run.state, run.options) == (RunState.QUEUED, {"who": "facefleet", "seed": 7})
    assert retrain_when_due(database, settings, NOW + 3 * HOUR) == 0


@pytest.mark.parametrize("ended", [RunState.FAILED, RunState.CANCELLED])
def test_a_training_that_came_to_nothing_is_not_repeated_before_more_is_labelled(
    database: Database, settings: Settings, ended: RunState
) -> None:
    settings = replace(settings, retrain_after_labels=5)
    train(database, RunState.SUCCEEDED, NOW, seed=7)
    label(database, 5, NOW + HOUR)
    train(database, ended, NOW + 2 * HOUR, seed=8)
    assert retrain_when_due(database, settings, NOW + 3 * HOUR) == 0
    label(database, 5, NOW + 3 * HOUR)
    assert retrain_when_due(database, settings, NOW + 4 * HOUR) == 1
    assert newest(database).options["seed"] == 7, "as the training that gave a model"


def test_hours_alone_repeat_nothing_that_would_learn_nothing_new(database: Database, settings: Settings) -> None:
    settings = replace(settings, retrain_after_hours=24.0)
    train(database, RunState.SUCCEEDED, NOW)
    assert retrain_when_due(database, settings, NOW + 25 * HOUR) == 0
    label(database, 1, NOW + 2 * HOUR)
    assert retrain_when_due(database, settings, NOW + 23 * HOUR) == 0
    assert retrain_when_due(database, settings, NOW + 25 * HOUR) == 1


def test_before_the_first_training_there_is_nothing_to_repeat(database: Database, settings: Settings) -> None:
    settings = replace(settings, retrain_after_labels=1, retrain_after_hours=1.0)
    label(database, 3, NOW)
    assert retrain_when_due(database, settings, NOW + HOUR) == 0
    train(database, RunState.FAILED, NOW + HOUR)
    label(database, 3, NOW + 2 * HOUR)
    assert retrain_when_due(database, settings, NOW + 4 * HOUR) == 0
