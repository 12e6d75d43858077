import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from core.records import FaceOutcome, Verdict
from db import labels, people
from db.engine import Database
from db.redecide import FaceKey
from db.tables import AuditEntry, Face, Job, Person
from tests import ledger
from tests.rescored import add_model, seen_face
from tests.unit.scripts.runner import Run

IDENTIFIED, UNKNOWN, LOW = FaceOutcome.IDENTIFIED, FaceOutcome.UNKNOWN, FaceOutcome.LOW_QUALITY


@pytest.fixture
def who(database: Database) -> dict[str, int]:
    names = ("Ada", "Grace", "Edsger")
    return dict(zip(names, ledger.add_people(database, *names), strict=True))


@pytest.fixture
def add(database: Database, home: Path, who: dict[str, int]) -> Callable[..., str]:
    """Adds and activates a model that takes the n-th drawn face for the n-th of these people."""
    return lambda *names, **more: add_model(database, home / "artifacts", [(who[name], name) for name in names], **more)


@pytest.fixture
def job(database: Database, who: dict[str, int], add: Callable[..., str]) -> Job:
    """Five photos that v1, which knows Ada and Grace, decided about; the third shows Edsger, the fourth nobody."""
    assert add("Ada", "Grace") == "v1"
    job_id, (chunk_id,) = ledger.add_job(database, items=6, chunk_size=6)
    results = [
        ledger.result(0, seen_face(0, outcome=IDENTIFIED, person_id=who["Ada"])),
        ledger.result(1, seen_face(1, outcome=IDENTIFIED, person_id=who["Grace"])),
        ledger.result(2, seen_face(2)),
        ledger.result(3, seen_face(7)),
        ledger.result(4, seen_face(0, outcome=LOW)),
        ledger.result(5),
    ]
    ledger.finish(database, ledger.must_claim(database, chunk_id), results, 1)
    return ledger.get_job(database, job_id)


def persons(database: Database) -> list[tuple[str, str | None]]:
    """Outcome and person of every face."""
    with database.read() as session:
        query = select(Face.outcome, Person.name).outerjoin(Person, Person.id == Face.person_id)
        return [tuple(row) for row in session.execute(query.order_by(Face.job_id, Face.ordinal, Face.face_index))]


def test_faces_of_somebody_new_get_their_name(run: Run, database: Database, job: Job, add: Callable[..., str]) -> None:
    add("Ada", "Grace", "Edsger")
    ran = run("rescore", "--json")

    assert ran.code == 0
    document = ran.document
    assert document.keys() == {
        "model", "faces", "changed", "gained", "lost", "renamed", "without_embedding", "seconds", "faces_per_s"
    }  # fmt: skip
    counts = {"model": "v2", "faces": 5, "changed": 1, "gained": 1, "lost": 0, "renamed": 0, "without_embedding": 0}
    assert document.items() >= counts.items()
    assert persons(database) == [
        (IDENTIFIED, "Ada"),
        (IDENTIFIED, "Grace"),
        (IDENTIFIED, "Edsger"),
        (UNKNOWN, None),
        (LOW, None),
    ]
    after = ledger.get_job(database, job.id)
    assert (after.faces_identified, after.faces_unknown, after.faces_low_quality) == (3, 1, 1)
    rows = [json.loads(line) for line in run("results", "--format", "jsonl").out.splitlines()]
    assert [row["model"] for row in rows] == ["v2", "v2", "v2", "v2", "v2", "v1"]


def test_names_are_lost_and_exchanged_too(run: Run, database: Database, job: Job, add: Callable[..., str]) -> None:
    add("Grace", "Ada")
    counts = {"faces": 5, "changed": 2, "gained": 0, "lost": 0, "renamed": 2}
    assert run("rescore", "--json").document.items() >= counts.items()

    add("Edsger")
    counts = {"faces": 5, "changed": 2, "gained": 0, "lost": 1, "renamed": 1}
    assert run("rescore", "--json").document.items() >= counts.items()


def test_done_twice_it_is_done_once(run: Run, database: Database, job: Job, add: Callable[..., str]) -> None:
    add("Ada", "Grace", "Edsger")
    run("rescore")
    before = persons(database)
    ran = run("rescore")

    assert "nothing to decide anew" in ran.out
    assert persons(database) == before


