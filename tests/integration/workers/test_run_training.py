"""The training handler without a queue: how each run ends, and what a trainer without its lease may write."""

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image

from core.clock import utc_now
from core.records import EpochProgress, RunState
from core.settings import Settings
from db import registry, runs
from db.engine import Database
from db.tables import Run
from tests.disks import fill, tiny_disk
from tests.factories import make_face
from tests.integration.workers.training import make_context
from workers.enrolment import import_people
from workers.heartbeat import Heartbeat
from workers.train import RunEnd, TrainContext, run_training

pytestmark = pytest.mark.one_database


@pytest.fixture
def context(database: Database, tmp_path: Path) -> TrainContext:
    return make_context(database, Settings(home=tmp_path / "home", lease_s=30.0))


def import_two_people(context: TrainContext, folder: Path) -> None:
    for person, name in enumerate(["Ada", "Grace"]):
        (folder / name).mkdir(parents=True)
        for shade in range(3):
            Image.fromarray(make_face(person, 64, shade=shade)).save(folder / name / f"{shade}.png")
    assert import_people(context.database, context.settings, folder, None, "test").photos_added == 6


def test_a_run_whose_disk_is_full_waits_and_succeeds_when_there_is_room(context: TrainContext, tmp_path: Path) -> None:
    import_two_people(context, tmp_path / "people")
    with tiny_disk(tmp_path / "disk", kibibytes=131_072) as disk:
        context = replace(context, settings=replace(context.settings, home=disk), disk_wait_s=0.2)
        run = queue_run(context)
        ballast = fill(disk)
        assert run_training(run.id, context) is RunEnd.GIVEN_BACK
        waiting = read_run(context, run)
        assert (waiting.state, waiting.attempts, waiting.lease_token) == (RunState.QUEUED, 0, None)
        assert f"The disk of {disk}" in (waiting.reason or "")
        ballast.unlink()
        assert run_training(run.id, context) is RunEnd.ENDED
        assert read_run(context, run).state == RunState.SUCCEEDED


def queue_run(context: TrainContext, **options: object) -> Run:
    with context.database.write() as session:
        return runs.create_run(session, recipe="compact", options={"epochs": 1, **options}, now=utc_now())


def read_run(context: TrainContext, run: Run) -> Run:
    with context.database.read() as session:
        return runs.get_run(session, run.public_id)


def test_a_run_without_activation_registers_a_model_that_does_not_serve(context: TrainContext, tmp_path: Path) -> None:
    import_two_people(context, tmp_path / "people")
    run = queue_run(context, activate=False)
    assert run_training(run.id, context) is RunEnd.ENDED
    ended = read_run(context, run)
    assert (ended.state, ended.activated, ended.lease_token) == (RunState.SUCCEEDED, False, None)
    assert "not activated, as asked" in (ended.reason or "")
    with context.database.read() as session:
        assert registry.serving_model(session) is None
        [model] = registry.list_models(session)
    assert model.manifest["dataset_digest"] == ended.dataset_digest
    folder = context.settings.runs_dir / run.public_id
    assert [file.name for file in folder.iterdir()] == ["snapshot.jsonl"]
    assert run_training(run.id, context) is RunEnd.NOT_TO_BE_HAD


def test_a_run_that_cannot_train_fails_with_the_reason(context: TrainContext) -> None:
    run = queue_run(context)
    assert run_training(run.id, context) is RunEnd.ENDED
    ended = read_run(context, run)
    assert ended.state == RunState.FAILED
    assert "people have a usable training photo" in (ended.reason or "")


def test_a_model_that_cannot_be_stored_fails_the_run_and_changes_no_model(
    context: TrainContext, tmp_path: Path
) -> None:
    import_two_people(context, tmp_path / "people")
    context.settings.home.mkdir(exist_ok=True)
    context.settings.artifacts_dir.write_text("a file where the folder should be")
    run = queue_run(context)
    assert run_training(run.id, context) is RunEnd.ENDED
    ended = read_run(context, run)
    assert ended.state == RunState.FAILED
    assert "could not be stored" in (ended.reason or "")
    assert [file.name for file in (context.settings.runs_dir / run.public_id).iterdir()] == ["snapshot.jsonl"]
    with context.database.read() as session:
        assert registry.list_models(session) == []


def test_a_trainer_that_lost_its_lease_records_no_epoch(context: TrainContext) -> None:
    run = queue_run(context)
    now = utc_now()
    with context.database.write() as session:
        lost = runs.claim_run(session, run.id, "slow", now - timedelta(minutes=1), 1.0)
        held = runs.claim_run(session, run.id, "other", now, 60.0)
    assert lost is not None
    assert held is not None
    heartbeat = Heartbeat(lost, context.database, utc_now, 60.0, context.stop)
    heartbeat.record_epoch(
        EpochProgress(
            epoch=1,
            epochs=1,
            train_loss=1.0,
            train_accuracy=0.0,
            val_loss=None,
            val_accuracy=None,
            learning_rate=0.1,
            seconds=1.0,
        )
    )
    assert heartbeat.lost
    assert heartbeat.should_stop()
    with context.database.read() as session:
        assert runs.list_epochs(session, run.id) == []


def test_a_lease_that_is_let_go_is_not_extended_by_a_late_beat(context: TrainContext) -> None:
    run = queue_run(context)
    with context.database.write() as session:
        lease = runs.claim_run(session, run.id, "here", utc_now(), 30.0)
    assert lease is not None
    with Heartbeat(lease, context.database, utc_now, 0.15, context.stop) as heartbeat:  # beats every 50 ms
        time.sleep(0.2)
        heartbeat.end()
        with context.database.write() as session:
            runs.expire_lease(session, lease, utc_now())
        time.sleep(0.3)
        with context.database.write() as session:
            assert runs.reclaim_expired(session, utc_now()) == 1
