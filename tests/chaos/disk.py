"""The disk that the ledger lies on is full for a while. That of the artifacts: tests/chaos/training.py."""

import os
import time
from contextlib import suppress
from pathlib import Path

from tests.chaos.cases import case
from tests.chaos.world import World

_FULL_S = 10.0
_PIECE = bytes(4096)


@case("disk-full-sqlite", databases=("sqlite",), disk_mib=16)
def disk_full_sqlite(world: World) -> None:
    """The disk of the SQLite file is full for 10 s under load."""
    _fill_for_a_while(world)


@case("disk-full-postgres", databases=("postgresql",), disk_mib=256)
def disk_full_postgres(world: World) -> None:
    """The disk of PostgreSQL is full for 10 s under load; a server that gives up is started again."""
    _fill_for_a_while(world)
    assert world.postgres is not None
    if world.postgres.process is not None and world.postgres.process.poll() is not None:
        world.postgres.start()
        world.healed()


def _fill_for_a_while(world: World) -> None:
    world.start_node(slots=2, photo_s=0.002)
    world.submit(8000)
    world.wait_outcomes(100)
    ballast = world.disk / "ballast"
    full_until_s = time.monotonic() + _FULL_S
    while time.monotonic() < full_until_s:  # what the ledger gives back, we take
        take_what_is_left(ballast)
        time.sleep(0.05)
    ballast.unlink()
    world.healed()
    log = "\n".join(node.log for node in world.fleet.processes)
    assert "full" in log or "No space left" in log, "nobody noticed that the disk was full"


def take_what_is_left(ballast: Path) -> None:
    """Fill the disk to its last byte, as far as others have not done so."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        left = os.statvfs(ballast).f_bavail * os.statvfs(ballast).f_frsize
        file.write(bytes(left))
        while True:
            file.write(_PIECE)
