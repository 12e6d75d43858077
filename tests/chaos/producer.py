"""Producers are killed on the way, submit the same thing twice, and submit a great deal."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, select

from core.clock import utc_now
from db import control, jobs
from db.tables import Chunk, Face, Item, Job
from tests.chaos.cases import case
from tests.chaos.world import World
from tests.integration.workers.fleet import ROOT
from workers.sweep import sweep_once

_MILLION = 1_000_000

# The command in a process of its own, which says at its end what it took (`ru_maxrss` would know the parent's memory).
_SUBMIT = """
import atexit, json, re, sys, time
from pathlib import Path
from scripts.main import cli

def tell():
    most_kib = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    json.dump({"mb": most_kib * 1024 / 1e6, "core_s": time.process_time()}, sys.stderr)

atexit.register(tell)
cli(["submit", sys.argv[1], "--faces", "crop", "--json"])
"""

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


@case("million-paths", databases=("postgresql",), chunk_size=128)
def million_paths(world: World) -> None:
    """A million paths are submitted in 90 s and 300 MB while workers are busy; that job is then taken out again."""
    world.start_node(slots=2, photo_s=0.02)
    world.submit(6000)
    world.wait_outcomes(128)
    manifest = world.write_manifest(_MILLION)
    begun_s = time.monotonic()
    submitted = subprocess.run(
        [sys.executable, "-c", _SUBMIT, str(manifest)],
        env={**os.environ, **world.fleet.environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    took_s, busy = time.monotonic() - begun_s, world.outcomes()
    world.healed()
    document, used = json.loads(submitted.stdout), json.loads(submitted.stderr)
    _take_out(world, document["job"])
    figures = (
        f"{document['total']:,} paths in {took_s:.1f} s ({used['core_s']:.1f} s of a core), {used['mb']:.0f} MB at most"
        f"; the workers identified {busy:,} photos meanwhile"
    )
    world.notes.append(figures)
    assert (document["total"], took_s < 90, used["mb"] < 300) == (_MILLION, True, True), figures
    assert busy < world.submitted, "the workers had nothing to do"


def _take_out(world: World, public_id: str) -> None:
    """Remove a job and all that is recorded of it: nobody waits here for a million photos."""
    with world.fleet.database.write() as session:
        control.cancel_job(session, public_id, "chaos", utc_now())
    job_id = select(Job.id).where(Job.public_id == public_id).scalar_subquery()
    with world.fleet.database.write() as session:
        for table in (Chunk, Face, Item):  # as commits lock them
            session.execute(delete(table).where(table.job_id == job_id))
        session.execute(delete(Job).where(Job.public_id == public_id))


def _produce(world: World, manifest: Path, death: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _PRODUCER, str(manifest), "chaos", death],
        env={**world.fleet.environment, **world.environment()},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
