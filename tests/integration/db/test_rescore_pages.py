"""Stored faces in pages: what is read, what is written, and that rows and counters stay in line whoever else writes."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from core.records import FaceEmbedding, FaceOutcome, FaceResult, RankedPerson
from db import rescore
from db.engine import Database
from db.rankings import pack_ranking, ranking_of
from db.rescore import NewOutcomes, StoredPage
from db.result_filter import ResultFilter
from db.results import iter_results
from db.tables import Face, Job
from tests import ledger

BACKBONE, OTHER = "ab" * 32, "cd" * 32
DIM = 4
LATER = ledger.NOW + timedelta(hours=1)
UNKNOWN, LOW = FaceOutcome.UNKNOWN, FaceOutcome.LOW_QUALITY


def seen(face: FaceResult, value: int, backbone: str = BACKBONE) -> FaceResult:
    """The face with an embedding whose bytes are all the same."""
    return replace(face, embedding=FaceEmbedding(backbone_sha256=backbone, vector=bytes([value]) * 2 * DIM))


@pytest.fixture
def models(database: Database) -> tuple[int, int]:
    with database.write() as session:
        return ledger.add_model(session), ledger.add_model(session, "b" * 64)


@pytest.fixture
def job(database: Database, models: tuple[int, int]) -> int:
    """Six photos: one face; two faces; none; broken; a face without embedding beside one with; one of low quality."""
    job_id, (chunk_id,) = ledger.add_job(database, items=6, chunk_size=6)
    results = [
        ledger.result(0, seen(ledger.face(), 1)),
        ledger.result(1, seen(ledger.face(), 2), seen(ledger.face(1), 3)),
        ledger.result(2),
        ledger.failure(3),
        ledger.result(4, seen(ledger.face(), 4), seen(ledger.face(1), 5, OTHER)),
        ledger.result(5, seen(ledger.face(0, LOW), 6)),
    ]
    ledger.finish(database, ledger.must_claim(database, chunk_id), results, models[0])
    return job_id


def read(database: Database, job_id: int, after: int = -1, without: int | None = None, limit: int = 100) -> StoredPage:
    with database.read() as session:
        page = rescore.read_page(
            session, job_id, after, backbone_sha256=BACKBONE, dim=DIM, without_model=without, limit=limit
        )
    assert page is not None
    return page


def named(person_id: int, count: int) -> NewOutcomes:
    return NewOutcomes(
        outcomes=["identified"] * count,
        person_ids=[person_id] * count,
        candidate_ids=[person_id] * count,
        similarities=[0.75] * count,
        confidences=[0.5] * count,
        rankings=[pack_ranking([RankedPerson(person_id=person_id, similarity=0.75)])] * count,
        label_ids=[None] * count,
        review_orders=[None] * count,
    )


def rescore_all(database: Database, job_id: int, person_id: int, model_id: int) -> bool:
    with database.write() as session:
        page = rescore.read_page(session, job_id, -1, backbone_sha256=BACKBONE, dim=DIM, without_model=model_id)
        assert page is not None
        return rescore.write_page(session, page, named(person_id, len(page)), model_id, LATER)


def faces(database: Database) -> list[tuple[int, int, str, int | None, int]]:
    with database.read() as session:
        rows = session.execute(
            select(Face.ordinal, Face.face_index, Face.outcome, Face.person_id, Face.model_id).order_by(
                Face.ordinal, Face.face_index
            )
        )
        return [tuple(row) for row in rows]


def assert_counted(database: Database, job_id: int) -> None:
    """The job's counters are those of its rows."""
    with database.read() as session:
        job = session.get_one(Job, job_id)
        query = select(Face.outcome, func.count().label("faces")).where(Face.job_id == job_id).group_by(Face.outcome)
        counted = {row.outcome: row.faces for row in session.execute(query)}
    assert {outcome: getattr(job, f"faces_{outcome}") for outcome in FaceOutcome} == {
        outcome: counted.get(outcome, 0) for outcome in FaceOutcome
    }


def test_a_page_holds_the_faces_that_have_an_embedding_of_the_backbone(database: Database, job: int) -> None:
    page = read(database, job)

    assert list(zip(page.ordinals, page.face_indices, strict=True)) == [(0, 0), (1, 0), (1, 1), (4, 0), (5, 0)]
    assert page.vectors == b"".join(bytes([value]) * 2 * DIM for value in (1, 2, 3, 4, 6))
    assert page.low_quality == [False, False, False, False, True]
    assert page.outcomes == [UNKNOWN] * 4 + [LOW]
    assert (page.until, page.without_embedding) == (5, 1)


def test_embeddings_of_another_length_are_none(database: Database, job: int) -> None:
    with database.read() as session:
        page = rescore.read_page(session, job, -1, backbone_sha256=BACKBONE, dim=DIM + 1, without_model=None)
    assert page is not None
    assert (len(page), page.without_embedding, page.vectors) == (0, 6, b"")