def test_an_older_model_can_be_asked_for(run: Run, database: Database, job: Job, add: Callable[..., str]) -> None:
    add("Ada", "Grace", "Edsger")
    run("rescore")
    ran = run("rescore", "--model", "v1", "--json")

    assert ran.document.items() >= {"model": "v1", "faces": 5, "lost": 1}.items()


def test_only_one_job_may_be_asked_for(run: Run, database: Database, job: Job, add: Callable[..., str]) -> None:
    other, (chunk_id,) = ledger.add_job(database, items=1)
    ledger.finish(database, ledger.must_claim(database, chunk_id), [ledger.result(0, seen_face(2))], 1)
    add("Ada", "Grace", "Edsger")
    with database.read() as session:
        public_id = session.get_one(Job, other).public_id

    assert run("rescore", "--job", public_id, "--json").document["faces"] == 1
    assert run("rescore", "--json").document["faces"] == 5


def test_what_people_said_of_faces_holds(
    run: Run, database: Database, job: Job, who: dict[str, int], add: Callable[..., str]
) -> None:
    def say(ordinal: int, verdict: Verdict, name: str | None) -> None:
        with database.write() as session:
            person = people.find_person(session, name) if name else None
            key = FaceKey(job_id=job.id, ordinal=ordinal, face_index=0)
            labels.label_faces(session, [key], verdict, person=person, author="me", now=ledger.NOW)

    say(0, Verdict.IS_NOT, "Ada")
    say(2, Verdict.IS, "Grace")
    say(3, Verdict.IS, "Ada")
    say(4, Verdict.IGNORE, None)
    add("Ada", "Grace", "Edsger")
    run("rescore")

    found = persons(database)
    assert found[0][1] != "Ada"
    assert found[2:] == [(IDENTIFIED, "Grace"), (IDENTIFIED, "Ada"), (LOW, None)]
    with database.read() as session:
        faces = session.scalars(select(Face).order_by(Face.ordinal)).all()
    assert [face.label_id is not None for face in faces] == [True, False, True, True, True]
    assert faces[4].quality_reasons == ["blurred", "ignored"]
    assert {face.model_id for face in faces} == {2}


def test_somebody_who_was_merged_is_no_rival_and_no_change(
    run: Run, database: Database, job: Job, who: dict[str, int], add: Callable[..., str]
) -> None:
    with database.write() as session:
        session.get_one(Person, who["Grace"]).merged_into_id = who["Ada"]
    add("Ada", "Ada")  # as after a training in which the two are one
    ran = run("rescore", "--json")

    assert ran.document.items() >= {"faces": 5, "changed": 0, "renamed": 0}.items()


def test_faces_without_an_embedding_are_counted_and_left(
    run: Run, database: Database, job: Job, add: Callable[..., str]
) -> None:
    other, (chunk_id,) = ledger.add_job(database, items=2)
    ledger.finish(
        database, ledger.must_claim(database, chunk_id), [ledger.result(n, ledger.face()) for n in range(2)], 1
    )
    add("Ada", "Grace", "Edsger")
    ran = run("rescore")

    assert "2 faces without an embedding of the backbone of v2" in ran.err
    assert {item.model_id for item in ledger.items_of(database, other)} == {1}


def test_it_stands_in_the_audit_trail(run: Run, database: Database, job: Job, add: Callable[..., str]) -> None:
    add("Ada", "Grace", "Edsger")
    run("rescore")
    with database.read() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "faces.rescore")).one()
    assert (entry.subject, entry.detail["faces"], entry.detail["gained"]) == ("v2", 5, 1)


def test_a_model_trained_from_scratch_cannot_decide_anew(
    run: Run, database: Database, job: Job, add: Callable[..., str]
) -> None:
    add("Ada", "Grace", backbone=None)
    ran = run("rescore")

    assert ran.code == 2
    assert "Nothing was changed" in ran.err


@pytest.mark.parametrize("arguments", [("--job", "jnone"), ("--model", "v9")])
def test_what_does_not_exist_is_refused(run: Run, job: Job, arguments: tuple[str, str]) -> None:
    assert run("rescore", *arguments).code == 2
