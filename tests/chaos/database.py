"""The ledger goes away, dies in the middle of a commit, falls silent, or is held by somebody else."""

import signal
import subprocess
import sys
import time

from sqlalchemy.engine import make_url

from tests.chaos.cases import case
from tests.chaos.proxy import Proxy
from tests.chaos.world import World
from tests.services import PostgresServer

_OUTAGE_S = 30.0
_HOLD = (
    "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60); "
    "c.execute('BEGIN IMMEDIATE'); time.sleep(float(sys.argv[2]))"
)


@case("postgres-down", databases=("postgresql",))
def postgres_down(world: World) -> None:
    """PostgreSQL is down for 30 s under load."""
    server = _server(world)
    world.start_node(photo_s=0.01)
    world.submit(800)
    world.wait_outcomes(40)
    server.stop()
    time.sleep(_OUTAGE_S)
    server.start()
    world.healed()


@case("postgres-killed-in-commits", databases=("postgresql",))
def postgres_killed_in_commits(world: World) -> None:
    """PostgreSQL is stopped as in a crash five times while two workers commit small chunks without a pause."""
    server = _server(world)
    world.start_node(slots=2, photo_s=0.002)
    world.submit(4000)
    for _ in range(5):
        done = world.outcomes()
        world.wait_outcomes(min(done + 100, world.submitted))
        time.sleep(world.random.uniform(0.0, 0.2))
        server.stop(signal.SIGQUIT)
        server.start()
    world.healed()


@case("half-open-postgres", databases=("postgresql",))
def half_open_postgres(world: World) -> None:
    """Packets between worker and PostgreSQL vanish for 60 s from a commit on, and the connections of before stay lost.

    The server knows nothing of it: what the transaction had locked stays locked until the server gives it up.
    """
    server = _server(world)
    name = make_url(world.fleet.settings.database_url).database
    with Proxy(server.folder / ".s.PGSQL.5432") as proxy:
        through = f"postgresql+psycopg://postgres@127.0.0.1:{proxy.port}/{name}"
        world.start_node(photo_s=0.01, FACEFLEET_DATABASE_URL=through)
        world.submit(400)
        world.wait_outcomes(40)
        proxy.go_silent_at(b"COMMIT")
        time.sleep(60)
        proxy.take_new_connections()
        world.healed()
        world.wait_outcomes(world.submitted)


@case("sqlite-locked", databases=("sqlite",))
def sqlite_locked(world: World) -> None:
    """Another process holds the SQLite file's write lock for 30 s under load."""
    world.start_node(photo_s=0.01)
    world.submit(400)
    world.wait_outcomes(40)
    file = make_url(world.fleet.settings.database_url).database
    subprocess.run([sys.executable, "-c", _HOLD, str(file), str(_OUTAGE_S)], check=True)
    world.healed()


def _server(world: World) -> PostgresServer:
    assert world.postgres is not None
    return world.postgres
