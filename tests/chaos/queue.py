"""Redis dies, forgets, refuses and falls silent; bells are doubled and come late."""

import shutil
import signal
import time

from tests.chaos import child
from tests.chaos.cases import case
from tests.chaos.proxy import Proxy
from tests.chaos.world import World
from tests.services import free_port

_OUTAGE_S = 10.0


@case("flushall", short=("sqlite", "postgresql"))
def flushall(world: World) -> None:
    """FLUSHALL under load, and again when the sweeper has rung anew."""
    world.start_node(photo_s=0.01)
    world.submit(400)
    for reached in (40, 200):
        world.wait_outcomes(reached)
        world.fleet.flush_redis()
    world.healed()


@case("redis-killed")
def redis_killed(world: World) -> None:
    """Kill -9 of Redis under load; it comes back with its data."""
    world.start_node(photo_s=0.01)
    world.submit(400)
    world.wait_outcomes(40)
    world.redis.stop(signal.SIGKILL)
    world.redis.start()
    world.healed()


@case("redis-killed-empty")
def redis_killed_empty(world: World) -> None:
    """Kill -9 of Redis under load; it comes back without its data."""
    world.start_node(photo_s=0.01)
    world.submit(400)
    world.wait_outcomes(40)
    world.redis.stop(signal.SIGKILL)
    _forget(world)
    world.redis.start()
    with world.redis_client() as client:
        assert client.dbsize() < 10, "Redis remembers"
    world.healed()


@case("redis-away-at-submit", short=("sqlite",))
def redis_away_at_submit(world: World) -> None:
    """A job is submitted while Redis is down: it is recorded, the producer is told, and it runs when Redis is back."""
    world.start_node()
    world.redis.stop(signal.SIGKILL)
    submission = world.submit(64)
    assert not submission.rung
    assert "Nothing is lost" in (submission.ring_error or "")
    world.redis.start()
    world.healed()


@case("redis-away-at-ack", short=("sqlite",), patience_s=60.0)
def redis_away_at_ack(world: World) -> None:
    """Redis is down when a worker acknowledges every bell that it holds, and comes back empty."""
    node = world.start_node()
    world.submit_held(64)
    world.redis.stop(signal.SIGKILL)
    world.open_gate()
    # Two bells a slot are in hand: both are answered, or the first failure to acknowledge is heard.
    world.wait_until(lambda: world.outcomes() == 16 or "Cannot connect" in node.log, "bells are answered")
    _forget(world)
    world.redis.start()
    world.healed()


@case("client-kill")
def client_kill(world: World) -> None:
    """CLIENT KILL of every connection while a chunk is worked on."""
    world.start_node()
    world.submit_held(64)
    with world.redis_client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    world.healed()
    world.open_gate()


@case("half-open-redis")
def half_open_redis(world: World) -> None:
    """Packets between worker and Redis vanish for 60 s, and the connections of before stay lost."""
    with Proxy(("127.0.0.1", world.redis.port)) as proxy:
        world.start_node(photo_s=0.01, FACEFLEET_REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0")
        world.submit(400)
        world.wait_outcomes(40)
        proxy.go_silent()
        time.sleep(60)
        proxy.take_new_connections()
        world.healed()
        world.wait_outcomes(world.submitted)


@case("redis-read-only")
def redis_read_only(world: World) -> None:
    """Redis becomes the read-only replica of a server that is not there, for 10 s; a job is submitted meanwhile."""
    world.start_node(photo_s=0.01)
    world.submit(400)
    world.wait_outcomes(40)
    with world.redis_client() as client:
        client.replicaof("127.0.0.1", str(free_port()))
        assert not world.submit(64).rung
        time.sleep(_OUTAGE_S)
        client.replicaof("NO", "ONE")
    world.healed()


@case("redis-out-of-memory")
def redis_out_of_memory(world: World) -> None:
    """Redis refuses every write for want of memory, for 10 s; a job is submitted meanwhile."""
    world.start_node(photo_s=0.01)
    world.submit(400)
    world.wait_outcomes(40)
    with world.redis_client() as client:
        client.config_set("maxmemory", "1")
        assert not world.submit(64).rung
        time.sleep(_OUTAGE_S)
        client.config_set("maxmemory", "0")
    world.healed()


@case("visibility-timeout")
def visibility_timeout(world: World) -> None:
    """A chunk takes three times as long as Redis waits for an acknowledgement: its bell rings again meanwhile."""
    for _ in range(2):
        world.start_node(photo_s=1.5, **{child.VISIBILITY_S: "2"})
    world.submit(16)
    world.wait_outcomes(16)
    world.healed()
    with world.redis_client() as client:
        assert "cmdstat_hget" in client.info("commandstats"), "no bell rang again"  # kombu reads one only to restore it
    assert max(world.looks().values()) == 1, "a bell that rang again broke a lease"


@case("rung-ten-times")
def rung_ten_times(world: World) -> None:
    """Every bell of a job is published ten times, with two workers to answer."""
    submission = world.submit(160, ring=False)
    world.fleet.doorbell.ring_chunks(10 * len(world.fleet.chunks()))
    assert submission.total == 160
    world.start_node(slots=2, photo_s=0.01)
    world.wait_outcomes(160)
    world.healed()
    assert max(world.looks().values()) == 1, "a chunk was worked on twice"


def _forget(world: World) -> None:
    """Remove what a Redis that is down would come back with."""
    for data in world.redis.folder.glob("appendonly*"):
        shutil.rmtree(data) if data.is_dir() else data.unlink()
