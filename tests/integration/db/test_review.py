"""The review's queue in the ledger: what is asked first, outwards from the threshold, in pages that join."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from shutil import copy

import pytest
from sqlalchemy import event, update

from core.records import FaceOutcome, Verdict
from db.clusters import add_cluster
from db.engine import Database
from db.people import find_person
from db.redecide import FaceKey
from db.review import FaceToReview, Reason, faces_to_review, still_open
from db.tables import Item
from tests import clustered, labelled, ledger
from tests.labelled import key, ranked, say, store
from tests.ledger import NOW

THRESHOLD = labelled.RULE.threshold


@pytest.fixture
def ada(database: Database) -> int:
    return ledger.add_people(database, "Ada", "Bob", "Carl")[0]


@pytest.fixture
def model(database: Database) -> int:
    return labelled.add_model(database)


def asked(database: Database, reason: Reason, page: int = 50) -> list[FaceToReview]:
    return list(faces_to_review(database, reason, page))


def ordinals(entries: list[FaceToReview]) -> list[int]:
    return [entry.key.ordinal for entry in entries]


def store_similar(database: Database, model: int, ada: int, *similarities: float) -> int:
    """A photo of one face for each similarity to Ada; return the job's id."""
    return store(
        database, model, *(ledger.result(place, ranked((ada, each))) for place, each in enumerate(similarities))
    )


@pytest.mark.parametrize("page", [1, 2, 50])
def test_faces_near_the_threshold_come_the_nearest_first(database: Database, ada: int, model: int, page: int) -> None:
    store_similar(database, model, ada, 0.9, 0.53, 0.49, 0.46, 0.501, 0.44, 0.2)
    assert ordinals(asked(database, Reason.NEAR_THRESHOLD, page)) == [4, 2, 1, 3]


@pytest.mark.parametrize("page", [1, 3])
def test_faces_of_one_similarity_are_all_asked(database: Database, ada: int, model: int, page: int) -> None:
    store_similar(database, model, ada, *[0.49] * 5, *[0.51] * 5)
    found = ordinals(asked(database, Reason.NEAR_THRESHOLD, page))
    assert sorted(found) == list(range(10))


def test_each_face_is_near_the_threshold_of_its_own_model(database: Database, ada: int, model: int) -> None:
    strict = labelled.add_model(database, "f" * 64, replace(labelled.RULE, threshold=0.8))
    lax_job = store_similar(database, model, ada, 0.48)
    unsure = ranked((ada, 0.79), outcome=FaceOutcome.UNKNOWN)
    strict_job = store(database, strict, ledger.result(0, unsure))
    found = asked(database, Reason.NEAR_THRESHOLD)
    assert [(entry.key.job_id, entry.threshold) for entry in found] == [(strict_job, 0.8), (lax_job, 0.5)]


def test_ambiguous_faces_say_between_whom(database: Database, ada: int, model: int) -> None:
    store(database, model, ledger.result(0, ranked((ada, 0.7), (ada + 1, 0.68))))
    (entry,) = asked(database, Reason.AMBIGUOUS)
    assert (entry.candidate, entry.runner_up, entry.runner_up_similarity) == ("Ada", "Bob", 0.68)
    assert entry.outcome is FaceOutcome.AMBIGUOUS
    assert entry.face.endswith("-0-0")


def test_what_was_answered_is_not_asked_again(database: Database, ada: int, model: int) -> None:
    job = store_similar(database, model, ada, 0.49, 0.48)
    first, second = asked(database, Reason.NEAR_THRESHOLD)
    say(database, key(job, 0), Verdict.IS_NOT, "Ada")
    with database.read() as session:
        assert (still_open(session, first), still_open(session, second)) == (False, True)
    assert ordinals(asked(database, Reason.NEAR_THRESHOLD)) == [1]


