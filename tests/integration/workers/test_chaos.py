"""Processes are killed, Redis forgets, leases are lost: nothing of a job is."""

import signal

from sqlalchemy import select

from core.clock import utc_now
from core.records import ChunkState
from db import chunks
from db.claims import claim_due_chunk
from db.tables import Chunk, Face, Item
from tests.integration.workers.fleet import SmallFleet, wait_until
from tests.integration.workers.held import HeldPhoto


def test_a_flushed_redis_loses_nothing(fleet: SmallFleet) -> None:
    fleet.add_model()
    node = fleet.start()
    first = fleet.wait_done(fleet.submit(fleet.photos(8, name="first")))
    fleet.flush_redis()
    submission = fleet.submit(fleet.photos(40), ring=False)
    fleet.flush_redis()
    job = fleet.wait_done(submission, sweeping=True)
    assert (first.items_faces, job.items_faces) == (8, 40)
    assert node.check_alive()


def test_a_killed_child_is_replaced_and_its_chunk_done_after_the_lease(fleet: SmallFleet) -> None:
    fleet.add_model()
    node = fleet.start()
    photo = fleet.photos(24) / "0003.png"
    held = HeldPhoto(photo)
    submission = fleet.submit(held.manifest)
    wait_until(lambda: any(chunk.state == ChunkState.CLAIMED for chunk in fleet.chunks()), "a chunk is claimed")
    [child] = node.children()
    child.kill()
    held.let_go()
    job = fleet.wait_done(submission, sweeping=True)
    assert (job.items_faces, job.items_error) == (24, 0)
    assert max(chunk.attempts for chunk in fleet.chunks()) == 2
    assert fleet.count(Face) == 24


def test_a_worker_that_lost_its_lease_writes_nothing(fleet: SmallFleet) -> None:
    fleet.add_model()
    fleet.start()
    photo = fleet.photos(8) / "0000.png"
    held = HeldPhoto(photo)
    submission = fleet.submit(held.manifest)
    wait_until(lambda: fleet.chunks()[0].state == ChunkState.CLAIMED, "the chunk is claimed")
    with fleet.database.write() as session:  # the lease passes to somebody else, who is slow
        session.get_one(Chunk, fleet.chunks()[0].id).state = ChunkState.QUEUED
    with fleet.database.write() as session:
        lease = claim_due_chunk(session, "somebody else", utc_now(), 60.0, 256)
    assert lease is not None
    held.let_go()
    again = fleet.submit(fleet.photos(8, name="later"))
    fleet.wait_done(again)  # the slot is past the chunk that it lost
    with fleet.database.read() as session:
        chunk = session.scalars(select(Chunk).order_by(Chunk.id)).first()
    assert chunk is not None
    assert (chunk.state, chunk.worker) == (ChunkState.CLAIMED, "somebody else")
    assert fleet.count(Item, Item.job_id == fleet.job(submission).id, Item.outcome.is_not(None)) == 0
    assert fleet.job(submission).items_faces == 0


def test_a_photo_that_kills_its_worker_ends_alone_with_an_error(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    folder = sqlite_fleet.photos(4)
    submission = sqlite_fleet.submit(folder)
    poison = 2

    def crash() -> None:
        """Play workers that die whenever their chunk holds the poisonous photo."""
        healthy: list[chunks.ChunkLease] = []
        now = utc_now()
        with sqlite_fleet.database.write() as session:
            for lease in iter(lambda: claim_due_chunk(session, "crasher", now, 60.0, 256), None):
                if lease.first_ordinal <= poison < lease.first_ordinal + lease.item_count:
                    chunks.expire_lease(session, lease, now)
                else:
                    healthy.append(lease)
            for lease in healthy:
                chunks.release_chunk(session, lease)
        sqlite_fleet.sweep()

    def poison_has_outcome() -> bool:
        crash()
        return sqlite_fleet.count(Item, Item.error_code == "worker_crashed") == 1

    wait_until(poison_has_outcome, "the poisonous photo is alone")
    sqlite_fleet.start()
    job = sqlite_fleet.wait_done(submission, sweeping=True)
    assert (job.items_faces, job.items_error) == (3, 1)


def test_redis_away_at_submit_and_back_later(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    node = sqlite_fleet.start()
    sqlite_fleet.redis.stop(signal.SIGKILL)
    submission = sqlite_fleet.submit(sqlite_fleet.photos(16))
    assert not submission.rung
    assert submission.ring_error is not None
    assert "Nothing is lost" in submission.ring_error
    sqlite_fleet.redis.start()
    job = sqlite_fleet.wait_done(submission, sweeping=True)
    assert job.items_faces == 16
    assert node.check_alive()
