"""Everything at once: a large job, a kill -9 every two seconds, and a Redis that forgets every ten."""

import time
from collections.abc import Callable

import psutil

from tests.chaos.cases import case
from tests.chaos.world import World, kill_process

_PHOTOS = 20_000
_NODES = 2
_SLOTS = 2
_PHOTO_S = 0.01
_KILL_EVERY_S = 2.0
_FLUSH_EVERY_S = 10.0
_LONGEST_S = 600.0
_WHOLE_SIZE = {"chunk_size": 128, "batch_size": 32}  # the defaults


@case("storm", lease_s=10.0, sweep_interval_s=1.0, **_WHOLE_SIZE)
def storm(world: World) -> None:
    """20,000 photos, four workers, a kill -9 every 2 s, FLUSHALL every 10 s; done in twice the quiet time + 30 s."""
    quiet_s, stormy_s = _play(world)
    assert stormy_s <= 2 * quiet_s + 30, f"it took {stormy_s:.0f} s, and {quiet_s:.0f} s undisturbed"


@case("storm-default-lease", lease_s=60.0, sweep_interval_s=5.0, **_WHOLE_SIZE)
def storm_default_lease(world: World) -> None:
    """The same with the default lease of 60 s and a sweep every 5 s; says what they cost, and promises no time."""
    _play(world)


def _play(world: World) -> tuple[float, float]:
    """Run the job twice, in quiet and in the storm; return the seconds that each took."""
    fleet = _Fleet(world)
    quiet_s = _run_job(world, lambda: None)
    storm = _Storm(world, fleet)
    stormy_s = _run_job(world, storm.blow)
    world.healed()
    world.notes.append(
        f"undisturbed {quiet_s:.1f} s, in the storm {stormy_s:.1f} s, twice and 30 s are {2 * quiet_s + 30:.1f} s; "
        f"{storm.kills} kills ({storm.nodes_killed} of nodes), {storm.flushes} FLUSHALL"
    )
    return quiet_s, stormy_s


def _run_job(world: World, blow: Callable[[], None]) -> float:
    begun_s = time.monotonic()
    world.submit(_PHOTOS)
    while world.outcomes() < world.submitted and time.monotonic() < begun_s + _LONGEST_S:
        blow()
        time.sleep(0.1)
    return time.monotonic() - begun_s


class _Fleet:
    """Nodes that are started anew at once when they die, as a service manager does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.nodes = [world.start_node(slots=_SLOTS, photo_s=_PHOTO_S) for _ in range(_NODES)]

    def keep_up(self) -> None:
        for number, node in enumerate(self.nodes):
            if node.process.poll() is not None:
                environment = self._world.environment(_PHOTO_S)
                self.nodes[number] = self._world.fleet.start_silently(slots=_SLOTS, **environment)

    def children(self) -> list[psutil.Process]:
        """The processes that do the work, those of one node after the other's."""
        alive = [node for node in self.nodes if node.process.poll() is None]
        return [child for node in alive for child in sorted(node.children(), key=lambda child: child.pid)]


class _Storm:
    """Kills and flushes when they are due. Whom it kills, child or node, is drawn from the world's seed."""

    def __init__(self, world: World, fleet: _Fleet) -> None:
        self._world = world
        self._fleet = fleet
        self._begun_s = time.monotonic()
        self.kills = self.nodes_killed = self.flushes = 0

    def blow(self) -> None:
        now_s = time.monotonic() - self._begun_s
        if now_s >= _KILL_EVERY_S * (self.kills + 1):
            self._kill(self._world.random.random())
            self.kills += 1
        if now_s >= _FLUSH_EVERY_S * (self.flushes + 1):
            self._world.fleet.flush_redis()
            self.flushes += 1
        self._fleet.keep_up()

    def _kill(self, lot: float) -> None:
        """Kill one of the children and nodes that live, whichever the lot (0 to 1) falls on."""
        children, nodes = self._fleet.children(), self._fleet.nodes
        victim = int(lot * (len(children) + len(nodes)))
        if victim < len(children):
            kill_process(children[victim])
        else:
            nodes[victim - len(children)].kill()
            self.nodes_killed += 1
