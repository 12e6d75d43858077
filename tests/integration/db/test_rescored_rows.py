"""What a pass over stored faces writes is what a worker would have stored; and nobody's word is lost to a race."""

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
from sqlalchemy import inspect, select, update

from core.faces.match import decide
from core.faces.rescore import read_vectors
from core.records import FaceEmbedding, FaceOutcome, FaceResult, PhotoResult, RankedPerson, Verdict
from db import labels
from db.engine import Database
from db.people import find_person
from db.rankings import ranking_of
from db.redecide import FaceKey
from db.registry import register_model
from db.tables import Face, Job
from scripts.bench.faces import MadeUpFaces, make_faces
from scripts.deciding import DecidingModel
from scripts.rescoring import Rescoring
from tests import ledger

PHOTOS = 400
PEOPLE = 12


@pytest.fixture(scope="module")
def faces() -> MadeUpFaces:
    return make_faces(2 * PHOTOS, PEOPLE)


@pytest.fixture
def model(database: Database, faces: MadeUpFaces) -> DecidingModel:
    """The model that decides, registered beside the one that did. It can hardly tell two people apart."""
    gallery = faces.model.gallery.copy()
    gallery[7] = gallery[8] + 0.2 * gallery[7]
    gallery[7] /= np.linalg.norm(gallery[7])
    manifest = {"backbone": "made up", "recipe": "made up", "rule": asdict(faces.model.rule)}
    with database.write() as session:
        ledger.add_model(session)
        register_model(session, sha256="b" * 64, manifest=manifest, run_id=None, parent_id=None, now=ledger.NOW)
    ledger.add_people(database, *(f"Person {number}" for number in range(PEOPLE)))
    return replace(faces.model, gallery=gallery)


def rescore(database: Database, model: DecidingModel, meanwhile: Callable[[], None] | None = None) -> None:
    """Decide anew about all faces; something may happen between the first page's reading and its storing."""

    class Interrupted(Rescoring):
        def _store(self, ahead):  # type: ignore[no-untyped-def]
            nonlocal meanwhile
            if meanwhile is not None:
                meanwhile()
                meanwhile = None
            return super()._store(ahead)

    Interrupted(
        database, model, job_id=None, only_while_serving=False, clock=lambda: ledger.NOW, tell=lambda _: None
    ).run()


