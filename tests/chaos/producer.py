"""Producers are killed on the way, and submit the same thing twice."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from core.clock import utc_now
from db import jobs
from db.tables import Item
from tests.chaos.cases import case
from tests.chaos.world import World
from tests.integration.workers.fleet import ROOT
from workers.sweep import sweep_once

# A producer in a process of its own: `python -c ... MANIFEST KEY DEATH`, where DEATH is a page, `ring` or `none`.
_PRODUCER = """
import os, signal, sys
from core.records import FacesMode
from core.settings import Settings
from db.engine import Database
from workers import submit
from workers.doorbell import Doorbell

manifest, key, death = sys.argv[1:]
settings = Settings.from_env()
submit.PAGE_ITEMS = 64
doorbell = Doorbell(settings.redis_url)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

if death == "ring":
    doorbell.ring_chunks = lambda _: die()
request = submit.SubmitRequest(
    sources=(manifest,), faces_mode=FacesMode.CROP, name="chaos", idempotency_key=key
)
done = submit.submit_job(
    Database.from_settings(settings), doorbell, settings, request,
    lambda total: die() if death.isdigit() and total >= int(death) else None,
)
print(done.job_public_id, done.repeated)
"""


@case("producer-killed-before-ring")
def producer_killed_before_ring(world: World) -> None:
    """Kill -9 of the producer after the commit of its job and before its first bell."""
    world.start_node()
    manifest = world.write_manifest(160)
    assert _produce(world, manifest, "ring").wait() == -9
    world.healed()
    # The caller tries again, under the same key, and is told of the job that runs already.
    repeated = world.count(world.fleet.submit(manifest, idempotency_key="chaos"))
    assert repeated.repeated


@case("producer-killed-inserting")
def producer_killed_inserting(world: World) -> None:
    """Kill -9 of the producer in the middle of inserting a job; nothing of that job runs, and it is submitted again."""
    world.start_node()
    manifest = world.write_manifest(640)
    assert _produce(world, manifest, str(world.random.randrange(64, 640, 64))).wait() == -9
    half = world.fleet.count(Item)
    assert 0 < half < 640
    with world.fleet.database.read() as session:
        broken = jobs.find_broken_submissions(session, utc_now() + timedelta(seconds=1))
    assert len(broken) == 1
    # Ten minutes later, as the sweeper's clock goes.
    sweep_once(world.fleet.database, world.fleet.doorbell, world.fleet.settings, utc_now() + timedelta(minutes=11))
    assert world.fleet.count(Item) == 0, "half a job stayed"
    world.healed()
    world.count(world.fleet.submit(manifest, idempotency_key="chaos"))


@case("submitted-twice-at-once")
def submitted_twice_at_once(world: World) -> None:
    """Four producers submit the same job under the same key in the same moment: it runs once."""
    world.start_node()
    manifest = world.write_manifest(320)
    producers = [_produce(world, manifest, "none") for _ in range(4)]
    answers = [producer.communicate()[0].split() for producer in producers]
    assert len({public_id for public_id, _ in answers}) == 1
    assert [repeated for _, repeated in answers].count("False") == 1
    world.healed()
    world.count(world.fleet.submit(manifest, idempotency_key="chaos"))


def _produce(world: World, manifest: Path, death: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _PRODUCER, str(manifest), "chaos", death],
        env={**world.fleet.environment, **world.environment()},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
