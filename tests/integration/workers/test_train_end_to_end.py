"""A training run through a real trainer node: it ends once, whatever happens to the trainer."""

import signal
from pathlib import Path

import pytest

from core.clock import utc_now
from core.models.store import ModelStore
from core.records import RunState
from db import registry, runs
from tests.integration.workers.fleet import SmallFleet, small_fleet, wait_until
from tests.integration.workers.training import epochs_of, import_two_people, queue_run, state_of, wait_ended
from tests.services import RedisServer

pytestmark = pytest.mark.one_database

LONG = 200  # epochs that no test waits for


def test_a_run_gives_a_model_that_then_identifies(fleet: SmallFleet) -> None:
    import_two_people(fleet)
    damaged = fleet.folder / "labelled" / "train" / "Ada" / "0.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    fleet.start("train")
    run = wait_ended(fleet, queue_run(fleet, epochs=2))
    assert (run.state, run.activated, run.attempts) == (RunState.SUCCEEDED, True, 1)
    assert run.reason == "The first model: none served before it."
    assert run.dataset_digest is not None
    assert epochs_of(fleet, run) == [1, 2]
    with fleet.database.read() as session:
        serving = registry.require_serving_model(session)
        [model] = registry.list_models(session)
    assert (serving.model_id, model.run_id, model.manifest["dataset_digest"]) == (model.id, run.id, run.dataset_digest)
    ModelStore(fleet.settings.artifacts_dir).verify(model.sha256)
    unreadable = model.manifest["metrics"]["photos_left_out"]
    assert (unreadable["count"], Path(unreadable["first"][0]["uri"])) == (1, damaged)
    fleet.start()
    job = fleet.wait_done(fleet.submit(fleet.folder / "labelled" / "test"))
    assert (job.total, job.items_faces) == (4, 4)


def test_a_cancelled_run_stops_in_the_middle(sqlite_fleet: SmallFleet) -> None:
    fleet = sqlite_fleet
    import_two_people(fleet)
    fleet.start("train")
    run = queue_run(fleet, epochs=LONG)
    wait_until(lambda: bool(epochs_of(fleet, run)), "an epoch is done")
    with fleet.database.write() as session:
        runs.request_cancel(session, run.public_id, utc_now())
    ended = wait_ended(fleet, run)
    assert (ended.state, ended.reason) == (RunState.CANCELLED, "cancelled")
    with fleet.database.read() as session:
        assert registry.list_models(session) == []


def test_a_run_whose_trainer_is_killed_goes_on_at_once_where_it_was(
    sqlite_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    with small_fleet(sqlite_url, redis_server, tmp_path, lease_s=600.0) as fleet:  # longer than the test would wait
        import_two_people(fleet)
        node = fleet.start("train")
        run = queue_run(fleet, epochs=4)
        wait_until(lambda: bool(epochs_of(fleet, run)), "an epoch is done")
        [child] = node.children()
        child.kill()
        ended = wait_ended(fleet, run, sweeping=True)
        assert (ended.state, ended.attempts) == (RunState.SUCCEEDED, 2)
        assert epochs_of(fleet, run) == [1, 2, 3, 4]
        assert node.check_alive()


@pytest.mark.long  # one that is cancelled, and one that is killed, are beside it
def test_a_trainer_that_is_stopped_gives_its_run_back_uncounted(sqlite_fleet: SmallFleet) -> None:
    import_two_people(sqlite_fleet)
    node = sqlite_fleet.start("train")
    run = queue_run(sqlite_fleet, epochs=LONG)
    wait_until(lambda: bool(epochs_of(sqlite_fleet, run)), "an epoch is done")
    assert node.stop(signal.SIGTERM) == 0
    given_back = state_of(sqlite_fleet, run)
    assert (given_back.state, given_back.attempts, given_back.lease_until) == (RunState.QUEUED, 0, None)
    assert "Traceback" not in node.log
