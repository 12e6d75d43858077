"""The made-up ledger of `facefleet bench query` is one that workers could have left, and its pages are timed."""

from random import Random

import pytest
from sqlalchemy import func, select

from core.records import FaceOutcome
from db.engine import Database
from db.result_filter import ResultFilter
from db.results import PAGE, iter_results, read_page
from db.tables import Chunk, Face, Item, Job
from scripts.bench.outcomes import MadeUpLedger, fill_ledger
from scripts.bench.questions import OPTIONS, QUESTIONS, Question
from scripts.bench.reading import share, time_pages
from scripts.results import results


@pytest.fixture
def filled(database: Database) -> MadeUpLedger:
    return fill_ledger(database, 2_500, lambda _: None)


def test_counters_and_chunks_say_what_the_rows_do(database: Database, filled: MadeUpLedger) -> None:
    with database.read() as session:
        assert len(list(iter_results(session, ResultFilter()))) == filled.rows
        for outcome in FaceOutcome:
            counted = session.scalar(select(func.sum(getattr(Job, f"faces_{outcome}"))))
            assert counted == session.scalar(select(func.count()).where(Face.outcome == outcome.value)) > 0
        covered = session.scalar(select(func.sum(Chunk.item_count)))
        assert covered == session.scalar(select(func.count()).select_from(Item)) == sum(j.photos for j in filled.jobs)
        inside = (Face.job_id == Chunk.job_id) & (Face.ordinal >= Chunk.first_ordinal)
        inside &= Face.ordinal < Chunk.first_ordinal + Chunk.item_count
        tops = select(Chunk.id, Chunk.top_confidence, Chunk.face_model_id, func.max(Face.confidence).label("surest"))
        tops = tops.add_columns(func.min(Face.model_id).label("low"), func.max(Face.model_id).label("high"))
        for row in session.execute(tops.join(Face, inside).group_by(Chunk.id)):
            assert (row.top_confidence, row.face_model_id, row.face_model_id) == (row.surest, row.low, row.high)


def test_pages_of_every_question_are_timed_up_to_the_last(database: Database, filled: MadeUpLedger) -> None:
    question = Question(name="--outcome identified", draws=(lambda _l, _c: {"outcome": "identified"},))
    timed = time_pages(database, filled, question, 3)
    assert timed["places"]["first"]["rows"] == PAGE
    assert 0 < timed["places"]["last"]["rows"] < PAGE
    assert 0 < timed["p50_ms"] <= timed["p95_ms"] <= timed["max_ms"]
    nobody = Question(name="nobody", draws=(lambda _l, _c: {"person_id": 1, "outcome": "error"},))
    assert time_pages(database, filled, nobody, 2)["places"]["last"] is None


def test_every_question_can_be_asked(database: Database, filled: MadeUpLedger) -> None:
    chance = Random(1)
    with database.read() as session:
        found = {each.name: len(read_page(session, each.ask(filled, chance)).rows) for each in QUESTIONS}
    assert found["all"] == PAGE
    assert found["--outcome unknown"] == PAGE


def test_every_filter_of_the_command_is_asked_about() -> None:
    others = {"--format", "--output", "--pictures", "--limit", "--json"}
    filters = {option for param in results.params for option in param.opts} - others
    assert filters == set(OPTIONS)
    assert filters <= {option for question in QUESTIONS for option in question.name.split()}


def test_a_share_of_values_is_the_least_that_so_many_do_not_exceed() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (share(values, 0.5), share(values, 0.95), share(values, 1.0)) == (50.0, 95.0, 100.0)
    assert share([3.0], 0.95) == 3.0
