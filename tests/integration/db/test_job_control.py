"""Pause, resume, cancel and retry: each state knows what may follow, and every photo keeps exactly one outcome."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from core.errors import JobStateError, LeaseLostError, UnknownIdError
from core.records import ChunkState, FacesMode, ItemOutcome, JobState, PhotoResult, SkipLog
from db import audit, chunks, control, jobs, retries
from db.engine import Database
from db.jobs import NewJob
from db.tables import Job
from tests import ledger
from tests.ledger import EXPIRED, NOW

LATER = NOW + timedelta(hours=1)
NEW = NewJob(name="album", faces_mode=FacesMode.CROP, request_digest="d" * 64)


@pytest.fixture
def model_id(database: Database) -> int:
    with database.write() as session:
        return ledger.add_model(session)


def public_id(database: Database, job_id: int) -> str:
    return ledger.get_job(database, job_id).public_id


def pause(database: Database, job_id: int) -> bool:
    with database.write() as session:
        return control.pause_job(session, public_id(database, job_id), "ada", LATER)


def resume(database: Database, job_id: int) -> bool:
    with database.write() as session:
        return control.resume_job(session, public_id(database, job_id), "ada", LATER)


def cancel(database: Database, job_id: int) -> bool:
    with database.write() as session:
        return control.cancel_job(session, public_id(database, job_id), "ada", LATER)


def retry(database: Database, job_id: int, chunk_size: int = 4) -> int:
    """Queue what failed again, page by page; return how many photos this caller queued."""
    with database.write() as session:
        retries.begin_retry(session, public_id(database, job_id), "ada", LATER)
    return sum(iter(lambda: queue_page(database, job_id, chunk_size), 0))


def queue_page(database: Database, job_id: int, chunk_size: int = 4) -> int:
    with database.write() as session:
        return retries.queue_page(session, public_id(database, job_id), chunk_size, LATER, limit=6)


def settle(database: Database) -> int:
    with database.write() as session:
        return control.settle_cancelled_jobs(session, LATER)


def finish_all(database: Database, model_id: int, *bad: int) -> list[tuple[int, int]]:
    """Work off what is due; the photos `bad` fail. Return the ranges that were worked on."""
    worked = []
    for lease in ledger.claim_all(database):
        results = [ledger.failure(each.ordinal) if each.ordinal in bad else each for each in ledger.results_of(lease)]
        ledger.finish(database, lease, results, model_id)
        worked.append((lease.first_ordinal, lease.item_count))
    return worked


def assert_every_photo_is_counted_once(database: Database, job_id: int) -> Job:
    """Each item has one outcome, and the counters say the same."""
    job = ledger.get_job(database, job_id)
    outcomes = [item.outcome for item in ledger.items_of(database, job_id)]
    counted = {outcome: getattr(job, f"items_{outcome}") for outcome in ItemOutcome}
    assert counted == {outcome: outcomes.count(outcome) for outcome in ItemOutcome}
    assert sum(counted.values()) == job.total == len(outcomes)
    return job


def test_a_paused_job_gives_no_chunk_and_what_is_in_work_is_finished(database: Database, model_id: int) -> None:
    job_id, _ = ledger.add_job(database, items=8)
    lease = ledger.claim(database)
    assert lease is not None
    assert pause(database, job_id)
    assert ledger.claim(database) is None
    with database.write() as session:
        chunks.extend_lease(session, lease, NOW, 60.0)
    ledger.finish(database, lease, ledger.results_of(lease), model_id)
    assert ledger.get_job(database, job_id).items_faces == 4
    assert resume(database, job_id)
    finish_all(database, model_id)
    assert assert_every_photo_is_counted_once(database, job_id).state == JobState.DONE


def test_no_chunk_is_claimed_after_a_pause_however_many_claim_in_that_moment(database: Database) -> None:
    for _ in range(5):
        job_id, _ = ledger.add_job(database, items=64, chunk_size=1)
        works: list[Callable[[], object]] = [lambda i=i: ledger.claim(database, f"w{i}") for i in range(6)]
        got = ledger.race([*works, lambda job_id=job_id: pause(database, job_id)])
        assert not any(isinstance(each, Exception) for each in got), got
        assert ledger.claim(database) is None
        claimed = [chunk for chunk in ledger.chunks_of(database, job_id) if chunk.state == ChunkState.CLAIMED]
        assert len(claimed) == sum(each is not None for each in got) - 1


def test_a_job_whose_last_photos_end_while_it_is_paused_ends_when_it_is_resumed(
    database: Database, model_id: int
) -> None:
    job_id, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    pause(database, job_id)
    ledger.finish(database, lease, ledger.results_of(lease), model_id)
    assert ledger.get_job(database, job_id).state == JobState.PAUSED
    resume(database, job_id)
    job = ledger.get_job(database, job_id)
    assert (job.state, job.finished_at) == (JobState.DONE, LATER)


def test_the_rate_of_a_resumed_job_is_counted_from_then(database: Database, model_id: int) -> None:
    job_id, (chunk_id, _) = ledger.add_job(database, items=8)
    lease = ledger.must_claim(database, chunk_id)
    ledger.finish(database, lease, ledger.results_of(lease), model_id)
    pause(database, job_id)
    resume(database, job_id)
    job = ledger.get_job(database, job_id)
    assert (job.started_at, job.resumed_at, job.decided_before) == (NOW, LATER, 4)


def test_a_cancelled_job_has_an_outcome_for_every_photo(database: Database, model_id: int) -> None:
    job_id, (done, in_work, _) = ledger.add_job(database, items=12)
    lease = ledger.must_claim(database, done)
    ledger.finish(database, lease, ledger.results_of(lease), model_id)
    late = ledger.must_claim(database, in_work)
    assert cancel(database, job_id)
    assert ledger.claim(database) is None
    assert (settle(database), settle(database)) == (2, 0)

    job = assert_every_photo_is_counted_once(database, job_id)
    assert (job.state, job.finished_at, job.items_faces, job.items_error) == (JobState.CANCELLED, LATER, 4, 8)
    codes = [item.error_code for item in ledger.items_of(database, job_id)]
    assert codes == [None] * 4 + ["cancelled"] * 8
    with pytest.raises(LeaseLostError):
        ledger.finish(database, late, ledger.results_of(late), model_id)
    assert_every_photo_is_counted_once(database, job_id)


def test_a_chunk_that_commits_while_its_job_is_cancelled_keeps_its_outcomes(database: Database, model_id: int) -> None:
    job_id, (chunk_id, _) = ledger.add_job(database, items=8)
    lease = ledger.must_claim(database, chunk_id)
    cancel(database, job_id)
    ledger.finish(database, lease, ledger.results_of(lease), model_id)
    settle(database)
    job = assert_every_photo_is_counted_once(database, job_id)
    assert (job.state, job.items_faces, job.items_error) == (JobState.CANCELLED, 4, 4)


def test_commits_claims_sweeps_and_a_cancellation_at_once_count_every_photo_once(
    database: Database, model_id: int
) -> None:
    for _ in range(5):
        job_id, _ = ledger.add_job(database, items=32)
        leases = [lease for _ in range(4) if (lease := ledger.claim(database))]

        def finish(lease: chunks.ChunkLease) -> None:
            ledger.finish(database, lease, ledger.results_of(lease), model_id)

        def sweep() -> None:
            with database.write() as session:
                chunks.reclaim_expired(session, EXPIRED)

        def stop(job_id: int = job_id) -> None:
            cancel(database, job_id)
            settle(database)

        works: list[Callable[[], object]] = [lambda lease=lease: finish(lease) for lease in leases]
        got = ledger.race([*works, stop, sweep, lambda: settle(database), lambda: ledger.claim(database)])
        unforeseen = [each for each in got if isinstance(each, Exception) and not isinstance(each, LeaseLostError)]
        assert not unforeseen
        while settle(database):
            pass
        job = assert_every_photo_is_counted_once(database, job_id)
        assert (job.state, job.finished_at is not None) == (JobState.CANCELLED, True)


def test_a_large_job_is_cancelled_in_steps_that_may_break_off(database: Database) -> None:
    job_id, chunk_ids = ledger.add_job(database, items=100, chunk_size=1)
    cancel(database, job_id)
    assert 0 < settle(database) < len(chunk_ids)
    assert ledger.get_job(database, job_id).finished_at is None
    while settle(database):
        pass
    assert assert_every_photo_is_counted_once(database, job_id).items_error == 100


@pytest.mark.parametrize("photos", [0, 6])
def test_a_job_may_be_cancelled_while_it_is_submitted(database: Database, photos: int) -> None:
    with database.write() as session:
        job_id = jobs.create_job(session, NEW, NOW).id
        if photos:
            jobs.add_page(session, job_id, 0, [f"{number}.jpg" for number in range(photos)], 4, NOW)
    assert cancel(database, job_id)
    with pytest.raises(JobStateError, match="was cancelled while"), database.write() as session:
        jobs.add_page(session, job_id, 6, ["late.jpg"], 4, NOW)
    with pytest.raises(JobStateError, match="was cancelled while"), database.write() as session:
        jobs.open_job(session, job_id, 7, SkipLog(), NOW)
    with database.write() as session:
        jobs.discard_submission(session, job_id)  # as the producer does when it is refused
    settle(database)
    job = assert_every_photo_is_counted_once(database, job_id)
    assert (job.state, job.total, job.finished_at) == (JobState.CANCELLED, photos, LATER)
    assert retry(database, job_id) == photos


def test_a_retry_takes_the_failed_photos_and_no_others(database: Database, model_id: int) -> None:
    job_id, _ = ledger.add_job(database, items=20, chunk_size=5)
    finish_all(database, model_id, 0, 1, 2, 3, 4, 5, 9, 19)
    before = {item.ordinal: item.decided_at for item in ledger.items_of(database, job_id) if item.outcome != "error"}
    assert retry(database, job_id) == 8

    job, items = ledger.get_job(database, job_id), ledger.items_of(database, job_id)
    assert (job.state, job.finished_at, job.items_faces, job.items_error) == (JobState.RUNNING, None, 12, 0)
    assert (job.resumed_at, job.decided_before) == (LATER, 12)
    assert {item.ordinal: item.decided_at for item in items if item.outcome is not None} == before
    assert finish_all(database, model_id, 9) == [(0, 4), (4, 2), (9, 1), (19, 1)]
    job = assert_every_photo_is_counted_once(database, job_id)
    assert (job.state, job.items_faces, job.items_error) == (JobState.DONE, 19, 1)
    assert [item.ordinal for item in ledger.items_of(database, job_id) if item.error_code] == [9]


def test_a_photo_that_killed_its_worker_is_tried_again_alone(database: Database, model_id: int) -> None:
    job_id, (chunk_id,) = ledger.add_job(database, items=6, chunk_size=6)
    results: list[PhotoResult] = [
        ledger.failure(ordinal, "worker_crashed" if ordinal in {2, 3} else "photo_broken") for ordinal in range(6)
    ]
    ledger.finish(database, ledger.must_claim(database, chunk_id), results, model_id)
    assert retry(database, job_id) == 6
    assert finish_all(database, model_id) == [(0, 2), (2, 1), (3, 1), (4, 2)]


def test_the_results_of_a_retried_chunk_must_be_exactly_its_photos(database: Database, model_id: int) -> None:
    job_id, _ = ledger.add_job(database, items=8)
    finish_all(database, model_id, 5, 6)
    retry(database, job_id)
    lease = ledger.claim(database)
    assert lease is not None
    assert (lease.first_ordinal, lease.item_count) == (5, 2)
    with pytest.raises(ValueError, match="exactly"):
        ledger.finish(database, lease, [ledger.result(ordinal, ledger.face()) for ordinal in range(4, 7)], model_id)


def test_a_cancelled_job_is_taken_up_again_by_a_retry(database: Database, model_id: int) -> None:
    job_id, _ = ledger.add_job(database, items=12)
    lease = ledger.claim(database)
    assert lease is not None
    ledger.finish(database, lease, ledger.results_of(lease), model_id)
    cancel(database, job_id)
    with pytest.raises(JobStateError, match="has not ended"):
        retry(database, job_id)
    settle(database)
    assert retry(database, job_id) == 8
    finish_all(database, model_id)
    job = assert_every_photo_is_counted_once(database, job_id)
    assert (job.state, job.items_faces, job.items_error) == (JobState.DONE, 12, 0)


def test_a_job_without_failures_has_nothing_to_retry(database: Database, model_id: int) -> None:
    job_id, _ = ledger.add_job(database, items=4)
    finish_all(database, model_id)
    assert retry(database, job_id) == 0
    assert ledger.get_job(database, job_id).state == JobState.DONE


def test_two_retries_at_once_try_every_photo_once(database: Database, model_id: int) -> None:
    job_id, _ = ledger.add_job(database, items=8)
    finish_all(database, model_id, *range(8))
    got = ledger.race([lambda: retry(database, job_id)] * 3)
    assert sum(each for each in got if isinstance(each, int)) == 8
    assert all(isinstance(each, int | JobStateError) for each in got), got
    assert finish_all(database, model_id) == [(0, 4), (4, 2), (6, 2)]


@pytest.mark.parametrize(
    ("act", "state"),
    [(pause, JobState.PAUSED), (resume, JobState.RUNNING), (cancel, JobState.CANCELLED)],
    ids=["pause", "resume", "cancel"],
)
def test_what_is_done_twice_is_done_once(
    database: Database, act: Callable[[Database, int], bool], state: JobState
) -> None:
    job_id, _ = ledger.add_job(database, items=4)
    ledger.set_job_state(database, job_id, state)
    assert act(database, job_id) is False
    assert ledger.get_job(database, job_id).state == state


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (pause, JobState.SUBMITTING),
        (pause, JobState.DONE),
        (pause, JobState.CANCELLED),
        (resume, JobState.SUBMITTING),
        (resume, JobState.DONE),
        (resume, JobState.CANCELLED),
        (cancel, JobState.DONE),
        (retry, JobState.SUBMITTING),
        (retry, JobState.RUNNING),
        (retry, JobState.PAUSED),
    ],
)
def test_what_a_state_does_not_allow_is_refused_and_changes_nothing(
    database: Database, act: Callable[[Database, int], object], state: JobState
) -> None:
    job_id, _ = ledger.add_job(database, items=4)
    ledger.set_job_state(database, job_id, state)
    with pytest.raises(JobStateError, match="Nothing was changed"):
        act(database, job_id)
    assert ledger.get_job(database, job_id).state == state


def fail_all(database: Database, model_id: int, photos: int) -> int:
    job_id, _ = ledger.add_job(database, items=photos)
    finish_all(database, model_id, *range(photos))
    return job_id


def test_a_retry_that_breaks_off_has_the_counters_right_and_is_taken_up_where_it_was(
    database: Database, model_id: int
) -> None:
    job_id = fail_all(database, model_id, 20)
    with database.write() as session:
        assert retries.begin_retry(session, public_id(database, job_id), "ada", LATER) == 20
    assert queue_page(database, job_id) == 6
    job, items = ledger.get_job(database, job_id), ledger.items_of(database, job_id)
    assert (job.state, job.items_error) == (JobState.RUNNING, 14)
    assert [item.outcome for item in items] == [None] * 6 + [ItemOutcome.ERROR] * 14
    assert finish_all(database, model_id, 2) == [(0, 4), (4, 2)]  # the workers are faster, and one photo fails again
    assert ledger.get_job(database, job_id).state == JobState.RUNNING

    with database.write() as session:
        assert retries.find_under_way(session) == [public_id(database, job_id)]
        assert retries.begin_retry(session, public_id(database, job_id), "ada", LATER) == 14
    assert [queue_page(database, job_id) for _ in range(4)] == [6, 6, 2, 0]
    assert finish_all(database, model_id) == [(6, 4), (10, 2), (12, 4), (16, 2), (18, 2)]
    job = assert_every_photo_is_counted_once(database, job_id)
    assert (job.state, job.items_faces, job.items_error) == (JobState.DONE, 19, 1)
    with database.read() as session:
        assert retries.find_under_way(session) == []


def test_a_job_that_is_cancelled_while_it_is_retried_keeps_the_errors_that_were_not_cleared(
    database: Database, model_id: int
) -> None:
    job_id = fail_all(database, model_id, 20)
    with database.write() as session:
        retries.begin_retry(session, public_id(database, job_id), "ada", LATER)
    queue_page(database, job_id)
    cancel(database, job_id)
    assert queue_page(database, job_id) == 0
    settle(database)
    job = assert_every_photo_is_counted_once(database, job_id)
    assert (job.state, job.items_error) == (JobState.CANCELLED, 20)
    codes = [item.error_code for item in ledger.items_of(database, job_id)]
    assert codes == ["cancelled"] * 6 + ["photo_broken"] * 14


def test_a_retry_whose_last_page_is_empty_ends_the_job(database: Database, model_id: int) -> None:
    job_id = fail_all(database, model_id, 6)
    with database.write() as session:
        retries.begin_retry(session, public_id(database, job_id), "ada", LATER)
    queue_page(database, job_id)
    finish_all(database, model_id)
    assert ledger.get_job(database, job_id).state == JobState.RUNNING
    assert queue_page(database, job_id) == 0
    assert ledger.get_job(database, job_id).state == JobState.DONE


def test_what_is_done_to_a_job_is_audited_once(database: Database, model_id: int) -> None:
    job_id, other = ledger.add_job(database, items=4)[0], ledger.add_job(database, items=4)[0]
    for act in (pause, pause, resume, cancel):
        act(database, job_id)
    settle(database)
    retry(database, job_id)
    with pytest.raises(JobStateError):
        retry(database, job_id)
    with database.read() as session:
        entries = audit.list_entries(session, 10, public_id(database, job_id))
        assert audit.list_entries(session, 10, public_id(database, other)) == []
    assert [(entry.action, entry.who, entry.at, entry.detail["before"]) for entry in reversed(entries)] == [
        ("job.pause", "ada", LATER, "running"),
        ("job.resume", "ada", LATER, "paused"),
        ("job.cancel", "ada", LATER, "running"),
        ("job.retry", "ada", LATER, "cancelled"),
    ]
    assert entries[0].detail["photos"] == 4


def test_an_unknown_job_is_an_unknown_id(database: Database) -> None:
    with pytest.raises(UnknownIdError), database.write() as session:
        control.pause_job(session, "j-none", "ada", LATER)
