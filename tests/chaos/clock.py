"""Clocks go wrong by an hour: one node's, or all of them in the middle of a job.

One node's alone only where nodes may be on several machines: not with SQLite.
"""

from tests.chaos import child
from tests.chaos.cases import case
from tests.chaos.world import World, kill_process

_HOUR_S = 3600.0


@case("node-an-hour-ahead", databases=("postgresql",))
def node_an_hour_ahead(world: World) -> None:
    """One of two nodes has a clock an hour ahead."""
    _play_wrong_node(world, _HOUR_S)


@case("node-an-hour-behind", databases=("postgresql",))
def node_an_hour_behind(world: World) -> None:
    """One of two nodes has a clock an hour behind."""
    _play_wrong_node(world, -_HOUR_S)


@case("clocks-leap-ahead")
def clocks_leap_ahead(world: World) -> None:
    """All clocks leap an hour ahead while chunks are held, and a child is killed."""
    _play_leap(world, _HOUR_S)


@case("clocks-leap-back")
def clocks_leap_back(world: World) -> None:
    """All clocks leap an hour back while chunks are held, and a child is killed."""
    _play_leap(world, -_HOUR_S)


def _play_wrong_node(world: World, seconds: float) -> None:
    world.start_node(photo_s=0.05)
    world.start_node(photo_s=0.05, **{child.CLOCK_S: str(seconds)})
    world.submit(200)
    world.wait_outcomes(200)
    world.healed()
    assert max(world.looks().values()) == 1, "a wrong clock broke a lease"


def _play_leap(world: World, seconds: float) -> None:
    node = world.start_node(slots=2, photo_s=0.02)
    world.submit_held(200)
    world.move_all_clocks(seconds)
    kill_process(world.random.choice(node.children()))
    world.healed()
    world.open_gate()
