"""Submitting: all of it or nothing, with or without Redis, once under one key."""

import signal

import pytest

from core.errors import EmptySourceError, IdempotencyConflictError, ManifestError, SourceNotFoundError
from core.records import JobState
from db import jobs
from db.tables import Item
from tests.integration.workers.fleet import SmallFleet


def test_a_job_is_recorded_in_chunks_and_rung(fleet: SmallFleet) -> None:
    seen: list[int] = []
    submission = fleet.submit(fleet.photos(20), on_progress=seen.append)
    assert (submission.total, submission.skipped, submission.rung, submission.ring_error) == (20, 0, True, None)
    assert [(chunk.first_ordinal, chunk.item_count) for chunk in fleet.chunks()] == [(0, 8), (8, 8), (16, 4)]
    assert fleet.doorbell.waiting() == 3
    assert seen == [20]
    assert fleet.job(submission).state == JobState.RUNNING


def test_the_same_key_gives_the_same_job_and_rings_nobody(fleet: SmallFleet) -> None:
    folder = fleet.photos(4)
    first = fleet.submit(folder, idempotency_key="k")
    again = fleet.submit(folder, idempotency_key="k")
    assert (again.job_public_id, again.total, again.repeated) == (first.job_public_id, 4, True)
    assert (fleet.count(Item), fleet.doorbell.waiting()) == (4, 1)
    with pytest.raises(IdempotencyConflictError, match=first.job_public_id):
        fleet.submit(fleet.photos(2, name="other"), idempotency_key="k")


def test_another_share_of_strangers_is_another_submission(fleet: SmallFleet) -> None:
    folder = fleet.photos(4)
    first = fleet.submit(folder, idempotency_key="k", fpir=0.003)
    assert fleet.job(first).fpir == 0.003
    assert fleet.submit(folder, idempotency_key="k", fpir=0.003).repeated
    with pytest.raises(IdempotencyConflictError, match=first.job_public_id):
        fleet.submit(folder, idempotency_key="k")


def test_without_redis_the_job_is_recorded_and_the_sweeper_rings(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.redis.stop(signal.SIGKILL)
    submission = sqlite_fleet.submit(sqlite_fleet.photos(20))
    assert not submission.rung
    assert "did not answer" in (submission.ring_error or "")
    sqlite_fleet.redis.start()  # it may have forgotten the last seconds before it was killed, with them being emptied
    assert sqlite_fleet.sweep().bells_rung > 0
    assert sqlite_fleet.doorbell.waiting() == 3


@pytest.mark.parametrize("source", ["nowhere", "empty"])
def test_a_source_without_photos_leaves_nothing(sqlite_fleet: SmallFleet, source: str) -> None:
    (sqlite_fleet.folder / "empty").mkdir()
    with pytest.raises((SourceNotFoundError, EmptySourceError)):
        sqlite_fleet.submit(sqlite_fleet.folder / source)
    assert _everything(sqlite_fleet) == (0, 0, 0)


def test_an_interrupt_in_the_middle_leaves_nothing(fleet: SmallFleet) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fleet.submit(fleet.photos(20), on_progress=interrupt)
    assert _everything(fleet) == (0, 0, 0)


def test_a_source_that_breaks_off_leaves_nothing(sqlite_fleet: SmallFleet) -> None:
    manifest = sqlite_fleet.folder / "list.jsonl"
    manifest.write_text('{"uri": "/a.jpg"}\n{"uri": "/b.jpg"}\n{broken\n')
    with pytest.raises(ManifestError, match="Line 3"):
        sqlite_fleet.submit(manifest)
    assert _everything(sqlite_fleet) == (0, 0, 0)


def _everything(fleet: SmallFleet) -> tuple[int, int, int]:
    with fleet.database.read() as session:
        return len(jobs.list_jobs(session, 10)), fleet.count(Item), len(fleet.chunks())
