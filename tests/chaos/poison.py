"""Photos that kill their worker or never come back, among healthy neighbours."""

from db.tables import Item
from tests.chaos.cases import case
from tests.chaos.world import World


@case("photo-that-segfaults", short=("sqlite",), lease_s=1.0, chunk_size=4)
def photo_that_segfaults(world: World) -> None:
    """A photo that segfaults its worker every time ends alone with an error; its neighbours are identified."""
    poison = world.random.randrange(8)
    world.start_node(slots=2)
    world.submit(8, {poison: "segfault"})
    world.healed()
    world.wait_outcomes(8)
    _check_alone(world, poison, "worker_crashed")


@case("photo-that-never-returns", photo_timeout_s=2.0)
def photo_that_never_returns(world: World) -> None:
    """A photo whose reading never returns is given up after its time limit; its neighbours are identified."""
    poison = world.random.randrange(16)
    world.start_node()
    world.submit(16, {poison: "hang"})
    world.healed()
    world.wait_outcomes(16)
    _check_alone(world, poison, "photo_too_slow")


@case("photo-that-holds-the-lock", chunk_size=2, lease_s=12.0)
def photo_that_holds_the_lock(world: World) -> None:
    """A photo that hangs in native code with the interpreter's lock held ends alone; nobody waits for its lease."""
    poison = world.random.randrange(8)
    world.start_node(slots=2)
    world.submit(8, {poison: "spin"})
    world.healed()
    world.wait_outcomes(8)
    _check_alone(world, poison, "timed_out")


def _check_alone(world: World, poison: int, code: str) -> None:
    world.poisoned = 1
    failed = world.fleet.count(Item, Item.ordinal == poison, Item.error_code == code)
    others = world.fleet.count(Item, Item.ordinal != poison, Item.error_code.is_(None), Item.outcome.is_not(None))
    assert (failed, others) == (1, world.submitted - 1)
