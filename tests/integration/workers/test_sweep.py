"""The sweeper brings back what was lost, closes what is finished, and outlives outages."""

import logging
import signal
from datetime import timedelta

import pytest

from core.clock import utc_now
from core.records import ChunkState, FacesMode, JobState, RunState
from db import control, jobs, runs
from db.claims import claim_due_chunk
from db.jobs import NewJob
from db.tables import Run
from tests.integration.workers.fleet import SmallFleet
from workers.doorbell import MOST_BELLS
from workers.sweep import run_sweeper


def test_an_expired_lease_goes_back_to_the_queue_and_is_rung(fleet: SmallFleet) -> None:
    fleet.submit(fleet.photos(8), ring=False)
    with fleet.database.write() as session:
        claim_due_chunk(session, "gone", utc_now() - timedelta(minutes=1), 1.0, 256)
    report = fleet.sweep()
    assert (report.chunks_reclaimed, report.bells_rung) == (1, 1)
    assert fleet.chunks()[0].state == ChunkState.QUEUED
    assert fleet.doorbell.waiting() == 1


def test_as_many_bells_wait_as_chunks_are_due_and_those_that_are_lost_are_rung_again(fleet: SmallFleet) -> None:
    fleet.submit(fleet.photos(80))
    assert (fleet.sweep().bells_rung, fleet.doorbell.waiting()) == (0, 10)
    fleet.flush_redis()
    fleet.doorbell.ring_chunks(3)
    assert (fleet.sweep().bells_rung, fleet.doorbell.waiting()) == (7, 10)


def test_a_large_job_leaves_a_few_bells_however_often_it_is_rung_for(fleet: SmallFleet) -> None:
    folder = fleet.photos(1)
    manifest = fleet.folder / "large.csv"
    manifest.write_text("\n".join(["uri", *[str(folder / "0000.png")] * 8 * 2 * MOST_BELLS]))
    fleet.submit(manifest)
    assert fleet.doorbell.waiting() == MOST_BELLS
    fleet.submit(manifest)
    fleet.sweep()
    assert fleet.doorbell.waiting() == MOST_BELLS
    assert len(fleet.chunks()) == 4 * MOST_BELLS


def test_a_cancellation_that_broke_off_is_carried_out(fleet: SmallFleet) -> None:
    submission = fleet.submit(fleet.photos(20))
    with fleet.database.write() as session:
        control.cancel_job(session, submission.job_public_id, "test", utc_now())
    assert fleet.sweep().chunks_cancelled == 3
    job = fleet.job(submission)
    assert (job.state, job.items_error, job.finished_at is not None) == (JobState.CANCELLED, 20, True)


def test_a_broken_submission_is_discarded_after_ten_minutes(fleet: SmallFleet) -> None:
    begun = utc_now() - timedelta(minutes=11)
    with fleet.database.write() as session:
        for age in (begun, utc_now()):
            job = jobs.create_job(session, NewJob(name="x", faces_mode=FacesMode.CROP, request_digest="d"), age)
            jobs.add_page(session, job.id, 0, ["/a.jpg"], 8, age)
    assert fleet.sweep().submissions_discarded == 1
    with fleet.database.read() as session:
        [left] = jobs.list_jobs(session, 10)
    assert (left.id, left.state) == (job.id, JobState.SUBMITTING)


def test_a_run_whose_trainer_vanished_is_queued_rung_and_at_last_given_up(fleet: SmallFleet) -> None:
    with fleet.database.write() as session:
        run = runs.create_run(session, recipe="compact", options={}, now=utc_now())
    for attempt in range(1, runs.MAX_ATTEMPTS + 1):
        assert fleet.sweep().runs_rung == 1
        fleet.flush_redis()
        with fleet.database.write() as session:
            lease = runs.claim_run(session, run.id, "gone", utc_now() - timedelta(minutes=1), 1.0)
            assert lease is not None
            session.get_one(Run, run.id).rung_at = None
        assert fleet.sweep().runs_reclaimed == 1, attempt
        fleet.flush_redis()
        with fleet.database.write() as session:
            session.get_one(Run, run.id).rung_at = None
    with fleet.database.read() as session:
        ended = runs.get_run(session, run.public_id)
    assert ended.state == RunState.FAILED
    assert "goes on serving" in (ended.reason or "")


def test_the_sweeper_outlives_redis_and_says_so_once(
    sqlite_fleet: SmallFleet, caplog: pytest.LogCaptureFixture
) -> None:
    sqlite_fleet.submit(sqlite_fleet.photos(8), ring=False)
    sqlite_fleet.redis.stop(signal.SIGKILL)
    rounds = iter(range(6))

    def wait(_: float) -> bool:
        number = next(rounds)
        if number == 4:
            sqlite_fleet.redis.start()
        return number == 5

    with caplog.at_level(logging.INFO, logger="workers.sweep"):
        run_sweeper(sqlite_fleet.database, sqlite_fleet.doorbell, sqlite_fleet.settings, wait=wait)
    assert sqlite_fleet.doorbell.waiting() == 1
    assert sum("did not answer" in record.message for record in caplog.records) == 1
    assert sum("is over" in record.message for record in caplog.records) == 1
