"""A trainer dies, and the disk of its artifacts is full. The trainer is wholly real, and photos are identified too."""

import re
import time
from collections import Counter

from core.models.store import ModelStore
from core.records import RunState
from db import registry
from db.tables import Run
from tests.chaos.cases import case
from tests.chaos.disk import take_what_is_left
from tests.chaos.world import World, kill_process
from tests.integration.workers.fleet import NodeProcess
from tests.integration.workers.training import epochs_of, import_two_people, queue_run, state_of, wait_ended

_FULL_S = 10.0
_KILLS = 20


@case("trainer-killed", lease_s=120.0)
def trainer_killed(world: World) -> None:
    """Kill -9 of a trainer's child in the middle of a run, which goes on from its checkpoint before its lease ends."""
    trainer = _start(world)
    run = queue_run(world.fleet, epochs=4)
    world.wait_until(lambda: bool(epochs_of(world.fleet, run)), "an epoch is done")
    kill_process(trainer.children()[0])
    _end(world, run, attempts=2)
    assert epochs_of(world.fleet, run) == [1, 2, 3, 4]


@case("disk-full-artifacts", disk_mib=16, disk_holds="artifacts")
def disk_full_artifacts(world: World) -> None:
    """The disk of the artifacts is full when a trainer stores its model, and 10 s more; the run waits and succeeds."""
    _start(world)
    ballast = world.disk / "ballast"
    take_what_is_left(ballast)
    run = queue_run(world.fleet, epochs=1)
    world.wait_until(lambda: state_of(world.fleet, run).stage == "waiting for disk space", "the run waits for room")
    time.sleep(_FULL_S)
    ballast.unlink()
    _end(world, run, attempts=1)


@case("trainer-killed-anywhere")
def trainer_killed_anywhere(world: World) -> None:
    """Kill -9 of a trainer's child at 20 random moments of runs: each run ends, and the active model stays whole."""
    trainer = _start(world)
    begun_s = time.monotonic()
    run = queue_run(world.fleet, epochs=3)
    assert wait_ended(world.fleet, run).state == RunState.SUCCEEDED
    undisturbed_s = time.monotonic() - begun_s
    ends: Counter[str] = Counter()
    for _ in range(_KILLS):
        run = queue_run(world.fleet, epochs=3)
        time.sleep(world.random.uniform(0.0, undisturbed_s))
        world.wait_until(lambda: bool(trainer.children()), "the killed child before was replaced")
        kill_process(trainer.children()[0])
        recorded = len(epochs_of(world.fleet, run))
        ended = wait_ended(world.fleet, run)
        ends[f"{ended.state} at attempt {ended.attempts}"] += 1
        assert ended.state == RunState.SUCCEEDED or (ended.state == RunState.FAILED and ended.reason), ended.state
        assert epochs_of(world.fleet, run) == [1, 2, 3]
        assert recorded <= _resumed_after(trainer.log, run) + 1, "at most one epoch is repeated"
        _check_artifacts(world)
    world.healed()
    world.notes.append(f"undisturbed {undisturbed_s:.1f} s; " + ", ".join(f"{n} {how}" for how, n in ends.items()))
    world.submit(64)


def _resumed_after(log: str, run: Run) -> int:
    """Return the epoch after which the last attempt at a run went on; all of them where there was no second attempt."""
    last = log.rpartition(f"run {run.public_id}: attempt ")[2]
    if last.startswith("1"):
        return 3
    resumed = re.search(r"going on after epoch (\d+) of 3", last)
    return int(resumed[1]) if resumed else 0


def _check_artifacts(world: World) -> None:
    """Make sure that the active model's artifact is there, and that no artifact is half written."""
    store = ModelStore(world.fleet.settings.artifacts_dir)
    with world.fleet.database.read() as session:
        serving = registry.require_serving_model(session)
    store.verify(serving.sha256)
    for artifact in store.list_artifacts():
        store.verify(artifact.sha256)


def _start(world: World) -> NodeProcess:
    """Label photos, start a trainer and a worker, and submit photos; return the trainer."""
    import_two_people(world.fleet)
    trainer = world.fleet.start("train")
    world.start_node()
    world.submit(64)
    return trainer


def _end(world: World, run: Run, attempts: int) -> None:
    """Wait for the run's model, and have photos identified by it."""
    world.healed()
    ended = wait_ended(world.fleet, run)
    world.notes.append(f"the run succeeded {time.monotonic() - world.healed_s:.1f} s after the fault")
    assert (ended.state, ended.attempts) == (RunState.SUCCEEDED, attempts), ended.reason
    world.submit(64)
