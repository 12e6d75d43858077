"""A trainer dies, and the disk of its artifacts is full. The trainer is wholly real, and photos are identified too."""

import time

from core.records import RunState
from db.tables import Run
from tests.chaos.cases import case
from tests.chaos.disk import take_what_is_left
from tests.chaos.world import World, kill_process
from tests.integration.workers.fleet import NodeProcess
from tests.integration.workers.training import epochs_of, import_two_people, queue_run, state_of, wait_ended

_FULL_S = 10.0


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
