"""The sweeper brings back what was lost, closes what is finished, and outlives outages."""

import logging
import signal
from datetime import timedelta

import pytest

from core.clock import utc_now
from core.records import ChunkState, FacesMode, JobState, RunState
from db import chunks, jobs, runs
from db.jobs import NewJob
from db.tables import Run
from tests.integration.workers.fleet import SmallFleet
from workers.sweep import LOW_WATER, TOP_UP, run_sweeper, sweep_once


def test_an_expired_lease_goes_back_to_the_queue_and_is_rung(fleet: SmallFleet) -> None:
    fleet.submit(fleet.photos(8), ring=False)
    with fleet.database.write() as session:
        chunks.claim_chunk(session, fleet.chunks()[0].id, "gone", utc_now() - timedelta(minutes=1), 1.0)
    report = fleet.sweep()
    assert (report.chunks_reclaimed, report.chunks_rung) == (1, 1)
    assert fleet.chunks()[0].state == ChunkState.QUEUED
    assert fleet.doorbell.waiting() == 1


def test_bells_that_wait_are_not_rung_again(fleet: SmallFleet) -> None:
    fleet.submit(fleet.photos(80))
    later = utc_now() + timedelta(hours=1)
    assert sweep_once(fleet.database, fleet.doorbell, fleet.settings, later).chunks_rung == 0
    fleet.flush_redis()
    assert sweep_once(fleet.database, fleet.doorbell, fleet.settings, later).chunks_rung == 10


def test_a_chunk_that_was_just_rung_is_left_in_peace(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.submit(sqlite_fleet.photos(8))
    sqlite_fleet.flush_redis()
    soon = utc_now()
    assert sweep_once(sqlite_fleet.database, sqlite_fleet.doorbell, sqlite_fleet.settings, soon).chunks_rung == 0


def test_a_large_job_is_rung_little_by_little(sqlite_fleet: SmallFleet) -> None:
    now = utc_now()
    with sqlite_fleet.database.write() as session:
        new = NewJob(name="large", faces_mode=FacesMode.CROP, request_digest="d")
        job = jobs.create_job(session, new, now)
        count = 2 * TOP_UP + 10
        jobs.add_page(session, job.id, 0, [f"/{number}.jpg" for number in range(count)], 1, now)
        jobs.open_job(session, job.id, count, jobs.SkipLog(), now)
    assert sqlite_fleet.sweep().chunks_rung == TOP_UP
    assert sqlite_fleet.sweep().chunks_rung == (0 if LOW_WATER <= TOP_UP else TOP_UP)
    sqlite_fleet.flush_redis()
    assert sqlite_fleet.sweep().chunks_rung == TOP_UP


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
