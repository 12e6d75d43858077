"""One chunk, one owner: claims, leases and the fence that their token is."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from core.errors import LeaseLostError
from core.records import ChunkState, FaceOutcome, ItemOutcome, JobState, PhotoResult, RankedPerson
from db import chunks
from db.engine import Database
from db.rankings import ranking_of
from db.tables import Chunk, Face, Item
from tests import ledger
from tests.ledger import EXPIRED, LEASE_S, NOW

Wrong = Callable[[list[PhotoResult]], list[PhotoResult]]


@pytest.fixture
def model_id(database: Database) -> int:
    with database.write() as session:
        return ledger.add_model(session)


def chunk_row(database: Database, chunk_id: int) -> Chunk:
    with database.read() as session:
        return session.get_one(Chunk, chunk_id)


def written(database: Database) -> tuple[int, int]:
    """How many items have an outcome, and how many faces there are."""
    with database.read() as session:
        items = session.scalar(select(func.count()).select_from(Item).where(Item.outcome.is_not(None)))
        return items or 0, session.scalar(select(func.count()).select_from(Face)) or 0


def test_a_lease_names_its_photos_in_order(database: Database) -> None:
    _, chunk_ids = ledger.add_job(database, items=6, chunk_size=4)
    ledger.must_claim(database, chunk_ids[0])
    lease = ledger.must_claim(database, chunk_ids[1])
    with database.read() as session:
        tasks = chunks.load_tasks(session, lease)
    assert [(task.ordinal, task.uri) for task in tasks] == [
        (4, "file:///album/0004.jpg"),
        (5, "file:///album/0005.jpg"),
    ]


def test_an_extended_lease_runs_longer(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    with database.write() as session:
        chunks.extend_lease(session, lease, NOW + timedelta(seconds=30), LEASE_S)
    with database.write() as session:
        assert chunks.reclaim_expired(session, EXPIRED) == 0


def test_a_lease_on_a_cancelled_job_is_not_extended(database: Database) -> None:
    job_id, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    ledger.set_job_state(database, job_id, JobState.CANCELLED)
    with pytest.raises(LeaseLostError), database.write() as session:
        chunks.extend_lease(session, lease, NOW, LEASE_S)


def test_a_worker_that_lost_its_lease_can_write_nothing(database: Database, model_id: int) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    old = ledger.must_claim(database, chunk_id, "stalled")
    with database.write() as session:
        chunks.reclaim_expired(session, EXPIRED)
    new = ledger.must_claim(database, chunk_id, "successor", now=EXPIRED)

    with pytest.raises(LeaseLostError):
        ledger.finish(database, old, ledger.results_of(old), model_id)
    with pytest.raises(LeaseLostError), database.write() as session:
        chunks.extend_lease(session, old, EXPIRED, LEASE_S)
    with database.write() as session:
        chunks.release_chunk(session, old)
        chunks.expire_lease(session, old, EXPIRED)

    row = chunk_row(database, chunk_id)
    assert (row.state, row.worker, row.lease_token) == (ChunkState.CLAIMED, "successor", new.token)
    assert row.lease_until == EXPIRED + timedelta(seconds=LEASE_S)
    assert written(database) == (0, 0)
    ledger.finish(database, new, ledger.results_of(new), model_id)
    assert written(database) == (4, 4)


def test_a_lease_that_ran_out_unnoticed_still_commits(database: Database, model_id: int) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id, now=NOW - timedelta(days=1))
    ledger.finish(database, lease, ledger.results_of(lease), model_id)
    assert chunk_row(database, chunk_id).state == ChunkState.DONE


def test_a_chunk_is_finished_once(database: Database, model_id: int) -> None:
    job_id, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    outcomes = ledger.race([lambda: ledger.finish(database, lease, ledger.results_of(lease), model_id)] * 4)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [LeaseLostError] * 3
    assert ledger.get_job(database, job_id).items_faces == 4
    assert written(database) == (4, 4)


def test_a_chunk_that_fails_to_store_leaves_nothing(database: Database, model_id: int) -> None:
    """The third photo's faces bear one number twice: the database refuses them after two photos were written."""
    job_id, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    results = ledger.results_of(lease)
    results[2] = ledger.result(2, ledger.face(0), ledger.face(0))
    with pytest.raises(IntegrityError):
        ledger.finish(database, lease, results, model_id)

    job, row = ledger.get_job(database, job_id), chunk_row(database, chunk_id)
    assert (job.state, job.items_faces, job.faces_unknown) == (JobState.RUNNING, 0, 0)
    assert (row.state, row.lease_token, row.done_at) == (ChunkState.CLAIMED, lease.token, None)
    assert written(database) == (0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda good: good[:-1], id="one missing"),
        pytest.param(lambda good: [*good, good[-1]], id="one twice"),
        pytest.param(lambda good: [*good[1:], good[0]], id="another order"),
        pytest.param(lambda good: [*good[:-1], ledger.result(99, ledger.face())], id="one of another chunk"),
        pytest.param(lambda good: [], id="none"),
    ],
)
def test_results_that_are_not_exactly_the_chunk_are_refused(database: Database, model_id: int, wrong: Wrong) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    with pytest.raises(ValueError, match="exactly"):
        ledger.finish(database, lease, wrong(ledger.results_of(lease)), model_id)
    assert written(database) == (0, 0)


