"""Passes over stored faces: ended in the middle, beside other writers, and under a model that stops serving."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select, update

from core.faces.rule import OperatingPoint
from core.records import FaceEmbedding, FaceOutcome, FaceResult
from db.engine import Database
from db.registry import activate_model
from db.rescore import PAGE_FACES
from db.tables import Face, Job, Model
from scripts.bench.faces import MadeUpFaces, make_faces, store_faces
from scripts.rescoring import Rescoring, Tally
from tests import ledger
from tests.unit.scripts.runner import Run

FACES = 2 * PAGE_FACES + 1000  # three pages


@pytest.fixture(scope="module")
def faces() -> MadeUpFaces:
    return make_faces(FACES, 20)


@pytest.fixture
def stored(database: Database, faces: MadeUpFaces) -> Database:
    store_faces(database, faces)
    return database


def rescoring(
    database: Database, faces: MadeUpFaces, tell: Callable[[Tally], None] = lambda _: None, *, serving: bool = False
) -> Rescoring:
    return Rescoring(
        database, faces.model, job_id=None, only_while_serving=serving, clock=lambda: ledger.NOW, tell=tell
    )


def counted(database: Database) -> tuple[dict[str, int], dict[str, int], int]:
    """Faces by outcome, as the job says and as the rows say; and how many rows the second model decided about."""
    with database.read() as session:
        job = session.scalars(select(Job)).one()
        rows = session.execute(select(Face.outcome, func.count().label("faces")).group_by(Face.outcome))
        by_rows = {row.outcome: row.faces for row in rows}
        done = session.scalar(select(func.count()).where(Face.model_id == 2)) or 0
    by_job = {outcome.value: getattr(job, f"faces_{outcome}") for outcome in FaceOutcome}
    return by_job, {**dict.fromkeys(by_job, 0), **by_rows}, done


def test_ended_anywhere_the_ledger_is_in_line_and_the_rest_is_done_later(stored: Database, faces: MadeUpFaces) -> None:
    def end(_: Tally) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rescoring(stored, faces, end).run()
    by_job, by_rows, done = counted(stored)
    assert by_job == by_rows
    assert 0 < done < FACES

    tally = rescoring(stored, faces).run()

    assert tally.faces == FACES - done
    by_job, by_rows, done = counted(stored)
    assert by_job == by_rows
    assert done == FACES
    assert by_rows["identified"] > FACES // 3
    assert by_rows["unknown"] > FACES // 3


def test_a_job_is_decided_about_anew_by_the_share_of_strangers_that_it_asked_for(
    stored: Database, faces: MadeUpFaces
) -> None:
    nobody = OperatingPoint(fpir=0.001, threshold=1.5, margin=0.0)
    knows = replace(faces, model=replace(faces.model, rule=replace(faces.model.rule, other_points=(nobody,))))
    with stored.write() as session:
        session.execute(update(Job).values(fpir=0.001))
    rescoring(stored, knows).run()
    by_job, _, done = counted(stored)
    assert (by_job["identified"], by_job["ambiguous"], done) == (0, 0, FACES)


def test_when_another_model_is_activated_the_rest_is_left_to_it(stored: Database, faces: MadeUpFaces) -> None:
    def serve(number: int) -> None:
        with stored.write() as session:
            activate_model(session, session.get_one(Model, number), who="test", why="test", now=ledger.NOW)

    serve(2)
    tally = rescoring(stored, faces, lambda _: serve(1), serving=True).run()

    assert tally.superseded
    assert 0 < tally.faces < FACES
    assert counted(stored)[2] == tally.faces


def test_what_a_worker_adds_meanwhile_under_the_model_before_is_decided_about_too(
    stored: Database, faces: MadeUpFaces
) -> None:
    running, _ = ledger.add_job(stored, items=2, chunk_size=1)
    leases = ledger.claim_all(stored)

    def work(tally: Tally) -> None:
        if tally.faces >= FACES and leases:
            lease = leases.pop()  # the last photo first: the other then lies behind where the pass stands
            ledger.finish(stored, lease, [ledger.result(lease.first_ordinal, a_face(faces))], 1)

    tally = rescoring(stored, faces, work).run()

    assert tally.faces == FACES + 2
    with stored.read() as session:
        assert session.scalars(select(Face.model_id).where(Face.job_id == running)).all() == [2, 2]


def a_face(faces: MadeUpFaces) -> FaceResult:
    """A face with an embedding of the made-up backbone."""
    vector = faces.stored[: faces.row_bytes]
    return replace(ledger.face(), embedding=FaceEmbedding(backbone_sha256=faces.model.backbone_sha256, vector=vector))


def test_the_benchmark_says_how_fast_it_is(run: Run) -> None:
    ran = run("bench", "rescore", "--faces", "500", "--people", "5", "--json")

    assert ran.code == 0
    (figures,) = ran.document["rounds"]
    assert (figures["database"], figures["people"]) == ("sqlite", 5)
    assert 150 < figures["whole"]["changed"] <= 250, "every other face is of somebody who is known"
    assert figures["again"]["changed"] < 10
    assert figures["deciding"]["faces_per_s"] > figures["whole"]["faces_per_s"] > 0
    assert figures["again"]["faces_per_s"] > 0


def test_the_benchmark_leaves_a_database_alone_that_is_in_use(run: Run, database: Database, home: Path) -> None:
    ran = run("bench", "rescore", "--faces", "10", "--people", "5", "--database", database.url)

    assert ran.code == 2
    assert "holds tables already" in ran.err
    assert inspect(database.engine).has_table("faces")