def test_single_unknown_faces_are_those_far_from_all_and_in_no_cluster(database: Database, ada: int) -> None:
    model = clustered.add_model(database)
    job = store_similar(database, model, ada, 0.3, 0.4, 0.49, 0.35)
    with database.write() as session:
        add_cluster(session, b"b" * 32, [FaceKey(job_id=job, ordinal=1, face_index=0)], NOW)
    assert ordinals(asked(database, Reason.UNKNOWN, 1)) == [3, 0]


def test_a_name_that_a_later_model_contradicts_is_asked_about(database: Database, ada: int, model: int) -> None:
    job = store(
        database,
        model,
        ledger.result(0, ranked((ada, 0.9))),
        ledger.result(1, ranked((ada, 0.9))),
        ledger.result(2, ranked((ada, 0.3))),
    )
    say(database, [key(job, place) for place in range(3)], Verdict.IS, "Bob")
    assert asked(database, Reason.DISAGREEMENT) == []  # whoever named them had seen what the model says
    decide_again(database, job)
    (entry, other) = asked(database, Reason.DISAGREEMENT, 1)
    assert {entry.key.ordinal, other.key.ordinal} == {0, 1}  # of the third, the model is not sure
    assert (entry.said, entry.candidate) == ("Bob", "Ada")


def test_somebody_merged_is_no_disagreement(database: Database, ada: int, model: int) -> None:
    job = store_similar(database, model, ada, 0.9)
    say(database, key(job), Verdict.IS, "Bob")
    decide_again(database, job)
    assert len(asked(database, Reason.DISAGREEMENT)) == 1
    with database.write() as session:
        find_person(session, "Bob").merged_into_id = ada
    assert asked(database, Reason.DISAGREEMENT) == []


@pytest.mark.parametrize("reason", list(Reason))
def test_nothing_stored_is_nothing_to_ask(database: Database, model: int, reason: Reason) -> None:
    assert asked(database, reason) == []


@pytest.mark.parametrize(
    ("reason", "index"),
    [
        (Reason.AMBIGUOUS, "SEARCH faces USING INDEX ix_faces_review"),
        (Reason.NEAR_THRESHOLD, "SEARCH faces USING INDEX ix_faces_review"),
        (Reason.UNKNOWN, "SEARCH faces USING INDEX ix_faces_outcome (outcome=?"),
        (Reason.DISAGREEMENT, "SEARCH faces USING INDEX ix_faces_label_id"),
    ],
)
def test_each_question_is_bounded_by_an_index(
    plain: Database, explained: Callable[[Database], list[str]], reason: Reason, index: str
) -> None:
    labelled.add_model(plain)
    plans = explained(plain)
    asked(plain, reason)
    used = [plan for plan in plans if "SEARCH faces" in plan or "SCAN faces" in plan]
    assert used
    assert all(index in plan and "TEMP B-TREE" not in plan for plan in used)


@pytest.fixture
def plain(tmp_path: Path, _sqlite_template: Path) -> Iterator[Database]:
    """A database whose plans say which index they use, however few rows there are."""
    copy(_sqlite_template, tmp_path / "facefleet.db")
    database = Database(f"sqlite:///{tmp_path / 'facefleet.db'}")
    yield database
    database.close()


@pytest.fixture
def explained() -> Callable[[Database], list[str]]:
    """Gathers the plans of all that is asked of a database from now on."""

    def listen(database: Database) -> list[str]:
        plans: list[str] = []

        def explain(connection: object, cursor: object, statement: str, parameters: object, *_: object) -> None:
            if statement.startswith("SELECT") and "FROM faces" in statement:
                rows = cursor.connection.execute("EXPLAIN QUERY PLAN " + statement, parameters)  # type: ignore[attr-defined]
                plans.append("\n".join(row[3] for row in rows))

        event.listen(database.engine, "before_cursor_execute", explain)
        return plans

    return listen


def decide_again(database: Database, job_id: int) -> None:
    """Let a model have decided about a job later than anybody named its faces."""
    with database.write() as session:
        session.execute(update(Item).where(Item.job_id == job_id).values(decided_at=NOW + timedelta(days=1)))