def test_every_field_of_a_result_is_stored(database: Database, model_id: int) -> None:
    (person_id,) = ledger.add_people(database, "Ada")
    job_id, (chunk_id,) = ledger.add_job(database, items=3)
    lease = ledger.must_claim(database, chunk_id)
    named = ledger.face(0, FaceOutcome.IDENTIFIED, person_id, confidence=0.99)
    results: list[PhotoResult] = [ledger.result(0, named), ledger.result(1), ledger.failure(2)]
    ledger.finish(database, lease, results, model_id)

    with database.read() as session:
        rows = session.scalars(select(Item).where(Item.job_id == job_id).order_by(Item.ordinal)).all()
        stored = session.scalars(select(Face)).one()
    assert [row.outcome for row in rows] == [ItemOutcome.FACES, ItemOutcome.NO_FACE, ItemOutcome.ERROR]
    assert [row.model_id for row in rows] == [model_id] * 3
    assert (rows[0].sha256, rows[0].width_px, rows[0].height_px) == ("0" * 64, 640, 480)
    assert (rows[2].error_code, rows[2].error_message) == ("photo_broken", "The photo is truncated.")
    assert rows[0].decided_at == NOW
    assert (stored.x1, stored.y1, stored.x2, stored.y2) == named.box_xyxy_px
    assert stored.landmarks_px == [[30.0, 60.0], [90.0, 60.0]]
    assert (stored.person_id, stored.candidate_id, stored.model_id) == (person_id, person_id, model_id)
    assert (stored.similarity, stored.confidence, stored.quality) == (0.625, 0.99, 0.75)
    assert ranking_of(stored) == (RankedPerson(person_id=person_id, similarity=0.625),)


def test_a_refused_face_is_stored_without_a_name(database: Database, model_id: int) -> None:
    (person_id,) = ledger.add_people(database, "Ada")
    _, (chunk_id,) = ledger.add_job(database, items=1)
    refused = ledger.face(0, FaceOutcome.AMBIGUOUS, person_id)
    ledger.finish(database, ledger.must_claim(database, chunk_id), [ledger.result(0, refused)], model_id)
    with database.read() as session:
        stored = session.scalars(select(Face)).one()
    assert (stored.person_id, stored.candidate_id) == (None, person_id)


def test_a_released_chunk_waits_again_and_its_attempt_is_not_counted(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    with database.write() as session:
        chunks.release_chunk(session, lease)
    row = chunk_row(database, chunk_id)
    assert (row.state, row.attempts, row.lease_token, row.worker) == (ChunkState.QUEUED, 0, None, None)
    ledger.must_claim(database, chunk_id)


def test_a_chunk_whose_lease_was_ended_is_taken_back_and_its_attempt_counts(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    with database.write() as session:
        chunks.expire_lease(session, lease, NOW)
        assert chunks.reclaim_expired(session, NOW) == 1
    assert (chunk_row(database, chunk_id).state, chunk_row(database, chunk_id).attempts) == (ChunkState.QUEUED, 1)
