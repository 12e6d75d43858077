"""Processes are killed, stopped, restarted and slowed down."""

import signal
import subprocess

from tests.chaos import child
from tests.chaos.cases import case
from tests.chaos.tally import count_given_back
from tests.chaos.world import World, kill_process, send


@case("kill-child", short=("sqlite", "postgresql"))
def kill_child(world: World) -> None:
    """Kill -9 of a worker child in the middle of a chunk."""
    node = world.start_node()
    world.submit_held(64)
    kill_process(node.children()[0])
    world.healed()
    world.open_gate()
    world.wait_until(lambda: max(chunk.attempts for chunk in world.fleet.chunks()) == 2, "the chunk is tried again")


@case("kill-node")
def kill_node(world: World) -> None:
    """Kill -9 of a whole node in the middle of a chunk; another takes over."""
    node = world.start_node(slots=2)
    world.submit_held(64)
    node.kill()
    world.healed()
    world.open_gate()
    world.start_node()


@case("kill-node-default-lease", lease_s=60.0, sweep_interval_s=5.0)
def kill_node_default_lease(world: World) -> None:
    """The same with the default lease of 60 s and a sweep every 5 s: the chunk waits that long and no longer."""
    kill_node(world)


@case("kill-after-commit")
def kill_after_commit(world: World) -> None:
    """Kill -9 of a worker child between the commit of a chunk and the acknowledgement of its bell."""
    has_died = world.order(child.DIE_AFTER_COMMIT)
    world.start_node()
    world.submit(64)
    world.wait_until(has_died, "a child died after its commit")
    world.healed()


@case("kill-after-ack")
def kill_after_ack(world: World) -> None:
    """Kill -9 of a node between the acknowledgement of a bell and the next fetch."""
    has_died = world.order(child.DIE_AFTER_ACK)
    node = world.start_node()
    world.submit(64)
    world.wait_until(lambda: has_died() and node.process.poll() is not None, "the node died after an acknowledgement")
    world.healed()
    world.start_node()


@case("stop-publish-kill")
def stop_publish_kill(world: World) -> None:
    """SIGSTOP of the consumer, then a job is published, then kill -9: Celery loses the bell that Redis handed out."""
    node = world.start_node()
    send(world.sweeper, signal.SIGSTOP)  # it would ring again while bells are counted
    world.submit(64, ring=False)
    bells = len(world.fleet.chunks())
    send(node, signal.SIGSTOP)
    world.fleet.doorbell.ring_chunks(bells)
    node.kill()
    with world.redis_client() as client:
        lost = bells - client.llen("identify") - client.hlen("unacked")
    world.notes.append(f"{lost} of {bells} bells were lost by the queue")
    send(world.sweeper, signal.SIGCONT)
    world.healed()
    world.start_node()


@case("rolling-restarts", chunk_size=64)
def rolling_restarts(world: World) -> None:
    """Fifty rolling restarts under load: SIGTERM, ten seconds of grace, kill -9, two nodes in turn."""
    # A chunk takes the first node 1.6 s and the second 13 s: one finishes it in its grace, the other gives it back.
    photos_s = (0.05, 0.4)
    nodes = [world.start_node(photo_s=photo_s) for photo_s in photos_s]
    killed = 0
    for number in range(50):
        if world.outcomes() > world.submitted - 500:
            world.submit(1000)
        node = nodes[number % 2]
        send(node, signal.SIGTERM)
        try:
            node.process.wait(10)
        except subprocess.TimeoutExpired:
            node.kill()
            killed += 1
        nodes[number % 2] = world.start_node(photo_s=photos_s[number % 2])
    world.healed()
    given_back = count_given_back(world.fleet.database)
    world.notes.append(f"{given_back} chunks were given back, {killed} nodes needed the kill")
    assert given_back, "no node had a chunk to give back"


@case("slow-worker")
def slow_worker(world: World) -> None:
    """A worker that is ten times slower than its neighbour and takes longer than its lease for a chunk."""
    world.start_node(photo_s=1.0)
    world.start_node(photo_s=0.1)
    world.submit(160)
    world.wait_outcomes(160)
    world.healed()
    assert max(world.looks().values()) == 1, "its lease was not kept, though it advanced"


@case("two-workers-one-chunk", short=("sqlite", "postgresql"))
def two_workers_one_chunk(world: World) -> None:
    """A worker stands still until its lease is another's, and finishes the chunk after the other did."""
    late = world.start_node()
    world.submit_held(8)
    sleeper = late.children()[0]
    sleeper.suspend()
    world.open_gate()
    world.start_node()
    world.wait_outcomes(8)
    sleeper.resume()
    world.healed()
    # Where the other took long, its own alarm for photos that hang ends it before it can ask.
    heard = ("drop", "SIGALRM")
    world.wait_until(lambda: any(word in late.log for word in heard), "the late worker heard that its lease was lost")


@case("two-sweepers")
def two_sweepers(world: World) -> None:
    """Three sweepers at once while children die: work is taken back once."""
    world.start_sweeper()
    world.start_sweeper()
    node = world.start_node(slots=2, photo_s=0.02)
    world.submit(400)
    for reached in (50, 150, 250):
        world.wait_outcomes(reached)
        kill_process(world.random.choice(node.children()))
    world.healed()