def test_pages_join_without_a_gap_and_never_cut_a_photo(database: Database, job: int) -> None:
    found, after = [], -1
    while True:
        with database.read() as session:
            page = rescore.read_page(
                session, job, after, backbone_sha256=BACKBONE, dim=DIM, without_model=None, limit=2
            )
        if page is None:
            break
        found.append(list(zip(page.ordinals, page.face_indices, strict=True)))
        after = page.until
    assert found == [[(0, 0), (1, 0), (1, 1)], [(4, 0)], [(5, 0)]]


def test_faces_and_counters_are_written_together(database: Database, job: int, models: tuple[int, int]) -> None:
    (ada,) = ledger.add_people(database, "Ada")
    assert rescore_all(database, job, ada, models[1])

    old, new = models
    assert faces(database) == [
        (0, 0, "identified", ada, new),
        (1, 0, "identified", ada, new),
        (1, 1, "identified", ada, new),
        (4, 0, "identified", ada, new),
        (4, 1, "unknown", None, old),
        (5, 0, "identified", ada, new),
    ]
    with database.read() as session:
        first = session.get_one(Face, (job, 0, 0))
        rows = list(iter_results(session, ResultFilter(job_id=job)))
    assert (first.candidate_id, first.similarity, first.confidence) == (ada, 0.75, 0.5)
    assert ranking_of(first) == (RankedPerson(person_id=ada, similarity=0.75),)
    by_new = [True, True, True, False, False, True, False, True]
    assert [row["model"] for row in rows] == [f"v{new if is_new else old}" for is_new in by_new]
    assert [row["decided_at"] == LATER.isoformat() for row in rows] == by_new
    assert_counted(database, job)


def test_a_face_that_stays_unknown_leaves_the_review_when_its_model_asks_no_more(
    database: Database, job: int, models: tuple[int, int]
) -> None:
    with database.write() as session:
        session.execute(update(Face).values(review_order=0.25))
    page = read(database, job)
    count = len(page)
    new = replace(named(1, count), outcomes=page.outcomes, person_ids=[None] * count)
    with database.write() as session:
        assert rescore.write_page(session, page, new, models[1], LATER)
    with database.read() as session:
        orders = session.scalars(select(Face.review_order).where(Face.model_id == models[1])).all()
    assert orders == [None] * count


def test_what_was_written_is_not_read_again(database: Database, job: int, models: tuple[int, int]) -> None:
    (ada,) = ledger.add_people(database, "Ada")
    rescore_all(database, job, ada, models[1])

    page = read(database, job, without=models[1])
    assert (len(page), page.without_embedding) == (0, 1)


def test_a_transaction_that_is_not_committed_leaves_nothing(
    database: Database, job: int, models: tuple[int, int]
) -> None:
    (ada,) = ledger.add_people(database, "Ada")
    before = faces(database)
    with pytest.raises(RuntimeError), database.write() as session:
        page = rescore.read_page(session, job, -1, backbone_sha256=BACKBONE, dim=DIM, without_model=None)
        assert page is not None
        rescore.write_page(session, page, named(ada, 5), models[1], LATER)
        raise RuntimeError("killed")
    assert faces(database) == before
    assert_counted(database, job)


def test_a_page_of_which_a_face_was_decided_about_meanwhile_is_not_written(postgres_database: Database) -> None:
    database = postgres_database
    (ada,) = ledger.add_people(database, "Ada")
    with database.write() as session:
        old, new = ledger.add_model(session), ledger.add_model(session, "b" * 64)
    job_id, (chunk_id,) = ledger.add_job(database, items=2, chunk_size=2)
    results = [ledger.result(number, seen(ledger.face(), number)) for number in range(2)]
    ledger.finish(database, ledger.must_claim(database, chunk_id), results, old)
    assert (ada, new) == (1, 2)

    with database.write() as session:
        page = rescore.read_page(session, job_id, -1, backbone_sha256=BACKBONE, dim=DIM, without_model=new)
        assert page is not None
        with database.write() as other:
            other.execute(update(Face).where(Face.ordinal == 1).values(model_id=new))
        assert not rescore.write_page(session, page, named(ada, 2), new, LATER)
        session.rollback()

    with database.write() as session:
        page = rescore.read_page(session, job_id, -1, backbone_sha256=BACKBONE, dim=DIM, without_model=new)
        assert page is not None
        assert rescore.write_page(session, page, named(ada, len(page)), new, LATER), "read again, it is"


def test_a_row_that_changed_beneath_a_page_is_not_written_over(
    database: Database, job: int, models: tuple[int, int]
) -> None:
    """Whether rows are found one by one or in passing; nobody does so while a page is written, unless by hand."""
    (ada,) = ledger.add_people(database, "Ada")
    old, new = models
    with database.write() as session:
        page = rescore.read_page(session, job, 1, backbone_sha256=BACKBONE, dim=DIM, without_model=new)
        assert page is not None
        stays = replace(named(ada, len(page)), outcomes=page.outcomes, person_ids=page.person_ids)
        session.execute(update(Face).where(Face.ordinal == 5).values(model_id=old + 10))
        assert not rescore.write_page(session, page, stays, new, LATER)
        session.rollback()
        assert rescore.write_page(session, page, stays, new, LATER)
