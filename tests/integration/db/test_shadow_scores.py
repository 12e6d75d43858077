"""What a model says beside the active one is stored apart, counted by how it differs, and listed where it does."""

from dataclasses import replace

import pytest

from core.faces.agreement import ScoredFace
from core.records import Agreement, ErrorRecord, FaceOutcome, FaceResult
from db import renames, shadow
from db.engine import Database
from db.shadow import ChunkScore
from db.tables import Face
from tests import ledger
from tests.ledger import NOW

ACTIVE, SHADOW = "a" * 64, "b" * 64


class Scene:
    """A job of four photos that the active model decided, and two models."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ada, self.grace = ledger.add_people(database, "Ada", "Grace")
        with database.write() as session:
            self.active, self.shadow = ledger.add_model(session, ACTIVE), ledger.add_model(session, SHADOW)
        self.job_id, (chunk_id,) = ledger.add_job(database, items=4)
        lease = ledger.must_claim(database, chunk_id)
        self.chunk_id = chunk_id
        ledger.finish(database, lease, [ledger.result(n, self.face(self.ada)) for n in range(4)], self.active)

    def face(self, person: int | None = None) -> FaceResult:
        return ledger.face(outcome=FaceOutcome.UNKNOWN if person is None else FaceOutcome.IDENTIFIED, person_id=person)

    def pair(self, active: int | None, other: int | None) -> ScoredFace:
        return ScoredFace(active=self.face(active), shadow=self.face(other))

    def score(self, *faces: ScoredFace, **changes: object) -> ChunkScore:
        made = ChunkScore(
            model_id=self.shadow,
            active_id=self.active,
            chunk_id=self.chunk_id,
            job_id=self.job_id,
            photos=4,
            seconds=0.5,
            faces=[(number, [face]) for number, face in enumerate(faces)],
        )
        return replace(made, **changes)

    def store(self, score: ChunkScore) -> None:
        with self.database.write() as session:
            shadow.store_score(session, score, NOW)

    def report(self) -> shadow.ShadowReport:
        with self.database.read() as session:
            return shadow.read_report(session, self.shadow)

    def differences(self, limit: int = 100) -> list[shadow.Difference]:
        with self.database.read() as session:
            return shadow.list_differences(session, self.shadow, limit)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def test_a_model_that_scored_nothing_has_an_empty_report(scene: Scene) -> None:
    report = scene.report()
    assert (report.chunks, report.photos, report.agreed, report.last_failure) == (0, 0, None, None)
    assert scene.differences() == []


def test_faces_are_counted_by_how_the_answers_differ(scene: Scene) -> None:
    found = ScoredFace(active=None, shadow=scene.face(scene.ada))
    scene.store(scene.score(scene.pair(scene.ada, scene.ada), scene.pair(scene.ada, scene.grace), found))
    report = scene.report()
    assert (report.chunks, report.photos, report.seconds, report.active_ids) == (1, 4, 0.5, (scene.active,))
    assert {agreement for agreement, count in report.faces.items() if count} == {
        Agreement.SAME,
        Agreement.RENAMED,
        Agreement.FOUND,
    }
    assert report.agreed == pytest.approx(1 / 3)
    assert (report.first_at, report.last_at) == (NOW, NOW)


def test_differences_name_the_photo_and_both_answers(scene: Scene) -> None:
    unseen = ScoredFace(active=scene.face(scene.ada), shadow=None)
    scene.store(scene.score(scene.pair(scene.ada, scene.ada), scene.pair(scene.ada, None), unseen))
    lost, missed = scene.differences()
    job = ledger.get_job(scene.database, scene.job_id).public_id
    assert (lost.face, lost.item, lost.agreement, lost.active, lost.shadow) == (
        f"{job}-1-0",
        1,
        Agreement.LOST,
        "Ada",
        "unknown",
    )
    assert lost.uri == "file:///album/0001.jpg"
    assert (missed.agreement, missed.shadow, missed.shadow_similarity) == (Agreement.UNSEEN, None, None)
    assert len(scene.differences(limit=1)) == 1


def test_nothing_of_it_reaches_what_was_decided(scene: Scene) -> None:
    before = [(item.outcome, item.model_id) for item in ledger.items_of(scene.database, scene.job_id)]
    scene.store(scene.score(scene.pair(scene.ada, scene.grace)))
    assert [(item.outcome, item.model_id) for item in ledger.items_of(scene.database, scene.job_id)] == before
    with scene.database.read() as session:
        face = session.get_one(Face, (scene.job_id, 0, 0))
    assert (face.person_id, face.model_id) == (scene.ada, scene.active)


def test_a_chunk_is_stored_once(scene: Scene) -> None:
    scene.store(scene.score(scene.pair(scene.ada, scene.ada)))
    scene.store(scene.score(scene.pair(scene.ada, scene.grace)))
    assert scene.report().agreed == 1.0


def test_people_who_were_merged_are_one_person(scene: Scene) -> None:
    with scene.database.write() as session:
        renames.merge_people(session, "Grace", "Ada", who="test", now=NOW)
    scene.store(scene.score(scene.pair(scene.ada, scene.grace)))
    assert scene.report().agreed == 1.0


def test_a_chunk_that_could_not_be_scored_says_why(scene: Scene) -> None:
    error = ErrorRecord(code="model_error", message="It has no answer.")
    scene.store(scene.score(error=error))
    report = scene.report()
    assert (report.chunks, report.failed_chunks, report.last_failure, report.agreed) == (1, 1, error, None)


def test_what_a_model_decided_is_counted_by_outcome(scene: Scene) -> None:
    with scene.database.read() as session:
        assert shadow.count_decided(session, scene.active)[FaceOutcome.IDENTIFIED] == 4
        assert not any(shadow.count_decided(session, scene.shadow).values())
