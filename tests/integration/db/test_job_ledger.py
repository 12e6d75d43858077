"""Jobs: inserted in pages, counted by commits, closed once, and never twice under one key."""

import dataclasses
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from core.errors import IdempotencyConflictError, UnknownIdError
from core.records import FaceEmbedding, FaceOutcome, FacesMode, JobState, SkipLog
from db import jobs
from db.engine import Database
from db.jobs import NewJob
from db.tables import Chunk, Embedding, Item, Job
from tests import ledger
from tests.ledger import NOW

NEW = NewJob(name="album", faces_mode=FacesMode.DETECT, request_digest="d" * 64)
KEYED = NewJob(name="album", faces_mode=FacesMode.DETECT, request_digest="d" * 64, idempotency_key="k1")
LATER = NOW + timedelta(minutes=10)


def count(database: Database, table: type[Job] | type[Chunk] | type[Item]) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def create(database: Database, new: NewJob = NEW) -> int:
    with database.write() as session:
        return jobs.create_job(session, new, NOW).id


def submit_once(database: Database, new: NewJob) -> str:
    """Submit the way a producer does: look for the repeated job, else create one, and look again when that clashes."""
    with database.read() as session:
        repeated = jobs.find_repeated(session, new)
    if repeated is not None:
        return repeated.public_id
    try:
        with database.write() as session:
            return jobs.create_job(session, new, NOW).public_id
    except IntegrityError:
        return submit_once(database, new)


def test_pages_follow_each_other_and_chunks_cover_every_item_once(database: Database) -> None:
    job_id = create(database)
    with database.write() as session:
        jobs.add_page(session, job_id, 0, [f"a{i}" for i in range(10)], 4, NOW)
        jobs.add_page(session, job_id, 10, ["b\t1", "b\n2", "b\\3", "ü"], 4, NOW)
    chunks, items = ledger.chunks_of(database, job_id), ledger.items_of(database, job_id)
    assert [(chunk.first_ordinal, chunk.item_count) for chunk in chunks] == [(0, 4), (4, 4), (8, 2), (10, 4)]
    assert [item.ordinal for item in items] == list(range(14))
    assert [item.uri for item in items[-4:]] == ["b\t1", "b\n2", "b\\3", "ü"]
    assert {item.outcome for item in items} == {None}


def test_an_open_job_says_what_was_skipped(database: Database) -> None:
    job_id = create(database)
    skipped = SkipLog(keep=1)
    skipped.add("notes.txt", "no image")
    skipped.add("more.txt", "no image")
    with database.write() as session:
        jobs.add_page(session, job_id, 0, ["a"], 4, NOW)
        jobs.open_job(session, job_id, 1, skipped, NOW)
    job = ledger.get_job(database, job_id)
    assert (job.state, job.total, job.started_at, job.skipped_count) == (JobState.RUNNING, 1, NOW, 2)
    assert job.skipped == [{"name": "notes.txt", "reason": "no image"}]


def test_counters_sum_over_chunks_and_the_last_one_closes_the_job(database: Database) -> None:
    (ada,) = ledger.add_people(database, "Ada")
    with database.write() as session:
        model_id = ledger.add_model(session)
    job_id, (one, two) = ledger.add_job(database, items=6, chunk_size=3)
    named, unsure = ledger.face(0, FaceOutcome.IDENTIFIED, ada), ledger.face(1, FaceOutcome.AMBIGUOUS, ada)
    blurred = ledger.face(2, FaceOutcome.LOW_QUALITY)
    ledger.finish(
        database,
        ledger.must_claim(database, one),
        [ledger.result(0, named, unsure, blurred), ledger.result(1), ledger.failure(2)],
        model_id,
    )
    assert ledger.get_job(database, job_id).state == JobState.RUNNING
    lease = ledger.must_claim(database, two)
    ledger.finish(database, lease, ledger.results_of(lease), model_id)

    job = ledger.get_job(database, job_id)
    assert (job.state, job.finished_at) == (JobState.DONE, NOW)
    assert (job.items_faces, job.items_no_face, job.items_error) == (4, 1, 1)
    faces = (job.faces_identified, job.faces_unknown, job.faces_ambiguous, job.faces_low_quality)
    assert faces == (1, 3, 1, 1)


def test_embeddings_are_stored_with_their_faces(database: Database) -> None:
    with database.write() as session:
        model_id = ledger.add_model(session)
    job_id, (chunk_id,) = ledger.add_job(database, items=2, chunk_size=2)
    kept = FaceEmbedding(backbone_sha256="ab" * 32, vector=b"\x00\x3c\xff\x00")
    faces = (ledger.face(0), dataclasses.replace(ledger.face(1), embedding=kept))
    lease = ledger.must_claim(database, chunk_id)
    ledger.finish(database, lease, [ledger.result(0), ledger.result(1, *faces)], model_id)
    with database.read() as session:
        (row,) = session.scalars(select(Embedding)).all()
    assert (row.job_id, row.ordinal, row.face_index) == (job_id, 1, 1)
    assert (row.backbone_sha256.hex(), row.vector) == (kept.backbone_sha256, kept.vector)


