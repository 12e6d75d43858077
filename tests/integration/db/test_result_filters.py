"""Every filter and all that can be typed together find what reading everything finds, whatever was decided anew."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import select, update

from core.records import FaceEmbedding, FaceOutcome, FaceResult, PhotoResult, Verdict
from db import chunks, rescore, retries
from db.chunks import ChunkLease
from db.control import cancel_job, settle_cancelled_jobs
from db.engine import Database
from db.ids import model_version
from db.rankings import pack_ranking
from db.rescore import NewOutcomes, StoredPage
from db.result_filter import ResultFilter
from db.results import iter_results
from db.tables import Chunk, Face
from tests import labelled, ledger
from tests.ledger import NOW

BACKBONE, DIM = "ab" * 32, 4
PHOTOS, CHUNK = 26, 4
CONFIDENCES = (0.05, 0.3, 0.6, 0.85, 0.95, 0.99)


class Archive:
    """Three jobs of photos that were drawn, by two models at several times; a third model is there."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.chance = Random(7)
        self.people = ledger.add_people(database, "Ada", "Bob", "Cy")
        self.models = [labelled.add_model(database, digit * 64) for digit in "abc"]
        self.jobs = [self._add_job(number) for number in range(3)]
        self.shown = {job_id: ledger.get_job(database, job_id).public_id for job_id in self.jobs}

    def _add_job(self, number: int) -> int:
        job_id, _ = ledger.add_job(self.database, items=PHOTOS, chunk_size=CHUNK)
        for place, lease in enumerate(ledger.claim_all(self.database)):
            photos = [self._photo(lease.first_ordinal + each) for each in range(lease.item_count)]
            self.finish(lease, photos, self.models[place % 7 == 3], NOW + timedelta(hours=number, minutes=place))
        return job_id

    def finish(self, lease: ChunkLease, photos: list[PhotoResult], model_id: int, now: datetime) -> None:
        with self.database.write() as session:
            chunks.finish_chunk(session, lease, photos, model_id, now)

    def _photo(self, ordinal: int) -> PhotoResult:
        kind = self.chance.random()
        if kind < 0.15:
            return ledger.failure(ordinal)
        # every photo has bytes of its own, so that a label means one face of one job
        photo = ledger.result(ordinal, *(self._face(index) for index in range(self.chance.choice([0, 1, 1, 2]))))
        return replace(photo, sha256=f"{self.chance.getrandbits(255):064x}")

    def _face(self, index: int) -> FaceResult:
        outcome = self.chance.choice([FaceOutcome.IDENTIFIED, FaceOutcome.UNKNOWN, FaceOutcome.UNKNOWN])
        face = ledger.face(index, outcome, self.chance.choice(self.people), self.chance.choice(CONFIDENCES))
        kept = FaceEmbedding(backbone_sha256=BACKBONE, vector=bytes(2 * DIM))
        return replace(face, embedding=kept if self.chance.random() < 0.9 else None)

    def rescore(self, job_id: int, model_id: int, now: datetime, *, limit: int, pages: int | None = None) -> None:
        """Decide about the faces of a job anew, at random; pages end in the midst of chunks."""
        after = -1
        while pages is None or pages > 0:
            with self.database.write() as session:
                page = rescore.read_page(
                    session, job_id, after, backbone_sha256=BACKBONE, dim=DIM, without_model=model_id, limit=limit
                )
                if page is None:
                    return
                assert rescore.write_page(session, page, self._new(page), model_id, now)
            after, pages = page.until, None if pages is None else pages - 1

    def _new(self, page: StoredPage) -> NewOutcomes:
        count = len(page)
        named = [self.chance.random() < 0.5 for _ in range(count)]
        people = [self.chance.choice(self.people) if each else None for each in named]
        return NewOutcomes(
            outcomes=[(FaceOutcome.IDENTIFIED if each else FaceOutcome.UNKNOWN).value for each in named],
            person_ids=people,
            candidate_ids=people,
            similarities=[0.7] * count,
            confidences=[self.chance.choice(CONFIDENCES) for _ in range(count)],
            rankings=[pack_ranking([])] * count,
            label_ids=list(page.label_ids),
            review_orders=[None] * count,
        )

    def check(self, questions: int = 40) -> None:
        """Compare pages of filters with what reading everything gives."""
        everything = self._read(ResultFilter(), 1000)
        for _ in range(questions):
            wanted = self._draw()
            expected = [row for row in everything if self._fits(row, wanted)]
            assert self._read(wanted, self.chance.choice([3, 1000])) == expected, wanted

    def _draw(self) -> ResultFilter:
        def perhaps(*values: Any) -> Any:
            return self.chance.choice(values) if self.chance.random() < 0.4 else None

        return ResultFilter(
            job_id=perhaps(*self.jobs),
            person_id=perhaps(*self.people),
            outcome=perhaps("identified", "unknown", "no_face", "error"),
            model_id=perhaps(*self.models),
            since=perhaps(*(NOW + timedelta(minutes=minutes) for minutes in (0, 5, 65, 125, 200, 400))),
            min_confidence=perhaps(0.3, 0.9, 0.99, 1.0),
        )

    def _fits(self, row: dict[str, Any], wanted: ResultFilter) -> bool:
        person = None if wanted.person_id is None else ("Ada", "Bob", "Cy")[self.people.index(wanted.person_id)]
        decided_at = datetime.fromisoformat(row["decided_at"])
        return (
            (wanted.job_id is None or row["job"] == self.shown[wanted.job_id])
            and person in (None, row["person"])
            and wanted.outcome in (None, row["outcome"])
            and (wanted.model_id is None or row["model"] == model_version(wanted.model_id))
            and (wanted.since is None or decided_at >= wanted.since)
            and (wanted.min_confidence is None or (row["confidence"] or 0.0) >= wanted.min_confidence)
        )

    def _read(self, wanted: ResultFilter, page_size: int) -> list[dict[str, Any]]:
        with self.database.read() as session:
            return list(iter_results(session, wanted, page_size=page_size))


