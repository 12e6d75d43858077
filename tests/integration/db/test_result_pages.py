"""Results as users query them: every filter, pages that join without a gap, and plans that do not read what is past."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from core.records import FaceOutcome
from db import chunks
from db.bulk import Bulk
from db.claims import count_due_chunks
from db.engine import Database
from db.result_filter import ResultFilter
from db.result_pages import find_rows
from db.results import find_photo_sha256, iter_results
from db.tables import Job
from tests import ledger
from tests.ledger import EXPIRED, NOW


@dataclass(frozen=True, kw_only=True)
class Album:
    """Two jobs over two models: named, refused, blurred and missing faces, broken photos, and a photo not yet done."""

    ada: int
    bob: int
    first_job: int
    second_job: int
    first_model: int
    second_model: int


@pytest.fixture
def album(database: Database) -> Album:
    ada, bob = ledger.add_people(database, "Ada", "Bob")
    with database.write() as session:
        first_model, second_model = ledger.add_model(session), ledger.add_model(session, "b" * 64)
    named = [ledger.face(i, FaceOutcome.IDENTIFIED, who, 0.9 - i / 10) for i, who in enumerate([ada, bob, ada])]
    unsure, blurred = ledger.face(0, FaceOutcome.AMBIGUOUS, bob, 0.4), ledger.face(1, FaceOutcome.LOW_QUALITY)
    first_job, chunk_ids = ledger.add_job(database, items=5, chunk_size=4)
    ledger.finish(
        database,
        ledger.must_claim(database, chunk_ids[0]),
        [ledger.result(0, *named), ledger.result(1), ledger.failure(2), ledger.result(3, unsure, blurred)],
        first_model,
    )
    second_job, (chunk_id,) = ledger.add_job(database, items=3)
    ledger.finish(
        database,
        ledger.must_claim(database, chunk_id),
        [ledger.result(0, named[0]), ledger.failure(1, "photo_empty"), ledger.result(2, ledger.face())],
        second_model,
    )
    return Album(
        ada=ada,
        bob=bob,
        first_job=first_job,
        second_job=second_job,
        first_model=first_model,
        second_model=second_model,
    )


def query(database: Database, wanted: ResultFilter, **options: int) -> list[dict[str, Any]]:
    with database.read() as session:
        return list(iter_results(session, wanted, **options))


def test_there_is_a_row_for_each_face_and_for_each_photo_without_one(database: Database, album: Album) -> None:
    rows = query(database, ResultFilter(job_id=album.first_job))
    assert [(row["item"], row["outcome"]) for row in rows] == [
        (0, "identified"),
        (0, "identified"),
        (0, "identified"),
        (1, "no_face"),
        (2, "error"),
        (3, "ambiguous"),
        (3, "low_quality"),
    ]


def test_a_row_says_all_that_is_known_of_a_face(database: Database, album: Album) -> None:
    row = query(database, ResultFilter(job_id=album.first_job))[1]
    job = ledger.get_job(database, album.first_job).public_id
    assert row == {
        "job": job,
        "item": 0,
        "uri": "file:///album/0000.jpg",
        "outcome": "identified",
        "face": f"{job}-0-1",
        "box": [11.0, 20.0, 111.0, 140.5],
        "person": "Bob",
        "candidate": "Bob",
        "confidence": 0.8,
        "similarity": 0.625,
        "quality": {"score": 0.75, "reasons": []},
        "label": None,
        "model": f"v{album.first_model}",
        "decided_at": NOW.isoformat(),
        "error": None,
    }


def test_a_refused_face_shows_its_candidate_and_no_name(database: Database, album: Album) -> None:
    (row,) = query(database, ResultFilter(outcome="ambiguous"))
    assert (row["person"], row["candidate"], row["similarity"]) == (None, "Bob", 0.625)


def test_a_failed_photo_shows_why(database: Database, album: Album) -> None:
    row = query(database, ResultFilter(job_id=album.first_job, outcome="error"))[0]
    assert row["error"] == {"code": "photo_broken", "message": "The photo is truncated."}
    assert [row[key] for key in ("face", "box", "person", "candidate", "quality")] == [None] * 5


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 11])
def test_pages_join_to_the_whole(database: Database, album: Album, page_size: int) -> None:
    for wanted in (
        ResultFilter(),
        ResultFilter(job_id=album.first_job),
        ResultFilter(outcome="error"),
        ResultFilter(person_id=album.ada),
    ):
        whole = query(database, wanted)
        assert query(database, wanted, page_size=page_size) == whole
        assert query(database, wanted, page_size=page_size, limit=2) == whole[:2]
    assert len(query(database, ResultFilter())) == 10


def test_a_limit_of_none_at_all_gives_nothing(database: Database, album: Album) -> None:
    assert query(database, ResultFilter(), limit=0) == []


def items(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(row["model"], row["item"]) for row in rows]


def test_every_filter_holds_alone_and_with_another(database: Database, album: Album) -> None:
    one, two = f"v{album.first_model}", f"v{album.second_model}"
    assert items(query(database, ResultFilter(job_id=album.second_job))) == [(two, 0), (two, 1), (two, 2)]
    assert items(query(database, ResultFilter(model_id=album.second_model))) == [(two, 0), (two, 1), (two, 2)]
    assert items(query(database, ResultFilter(person_id=album.ada))) == [(one, 0), (one, 0), (two, 0)]
    assert items(query(database, ResultFilter(person_id=album.bob))) == [(one, 0)]
    assert items(query(database, ResultFilter(outcome="error"))) == [(one, 2), (two, 1)]
    assert items(query(database, ResultFilter(outcome="no_face"))) == [(one, 1)]
    assert items(query(database, ResultFilter(outcome="unknown"))) == [(two, 2)]
    assert items(query(database, ResultFilter(min_confidence=0.85))) == [(one, 0), (two, 0)]
    assert items(query(database, ResultFilter(person_id=album.ada, model_id=album.first_model))) == [(one, 0)] * 2
    assert items(query(database, ResultFilter(person_id=album.ada, job_id=album.second_job))) == [(two, 0)]
    assert query(database, ResultFilter(person_id=album.bob, outcome="error")) == []


def test_since_means_decided_then_or_later(database: Database, album: Album) -> None:
    lease = ledger.claim(database)  # of the photo that is not yet done
    assert lease is not None
    with database.write() as session:
        later = NOW + timedelta(hours=1)
        chunks.finish_chunk(session, lease, ledger.results_of(lease), album.first_model, later)
    assert len(query(database, ResultFilter(since=NOW))) == 11
    assert len(query(database, ResultFilter(since=NOW + timedelta(microseconds=1)))) == 1


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collect the SELECTs that the database is asked."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Connection, _k: object, statement: str, parameters: Any, _x: object, _m: bool) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


class NotingBulk(Bulk):
    """Notes what it is asked."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.asked: list[tuple[str, Any]] = []

    def fetch(self, statement: str, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        spelled = statement if self._connection.dialect.name == "sqlite" else statement.replace("?", "%s")
        self.asked.append((spelled, tuple(values)))
        return super().fetch(statement, values)


def plan(database: Database, statement: str, parameters: Any) -> str:
    """How the database answers a SELECT when its tables are too large to be read through."""
    with database.read() as session:
        connection = session.connection()
        if not database.is_sqlite:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        lines = connection.exec_driver_sql(explain + statement, parameters).all()
    return "\n".join(str(line[-1]) for line in lines)


@pytest.fixture
def large_job(database: Database) -> int:
    """A job so large that reading the wrong part of it costs more than an index; the database knows its sizes."""
    with database.write() as session:
        model_id = ledger.add_model(session)
    person_ids = ledger.add_people(database, *(f"Person {number}" for number in range(50)))
    job_id, chunk_ids = ledger.add_job(database, items=3000, chunk_size=100)
    for chunk_id in chunk_ids[:-2]:
        lease = ledger.must_claim(database, chunk_id)
        results = [
            ledger.result(task, ledger.face(0, FaceOutcome.IDENTIFIED, person_ids[task % 50]))
            for task in range(lease.first_ordinal, lease.first_ordinal + lease.item_count)
        ]
        results[7] = ledger.failure(lease.first_ordinal + 7)
        ledger.finish(database, lease, results, model_id)
    ledger.must_claim(database, chunk_ids[-2])
    with database.write() as session:
        session.execute(text("ANALYZE"))
    return job_id


def test_every_question_is_answered_through_its_index(database: Database, large_job: int) -> None:
    """A list is entered through the index of its filter, and its later pages do not read what was passed."""
    on_postgresql = {
        "job": r"pk_items on items.*\n *Index Cond: .*ordinal >= ",
        "all": r"pk_items on items.*\n *Index Cond: .*ROW\(job_id, ordinal\) >= ",
        "errors": "ix_items_errors on items",
        "person": r"ix_faces_person_id on faces.*\n *Index Cond: .*ROW\(person_id, job_id, ordinal\) >= ",
        "outcome": r"ix_faces_outcome on faces.*\n *Index Cond: .*outcome.*, job_id, ordinal\) >= ",
        "model": r"pk_items.*\n *Index Cond: .*ordinal >= .*ordinal < ",
        "sure": r"pk_faces.*\n *Index Cond: .*ordinal >= .*ordinal < ",
    }
    on_sqlite = {
        "job": r"items USING PRIMARY KEY \(job_id=\? AND ordinal>\?\)",
        "all": r"items USING PRIMARY KEY \(\(job_id,ordinal\)>\(\?,\?\)\)",
        "errors": "items USING INDEX ix_items_errors",
        "person": r"f USING INDEX ix_faces_person_id \(\(person_id,job_id,ordinal\)>",
        "outcome": r"f USING INDEX ix_faces_outcome \(\(outcome,job_id,ordinal\)>",
        "model": r"i USING PRIMARY KEY \(job_id=\? AND ordinal>\? AND ordinal<\?\)",
        "sure": r"f USING PRIMARY KEY \(job_id=\? AND ordinal>\? AND ordinal<\?\)",
    }
    questions = {
        "job": ResultFilter(job_id=large_job),
        "all": ResultFilter(),
        "errors": ResultFilter(job_id=large_job, outcome="error"),
        "person": ResultFilter(person_id=7),
        "outcome": ResultFilter(outcome="identified"),
        "model": ResultFilter(model_id=1),
        "sure": ResultFilter(min_confidence=0.5),
    }
    for question, wanted in questions.items():
        people = [] if wanted.person_id is None else [wanted.person_id]
        with database.read() as session:
            bulk = NotingBulk(session.connection())
            after = find_rows(bulk, wanted, people, None, 10)[-1].key
            assert len(find_rows(bulk, wanted, people, after, 10)) == 10
        expected = (on_sqlite if database.is_sqlite else on_postgresql)[question]
        how = plan(database, *next(asked for asked in reversed(bulk.asked) if " i.uri" in asked[0]))
        assert re.search(expected, how), (question, how)
        for zones in [asked for asked in bulk.asked if "FROM chunks" in asked[0]]:
            assert "ix_chunks_zones" in plan(database, *zones)


def test_the_sweeper_reads_open_chunks_alone(database: Database, large_job: int) -> None:
    with statements(database) as seen, database.write() as session:
        count_due_chunks(session, limit=10)
        chunks.reclaim_expired(session, EXPIRED)
    assert "ix_chunks_queued" in plan(database, *seen[0])
    assert re.search("ix_chunks_(claimed|in_work)", plan(database, *seen[1]))


def test_a_claim_reads_the_lines_of_jobs_and_queued_chunks_alone(database: Database, large_job: int) -> None:
    with statements(database) as seen:
        lease = ledger.claim(database)
    assert lease is not None
    assert lease.job_id == large_job
    lines, first_chunk = [plan(database, *asked) for asked in seen]
    for index in ("ix_jobs_line", "ix_chunks_queued", "ix_chunks_in_work"):
        assert index in lines, lines
    assert "ix_chunks_queued" in first_chunk
    for how in (lines, first_chunk):
        assert not re.search(r"B-TREE|\bSort\b|SCAN chunks(?! USING)|Seq Scan", how), how


def test_a_filter_by_job_never_shows_another_job(database: Database, album: Album) -> None:
    with database.read() as session:
        public_id = session.get_one(Job, album.second_job).public_id
    rows = query(database, ResultFilter(job_id=album.second_job), page_size=1)
    assert {row["job"] for row in rows} == {public_id}


def test_a_photo_is_known_by_its_bytes_where_they_could_be_read(database: Database, album: Album) -> None:
    job = ledger.get_job(database, album.first_job).public_id

    with database.read() as session:
        digests = [find_photo_sha256(session, job, ordinal) for ordinal in (0, 1, 2, 9)]

    assert digests == [f"{0:064x}", f"{1:064x}", None, None]