def test_a_job_whose_chunks_all_end_at_once_is_counted_right_and_closed(database: Database) -> None:
    with database.write() as session:
        model_id = ledger.add_model(session)
    for _ in range(5):
        job_id, chunk_ids = ledger.add_job(database, items=16, chunk_size=2)
        leases = [ledger.must_claim(database, chunk_id) for chunk_id in chunk_ids]
        outcomes = ledger.race(
            [lambda lease=lease: ledger.finish(database, lease, ledger.results_of(lease), model_id) for lease in leases]
        )
        assert outcomes == [None] * len(chunk_ids)
        job = ledger.get_job(database, job_id)
        assert (job.state, job.items_faces, job.faces_unknown) == (JobState.DONE, 16, 16)


def test_a_job_that_ends_while_paused_is_closed_after_it_is_resumed(database: Database) -> None:
    with database.write() as session:
        model_id = ledger.add_model(session)
    job_id, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    ledger.set_job_state(database, job_id, JobState.PAUSED)
    ledger.finish(database, lease, ledger.results_of(lease), model_id)
    assert ledger.get_job(database, job_id).state == JobState.PAUSED

    ledger.set_job_state(database, job_id, JobState.RUNNING)
    with database.write() as session:
        assert jobs.close_finished_jobs(session, LATER) == 1
    with database.write() as session:
        assert jobs.close_finished_jobs(session, LATER + timedelta(days=1)) == 0
    assert ledger.get_job(database, job_id).finished_at == LATER


def test_a_repeated_submission_finds_its_job(database: Database) -> None:
    assert submit_once(database, KEYED) == submit_once(database, KEYED)
    assert count(database, Job) == 1


def test_jobs_without_a_key_are_never_the_same(database: Database) -> None:
    assert submit_once(database, NEW) != submit_once(database, NEW)


def test_eight_submissions_at_once_under_one_key_are_one_job(database: Database) -> None:
    outcomes = ledger.race([lambda: submit_once(database, KEYED) for _ in range(8)])
    assert all(isinstance(outcome, str) for outcome in outcomes), outcomes
    assert len(set(outcomes)) == 1
    assert count(database, Job) == 1


def test_a_key_used_for_something_else_is_refused(database: Database) -> None:
    public_id = submit_once(database, KEYED)
    other = NewJob(name="album", faces_mode=FacesMode.CROP, request_digest="e" * 64, idempotency_key="k1")
    with pytest.raises(IdempotencyConflictError, match=public_id):
        submit_once(database, other)


def test_a_broken_submission_is_found_and_removed_with_all_it_inserted(database: Database) -> None:
    kept, _ = ledger.add_job(database, items=4)
    job_id = create(database)
    with database.write() as session:
        jobs.add_page(session, job_id, 0, ["a", "b"], 1, NOW)
    with database.write() as session:
        assert jobs.find_broken_submissions(session, NOW) == []
        assert jobs.find_broken_submissions(session, LATER) == [job_id]
        jobs.discard_submission(session, job_id, untouched_since=LATER)
    assert (count(database, Job), count(database, Chunk), count(database, Item)) == (1, 1, 4)
    assert ledger.get_job(database, kept).state == JobState.RUNNING


def test_a_submission_that_went_on_is_not_removed(database: Database) -> None:
    job_id = create(database)
    with database.write() as session:
        assert jobs.find_broken_submissions(session, LATER) == [job_id]
    with database.write() as session:
        jobs.add_page(session, job_id, 0, ["a"], 1, LATER)
    with database.write() as session:
        jobs.discard_submission(session, job_id, untouched_since=LATER)
    assert ledger.get_job(database, job_id).state == JobState.SUBMITTING


def test_an_open_job_is_not_removed(database: Database) -> None:
    job_id, _ = ledger.add_job(database, items=4)
    with database.write() as session:
        jobs.discard_submission(session, job_id)
    assert count(database, Item) == 4


def test_a_producer_whose_job_was_removed_is_told(database: Database) -> None:
    job_id = create(database)
    with database.write() as session:
        jobs.discard_submission(session, job_id)
    with pytest.raises(UnknownIdError, match="Submit again"), database.write() as session:
        jobs.add_page(session, job_id, 0, ["a"], 1, NOW)
    with pytest.raises(UnknownIdError, match="Submit again"), database.write() as session:
        jobs.open_job(session, job_id, 1, SkipLog(), NOW)


def test_a_job_is_found_by_the_id_that_people_see(database: Database) -> None:
    public_id = submit_once(database, NEW)
    with database.read() as session:
        assert jobs.get_job(session, public_id).public_id == public_id
        with pytest.raises(UnknownIdError, match="job list"):
            jobs.get_job(session, "j-none")


def test_jobs_are_listed_newest_first_in_pages(database: Database) -> None:
    ids = []
    for minute in range(5):
        with database.write() as session:
            ids.append(jobs.create_job(session, NEW, NOW + timedelta(minutes=minute)).public_id)
    with database.read() as session:
        first = [job.public_id for job in jobs.list_jobs(session, limit=3)]
        rest = [job.public_id for job in jobs.list_jobs(session, limit=3, before=first[-1])]
    assert first + rest == list(reversed(ids))