@pytest.fixture
def archive(database: Database) -> Archive:
    return Archive(database)


def test_filters_find_what_is_there(archive: Archive) -> None:
    archive.check(80)


def test_filters_find_faces_that_another_model_decided_about(archive: Archive) -> None:
    first, second, third = archive.models
    archive.rescore(archive.jobs[0], third, NOW + timedelta(minutes=300), limit=7)
    archive.rescore(archive.jobs[1], third, NOW + timedelta(minutes=300), limit=7, pages=3)  # broke off
    archive.check()
    archive.rescore(archive.jobs[1], third, NOW + timedelta(minutes=350), limit=5)
    archive.rescore(archive.jobs[0], first, NOW + timedelta(minutes=400), limit=9, pages=2)
    archive.check()
    archive.rescore(archive.jobs[0], second, NOW + timedelta(minutes=500), limit=6)
    archive.check()


def test_filters_find_faces_that_people_spoke_of(archive: Archive) -> None:
    with archive.database.read() as session:
        keys = session.execute(select(Face.job_id, Face.ordinal, Face.face_index)).all()
    faces = [labelled.key(*key) for key in archive.chance.sample(keys, 20)]
    labelled.say(archive.database, faces[:15], Verdict.IS, "Cy")
    labelled.say(archive.database, faces[15:], Verdict.IS_NOT, "Ada")
    archive.check()
    for face in faces[:5]:
        labelled.undo(archive.database, face)
    archive.check()


def test_filters_find_photos_that_were_tried_again_or_given_up(archive: Archive) -> None:
    job_id = archive.jobs[0]
    public_id = archive.shown[job_id]
    with archive.database.write() as session:
        retries.begin_retry(session, public_id, "test", NOW)
        retries.queue_page(session, public_id, CHUNK, NOW)
    for lease in ledger.claim_all(archive.database)[:-2]:
        archive.finish(lease, ledger.results_of(lease), archive.models[2], NOW + timedelta(minutes=300))
    archive.check()
    with archive.database.write() as session:
        cancel_job(session, public_id, "test", NOW)
        settle_cancelled_jobs(session, NOW + timedelta(minutes=420))
    archive.check()


def test_of_chunks_that_an_older_version_stored_nothing_is_passed_over(archive: Archive) -> None:
    nothing = {"model_id": None, "face_model_id": None, "decided_until": None}
    with archive.database.write() as session:
        session.execute(update(Chunk).where(Chunk.id % 3 != 0).values(**nothing, top_confidence=None, top_unnamed=None))
    archive.check()
