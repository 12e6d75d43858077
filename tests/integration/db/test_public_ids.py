"""No two rows have one public id, not even those of one millisecond that drew the same digits."""

import pytest
from sqlalchemy.exc import IntegrityError

from core.records import JobState, RunState
from db.engine import Database
from db.ids import insert_with_public_id, new_public_id
from db.tables import Job, Run
from tests import ledger
from tests.ledger import NOW


def make_job(key: str | None = None) -> Job:
    times = {"created_at": NOW, "touched_at": NOW}
    return Job(name="x", idempotency_key=key, request_digest="d", faces_mode="crop", state=JobState.SUBMITTING, **times)


def make_run() -> Run:
    return Run(recipe="compact", options={}, state=RunState.QUEUED, created_at=NOW)


@pytest.mark.parametrize(("make", "prefix"), [(make_job, "j"), (make_run, "r")])
def test_an_id_that_is_taken_is_drawn_anew(database: Database, make: type[Job], prefix: str) -> None:
    first, second, third = make(), make(), make()
    with database.write() as session:
        insert_with_public_id(session, first, prefix, NOW, lambda _: 7)
    digits = iter([7, 7, 8])
    with database.write() as session:
        insert_with_public_id(session, second, prefix, NOW, lambda _: next(digits))
        digits = iter([8, 7, 9])
        insert_with_public_id(session, third, prefix, NOW, lambda _: next(digits))
    assert [row.public_id for row in (first, second, third)] == [
        new_public_id(prefix, NOW, lambda _, n=n: n) for n in (7, 8, 9)
    ]
    assert len({row.id for row in (first, second, third)}) == 3


def test_rows_of_the_same_moment_and_the_same_digits_all_get_in(database: Database) -> None:
    def insert() -> str:
        digits = iter(range(7, 20))
        with database.write() as session:
            job = make_job()
            insert_with_public_id(session, job, "j", NOW, lambda _: next(digits))
            return job.public_id

    ids = ledger.race([insert] * 6)
    assert not any(isinstance(each, Exception) for each in ids), ids
    assert len(set(ids)) == 6


def test_a_clash_in_anything_else_is_raised_and_not_tried_for_ever(database: Database) -> None:
    with database.write() as session:
        insert_with_public_id(session, make_job(key="k"), "j", NOW)
    with pytest.raises(IntegrityError), database.write() as session:
        insert_with_public_id(session, make_job(key="k"), "j", NOW)
