"""Jobs share real workers: small ones overtake, a pause holds, and what was stopped can be taken up again."""

from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import func, select

from core.clock import utc_now
from core.records import ChunkState, JobState
from db import control, retries
from db.tables import Item
from tests.integration.workers.fleet import SmallFleet, wait_until
from tests.integration.workers.held import HeldPhoto
from workers.doorbell import MOST_BELLS, ring_for_due_chunks
from workers.submit import Submission

pytestmark = pytest.mark.one_database

LARGE = 100_000


def large_manifest(fleet: SmallFleet, photos: int = LARGE) -> Path:
    """A manifest that names one tiny photo so often."""
    photo = fleet.photos(1, name="large") / "0000.png"
    manifest = fleet.folder / "large.csv"
    manifest.write_text("uri\n" + f"{photo}\n" * photos)
    return manifest


def bells_in_redis(fleet: SmallFleet) -> int:
    """All of them: those that wait and those in workers' hands."""
    with Redis.from_url(fleet.redis.url) as client:
        return int(client.llen("identify")) + int(client.hlen("unacked"))


def test_ten_photos_behind_a_hundred_thousand_are_done_while_the_large_job_runs(fleet: SmallFleet) -> None:
    fleet.add_model()
    large = fleet.submit(large_manifest(fleet))
    assert bells_in_redis(fleet) == MOST_BELLS
    fleet.start()
    wait_until(lambda: fleet.job(large).items_faces > 0, "the large job is under way")
    small = fleet.submit(fleet.photos(10, name="small"))
    assert fleet.wait_done(small).items_faces == 10
    assert fleet.job(large).state == JobState.RUNNING
    done = fleet.job(large).items_faces
    wait_until(lambda: fleet.job(large).items_faces > done, "the large job goes on, without a sweeper")
    assert bells_in_redis(fleet) <= MOST_BELLS + 2


def test_a_few_bells_do_a_whole_job_without_a_sweeper(fleet: SmallFleet) -> None:
    fleet.add_model()
    submission = fleet.submit(fleet.photos(200), ring=False)
    fleet.doorbell.ring_chunks(2)
    fleet.start(slots=2)
    assert fleet.wait_done(submission).items_faces == 200
    wait_until(lambda: bells_in_redis(fleet) == 0, "bells that find nothing are gone")


def submit_and_hold(fleet: SmallFleet, photos: int) -> tuple[Submission, HeldPhoto]:
    """Have a worker at a job's first chunk, with a photo in it that is not given out yet."""
    fleet.add_model()
    held = HeldPhoto(fleet.photos(photos) / "0001.png")
    submission = fleet.submit(held.manifest)
    fleet.start()
    wait_until(lambda: any(chunk.state == ChunkState.CLAIMED for chunk in fleet.chunks()), "a chunk is claimed")
    return submission, held


def test_a_paused_job_stands_still_and_goes_on_when_it_is_resumed(fleet: SmallFleet) -> None:
    submission, held = submit_and_hold(fleet, 40)
    with fleet.database.write() as session:
        control.pause_job(session, submission.job_public_id, "test", utc_now())
    held.let_go()
    wait_until(lambda: bells_in_redis(fleet) == 0, "every bell has found nothing due")
    states = [chunk.state for chunk in fleet.chunks()]
    assert (states.count(ChunkState.DONE), states.count(ChunkState.QUEUED)) == (1, 4)
    with fleet.database.write() as session:
        control.resume_job(session, submission.job_public_id, "test", utc_now())
    assert ring_for_due_chunks(fleet.database, fleet.doorbell) == 4
    assert fleet.wait_done(submission).items_faces == 40


def test_a_worker_in_a_cancelled_chunk_writes_nothing_and_goes_on_with_other_jobs(fleet: SmallFleet) -> None:
    submission, held = submit_and_hold(fleet, 16)
    with fleet.database.write() as session:
        control.cancel_job(session, submission.job_public_id, "test", utc_now())
    fleet.sweep()
    held.let_go()
    other = fleet.wait_done(fleet.submit(fleet.photos(8, name="other")))
    cancelled = fleet.job(submission)
    assert (other.items_faces, cancelled.items_faces, cancelled.items_error) == (8, 0, 16)
    with fleet.database.read() as session:
        codes = session.execute(
            select(Item.error_code, func.count()).where(Item.job_id == cancelled.id).group_by(Item.error_code)
        )
        assert [tuple(row) for row in codes] == [("cancelled", 16)]


def test_failed_photos_that_were_mended_are_identified_by_a_retry(fleet: SmallFleet) -> None:
    fleet.add_model()
    folder = fleet.photos(20)
    broken = {folder / name: (folder / name).read_bytes() for name in ("0003.png", "0004.png", "0017.png")}
    for photo in broken:
        photo.write_bytes(b"")
    fleet.start()
    submission = fleet.submit(folder)
    assert fleet.wait_done(submission).items_error == 3
    for photo, content in broken.items():
        photo.write_bytes(content)
    with fleet.database.write() as session:
        assert retries.begin_retry(session, submission.job_public_id, "test", utc_now()) == 3
    assert fleet.sweep().photos_retried == 3  # whoever began it is gone
    job = fleet.wait_done(submission)
    assert (job.items_faces, job.items_error, job.faces_identified) == (20, 0, 20)
