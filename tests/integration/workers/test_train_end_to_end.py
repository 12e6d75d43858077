"""A training run through a real trainer node: it ends once, whatever happens to the trainer."""

import signal
from pathlib import Path

from PIL import Image

from core.clock import utc_now
from core.models.store import ModelStore
from core.records import RunState
from db import registry, runs
from db.tables import Run
from tests.factories import make_face
from tests.integration.workers.fleet import SmallFleet, small_fleet, wait_until
from tests.services import RedisServer
from workers.enrolment import import_people

LONG = 200  # epochs that no test waits for


def import_two_people(fleet: SmallFleet) -> None:
    """Label a few drawn photos of two people, and one photo that is damaged later."""
    for person, name in enumerate(["Ada", "Grace"]):
        for split, count in (("train", 4), ("test", 2)):
            folder = fleet.folder / "labelled" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = make_face(person, 64, shade=number if split == "train" else 7 + number)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    report = import_people(fleet.database, fleet.settings, fleet.folder / "labelled", None, "test")
    assert (report.people, report.photos_added, report.failed) == (2, 12, [])


def queue_run(fleet: SmallFleet, *, epochs: int, activate: bool = True, recipe: str = "compact") -> Run:
    """Queue a run and ring for it."""
    options = {"epochs": epochs, "seed": 1, "activate": activate}
    with fleet.database.write() as session:
        run = runs.create_run(session, recipe=recipe, options=options, now=utc_now())
    fleet.doorbell.ring_run(run.id)
    return run


def state_of(fleet: SmallFleet, run: Run) -> Run:
    with fleet.database.read() as session:
        return runs.get_run(session, run.public_id)


def epochs_of(fleet: SmallFleet, run: Run) -> list[int]:
    with fleet.database.read() as session:
        return [row.epoch for row in runs.list_epochs(session, run.id)]


def wait_ended(fleet: SmallFleet, run: Run, *, sweeping: bool = False) -> Run:
    def has_ended() -> bool:
        if sweeping:
            fleet.sweep()
        return state_of(fleet, run).finished_at is not None

    wait_until(has_ended, "the run ended\n" + "\n".join(node.log for node in fleet.processes), 120)
    return state_of(fleet, run)


def test_a_run_gives_a_model_that_then_identifies(fleet: SmallFleet) -> None:
    import_two_people(fleet)
    damaged = fleet.folder / "labelled" / "train" / "Ada" / "0.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    fleet.start("train")
    run = wait_ended(fleet, queue_run(fleet, epochs=2))
    assert (run.state, run.reason, run.activated, run.attempts) == (RunState.SUCCEEDED, None, True, 1)
    assert run.dataset_digest is not None
    assert epochs_of(fleet, run) == [1, 2]
    with fleet.database.read() as session:
        serving = registry.require_serving_model(session)
        [model] = registry.list_models(session)
    assert (serving.model_id, model.run_id, model.manifest["dataset_digest"]) == (model.id, run.id, run.dataset_digest)
    ModelStore(fleet.settings.artifacts_dir).verify(model.sha256)
    unreadable = model.manifest["metrics"]["unreadable_photos"]
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


def test_a_trainer_that_is_stopped_gives_its_run_back_uncounted(sqlite_fleet: SmallFleet) -> None:
    import_two_people(sqlite_fleet)
    node = sqlite_fleet.start("train")
    run = queue_run(sqlite_fleet, epochs=LONG)
    wait_until(lambda: bool(epochs_of(sqlite_fleet, run)), "an epoch is done")
    assert node.stop(signal.SIGTERM) == 0
    given_back = state_of(sqlite_fleet, run)
    assert (given_back.state, given_back.attempts, given_back.lease_until) == (RunState.QUEUED, 0, None)
    assert "Traceback" not in node.log