def seen(faces: MadeUpFaces, number: int, model: DecidingModel | None) -> FaceResult:
    """A face as a worker stores it: decided by a model, or as unknown of an earlier one. Every ninth is blurred."""
    vector = faces.stored[number * faces.row_bytes : (number + 1) * faces.row_bytes]
    if number % 50 == 7:
        vector = np.full(len(vector) // 2, np.nan, "<f2").tobytes() if model is None else vector
    index = number % 2
    face = replace(
        ledger.face(index, FaceOutcome.LOW_QUALITY if number % 9 == 4 else FaceOutcome.UNKNOWN),
        box_xyxy_px=(200.0 * index, 10.0, 200.0 * index + 100.0, 130.0),
        embedding=FaceEmbedding(backbone_sha256=faces.model.backbone_sha256, vector=vector),
    )
    return face if model is None else decided(face, vector, model)


def decided(face: FaceResult, vector: bytes, model: DecidingModel) -> FaceResult:
    """The face as a model decides it, one at a time."""
    embedding = read_vectors(vector, model.gallery.shape[1])
    (match,) = decide(embedding, 16.0 * embedding @ model.gallery.T, model.gallery, model.rule)
    people = model.person_ids.tolist()
    outcome = face.outcome if face.outcome is FaceOutcome.LOW_QUALITY else match.outcome
    candidate = None if match.candidate is None else people[match.candidate]
    return replace(
        face,
        outcome=outcome,
        person_id=candidate if outcome is FaceOutcome.IDENTIFIED else None,
        candidate_id=candidate,
        similarity=match.similarity,
        confidence=match.confidence,
        top_k=tuple(RankedPerson(person_id=people[index], similarity=value) for index, value in match.top),
    )


def add_job(database: Database, photos: list[PhotoResult], model_id: int) -> int:
    job_id, (chunk_id,) = ledger.add_job(database, items=len(photos), chunk_size=len(photos))
    ledger.finish(database, ledger.must_claim(database, chunk_id), photos, model_id)
    return job_id


def photos(faces: MadeUpFaces, model: DecidingModel | None) -> list[PhotoResult]:
    return [
        ledger.result(ordinal, *(seen(faces, 2 * ordinal + index, model) for index in range(2)))
        for ordinal in range(PHOTOS)
    ]


def say(database: Database, job_id: int, ordinal: int, verdict: Verdict, name: str | None = None) -> None:
    key = FaceKey(job_id=job_id, ordinal=ordinal, face_index=0)
    with database.write() as session:
        person = find_person(session, name) if name else None
        labels.label_faces(session, [key], verdict, person=person, author="me", now=ledger.NOW)


def rows(database: Database, job_id: int) -> list[dict[str, object]]:
    """All that is stored of a job's faces but when it was decided."""
    names = [column.key for column in inspect(Face).columns if column.key not in {"job_id", "decided_at", "ranking"}]
    with database.read() as session:
        found = session.scalars(select(Face).where(Face.job_id == job_id).order_by(Face.ordinal, Face.face_index))
        return [{**{name: getattr(face, name) for name in names}, "ranked": ranking_of(face)} for face in found]


def assert_same(got: list[dict[str, object]], wanted: list[dict[str, object]]) -> None:
    """Rows are alike, numbers but for what the order of additions makes of them."""
    inexact = ("similarity", "confidence", "review_order")
    for one, other in zip(got, wanted, strict=True):
        for name in inexact:
            assert one.pop(name) == pytest.approx(other.pop(name), abs=1e-5)
        ranked, in_order = one.pop("ranked"), other.pop("ranked")
        assert [each.person_id for each in ranked] == [each.person_id for each in in_order]
        assert [each.similarity for each in ranked] == pytest.approx([each.similarity for each in in_order], abs=1e-6)
        assert one == other


def test_a_pass_stores_what_a_worker_would_have_stored(
    database: Database, faces: MadeUpFaces, model: DecidingModel
) -> None:
    anew = add_job(database, photos(faces, None), 1)
    for ordinal in range(0, PHOTOS, 20):
        say(database, anew, ordinal, Verdict.IS, "Person 3")
        say(database, anew, ordinal + 1, Verdict.IS_NOT, f"Person {ordinal % PEOPLE}")
        say(database, anew, ordinal + 2, Verdict.IGNORE)
        say(database, anew, ordinal + 5, Verdict.IS_NOT)
    with database.write() as session:
        find_person(session, "Person 5").merged_into_id = find_person(session, "Person 6").id
    rescore(database, model)

    direct = add_job(database, photos(faces, model), 2)
    got, wanted = rows(database, anew), rows(database, direct)
    broken = [number for number in range(2 * PHOTOS) if number % 50 == 7]
    for number in reversed(broken):  # a worker stores no face for which its network gave no number
        face = got.pop(number)
        wanted.pop(number)
        assert (face["candidate_id"], face["similarity"], face["ranked"], face["model_id"]) == (None, None, (), 2)
    assert {row["outcome"] for row in got} == set(FaceOutcome)
    assert sum(row["review_order"] is not None for row in got) > 5
    assert sum(row["label_id"] is not None for row in got) == 4 * PHOTOS // 20
    assert_same(got, wanted)


def test_what_is_said_after_a_page_was_read_holds(database: Database, faces: MadeUpFaces, model: DecidingModel) -> None:
    job_id = add_job(database, photos(faces, None), 1)

    rescore(database, model, lambda: say(database, job_id, 10, Verdict.IS, "Person 3"))

    row = rows(database, job_id)[20]
    assert (row["outcome"], row["person_id"], row["model_id"]) == ("identified", 4, 2)
    assert row["label_id"] is not None
    assert {row["model_id"] for row in rows(database, job_id)} == {2}


def test_what_an_import_says_after_a_page_was_read_holds(
    database: Database, faces: MadeUpFaces, model: DecidingModel
) -> None:
    """It speaks of a photo and changes no stored face."""
    job_id = add_job(database, [ledger.result(0, seen(faces, 0, None))], 1)

    def import_photo() -> None:
        with database.write() as session:
            person = find_person(session, "Person 3")
            known = {"sha256": f"{0:064x}", "uri": "photo.jpg", "split": None, "author": "me", "now": ledger.NOW}
            labels.label_photo(session, person=person, **known)

    rescore(database, model, import_photo)
    (row,) = rows(database, job_id)
    assert (row["outcome"], row["person_id"]) == ("identified", 4)


def test_a_label_that_is_taken_back_after_a_page_was_read_holds_no_longer(
    database: Database, faces: MadeUpFaces, model: DecidingModel
) -> None:
    job_id = add_job(database, photos(faces, None), 1)
    say(database, job_id, 10, Verdict.IS, "Person 3")

    def undo() -> None:
        with database.write() as session:
            key = FaceKey(job_id=job_id, ordinal=10, face_index=0)
            labels.undo_labels(session, [key], author="me", now=ledger.NOW)

    rescore(database, model, undo)
    assert rows(database, job_id)[20]["label_id"] is None


def test_a_merge_after_a_page_was_read_holds(database: Database, faces: MadeUpFaces, model: DecidingModel) -> None:
    """Two people who are too close to tell apart turn out to be one."""
    job_id = add_job(database, photos(faces, None), 1)
    close = [number for number in range(2 * PHOTOS) if seen(faces, number, model).outcome is FaceOutcome.AMBIGUOUS]
    nearest, rival, *_ = seen(faces, close[0], model).top_k

    def merge() -> None:
        with database.write() as session:
            people = find_person(session, f"Person {nearest.person_id - 1}")
            people.merged_into_id = rival.person_id

    rescore(database, model, merge)
    assert rows(database, job_id)[close[0]]["outcome"] == "identified"


def test_a_face_that_somebody_else_decided_about_meanwhile_is_counted_once(
    database: Database, faces: MadeUpFaces, model: DecidingModel
) -> None:
    job_id = add_job(database, photos(faces, None), 1)

    def decide_elsewhere() -> None:
        with database.write() as session:
            first = Face.job_id == job_id, Face.ordinal == 0, Face.face_index == 0
            session.execute(update(Face).where(*first).values(outcome="ambiguous", model_id=2))
            session.execute(update(Job).values(faces_unknown=Job.faces_unknown - 1, faces_ambiguous=1))

    rescore(database, model, decide_elsewhere)
    found = [row["outcome"] for row in rows(database, job_id)]
    job = ledger.get_job(database, job_id)
    assert {outcome: getattr(job, f"faces_{outcome}") for outcome in FaceOutcome} == {
        outcome: found.count(outcome) for outcome in FaceOutcome
    }
