"""Stored faces in pages, for another model to decide about anew: what it needs of them, and what it makes of them.

A page is read and written in one transaction. Which of its faces bear the model's number says how far it is; a page
that is read again after it was written holds nothing. What is decided is decided in core/faces/rescore.py.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from core.records import FaceOutcome, JobState
from db.bulk import Bulk
from db.outcomes import count_outcomes
from db.tables import Face, Job

PAGE_FACES = 4096
"""Faces of one transaction, about: some 0.1 s of a SQLite file's one writer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredPage:
    """Faces of some photos of a job, as columns: entry n of each list is of one face. By photo and face."""

    job_id: int
    after: int
    until: int
    """Its photos lie behind the one ordinal and up to the other."""
    ordinals: list[int]
    face_indices: list[int]
    outcomes: list[str]
    person_ids: list[int | None]
    label_ids: list[int | None]
    model_ids: list[int]
    low_quality: list[bool]
    """Whether there are reasons to give the face no name: the quality gate's, or what a person said."""
    vectors: bytes
    """All embeddings, one after the other: float16 [N, D], little-endian."""
    without_embedding: int
    """Faces of these photos that are not here, because there is no embedding of the backbone to decide about."""

    def __len__(self) -> int:
        return len(self.ordinals)


class NewOutcome(NamedTuple):
    """What a face's row holds from now on."""

    outcome: str
    person_id: int | None
    candidate_id: int | None
    similarity: float | None
    confidence: float | None
    top_k: str
    """JSON."""
    label_id: int | None


def read_page(
    session: Session,
    job_id: int,
    after: int,
    *,
    backbone_sha256: str,
    dim: int,
    without_model: int | None,
    limit: int = PAGE_FACES,
) -> StoredPage | None:
    """Return the faces of the next photos of a job; None when there are no more.

    Faces and embeddings are read each for itself. Of a job that is younger than its statistics PostgreSQL expects one
    row, and would join two such ranges row by row: 4,096 times 4,096.

    Args:
        session: a session, which is a write session when the page is to be written.
        job_id: the job.
        after: the ordinal at which the page before ended; -1 for the first page.
        backbone_sha256: whose embeddings are wanted.
        dim: D, the length of those.
        without_model: leave out faces that this model has decided about; None wants all.
        limit: faces at most, but for those of the last photo, which are all there.
    """
    bulk = Bulk(session.connection())
    wanted = "f.job_id = ? AND f.ordinal > ?" + (
        "" if without_model is None else f" AND f.model_id <> {without_model:d}"
    )
    first = f"SELECT f.ordinal FROM faces f WHERE {wanted} ORDER BY f.ordinal LIMIT ?"  # noqa: S608
    photos = bulk.fetch(first, (job_id, after, limit))
    if not photos:
        return None
    (until,) = photos[-1]
    rows = bulk.fetch(
        "SELECT f.ordinal, f.face_index, f.outcome, f.person_id, f.label_id, f.model_id, "  # noqa: S608
        f"f.quality_reasons <> {bulk.json_mark} FROM faces f "
        f"WHERE {wanted} AND f.ordinal <= ? ORDER BY f.ordinal, f.face_index",
        ("[]", job_id, after, until),
    )
    embedded = bulk.fetch(
        "SELECT ordinal, face_index, vector FROM embeddings WHERE job_id = ? AND ordinal > ? AND ordinal <= ? "
        "AND backbone_sha256 = ? AND length(vector) = ?",
        (job_id, after, until, bytes.fromhex(backbone_sha256), 2 * dim),
    )
    vectors = {(ordinal, face_index): vector for ordinal, face_index, vector in embedded}
    return _as_page(rows, vectors, job_id, after, until)


def _as_page(
    rows: Sequence[tuple[Any, ...]], vectors: Mapping[tuple[int, int], bytes], job_id: int, after: int, until: int
) -> StoredPage:
    """Turn rows into columns, without those that have no embedding."""
    found = [vectors.get((row[0], row[1])) for row in rows]
    kept = [row for row, vector in zip(rows, found, strict=True) if vector is not None]
    columns = list(zip(*kept, strict=True)) or [()] * 7
    ordinals, indices, outcomes, people, labels, models, low = columns
    return StoredPage(
        job_id=job_id,
        after=after,
        until=until,
        ordinals=list(ordinals),
        face_indices=list(indices),
        outcomes=list(outcomes),
        person_ids=list(people),
        label_ids=list(labels),
        model_ids=list(models),
        low_quality=list(map(bool, low)),
        vectors=b"".join(vector for vector in found if vector is not None),
        without_embedding=len(rows) - len(kept),
    )


def write_page(
    session: Session,
    page: StoredPage,
    outcomes: Sequence[NewOutcome],
    model_id: int,
    now: datetime,
    reasons: Mapping[int, Sequence[str]] | None = None,
) -> bool:
    """Store what a model makes of a page's faces, and count it on their job, in the caller's transaction.

    Args:
        session: the write session that the page was read in.
        page: as it was read.
        outcomes: one a face, in the same order.
        model_id: the model.
        now: aware time.
        reasons: quality reasons of faces, by row, where they are others than are stored.

    Returns:
        False when somebody changed one of the faces meanwhile (PostgreSQL alone allows that): the caller's transaction
        must be rolled back, and the page read again.
    """
    bulk = Bulk(session.connection())
    if len(page) and _write_faces(bulk, page, outcomes, model_id) != len(page):
        return False
    _mark_items(bulk, page, model_id, now)
    _write_reasons(session, page, reasons or {})
    if moves := _moves(page.outcomes, (new.outcome for new in outcomes)):
        count_outcomes(session, page.job_id, moves, now)
    return True


_VALUES = ("outcome", "person_id", "candidate_id", "similarity", "confidence", "top_k", "label_id")


def _write_faces(bulk: Bulk, page: StoredPage, outcomes: Sequence[NewOutcome], model_id: int) -> int:
    """Update the rows of faces that are still as they were read; return how many."""
    keys = zip(repeat(page.job_id), page.ordinals, page.face_indices)
    were = zip(page.outcomes, page.person_ids, page.label_ids, page.model_ids, strict=True)
    return bulk.update_unchanged(
        Face,
        values=(*_VALUES, "model_id"),
        json_columns={"top_k"},
        keys=("job_id", "ordinal", "face_index"),
        unchanged=("outcome", "person_id", "label_id", "model_id"),
        rows=((*new, model_id, *key, *were) for new, key, were in zip(outcomes, keys, were, strict=True)),
        within=f"faces.job_id = {page.job_id} AND faces.ordinal > {page.after} AND faces.ordinal <= {page.until}",
    )


def _mark_items(bulk: Bulk, page: StoredPage, model_id: int, now: datetime) -> None:
    """Say of photos all of whose faces the model decided about that it decided about them."""
    bulk.execute(
        "UPDATE items SET model_id = ?, decided_at = ? WHERE job_id = ? AND ordinal > ? AND ordinal <= ? "
        "AND outcome = 'faces' AND model_id <> ? AND NOT EXISTS (SELECT 1 FROM faces f "
        "WHERE f.job_id = items.job_id AND f.ordinal = items.ordinal AND f.model_id <> ?)",
        (model_id, bulk.time(now), page.job_id, page.after, page.until, model_id, model_id),
    )


def _write_reasons(session: Session, page: StoredPage, reasons: Mapping[int, Sequence[str]]) -> None:
    """Store the quality reasons of faces of which a person said something since they were stored."""
    for row, of_face in reasons.items():
        key = (
            Face.job_id == page.job_id,
            Face.ordinal == page.ordinals[row],
            Face.face_index == page.face_indices[row],
        )
        session.execute(
            update(Face).where(*key).values(quality_reasons=list(of_face)).execution_options(synchronize_session=False)
        )


def _moves(before: Iterable[str], after: Iterable[str]) -> Counter[str]:
    """Return by how much a job's counters change, by their columns."""
    moves = Counter(f"faces_{outcome}" for outcome in after)
    moves.subtract(f"faces_{outcome}" for outcome in before)
    return Counter({column: faces for column, faces in moves.items() if faces})


def count_faces(session: Session, job_id: int | None) -> int:
    """Return how many faces jobs have counted, or one job: what is to be looked at, about."""
    counters = sum((getattr(Job, f"faces_{outcome}") for outcome in FaceOutcome), start=Job.id - Job.id)
    query = select(func.coalesce(func.sum(counters), 0))
    return int(session.scalar(query if job_id is None else query.where(Job.id == job_id)) or 0)


def jobs_with_faces(session: Session, job_id: int | None) -> list[int]:
    """Return the jobs that have faces, or may yet have some, the oldest first."""
    query = select(Job.id).where(or_(Job.items_faces > 0, _is_at_work())).order_by(Job.id)
    return list(session.scalars(query if job_id is None else query.where(Job.id == job_id)))


def jobs_at_work(session: Session, job_id: int | None) -> list[int]:
    """Return the jobs that workers may still add faces to."""
    query = select(Job.id).where(_is_at_work()).order_by(Job.id)
    return list(session.scalars(query if job_id is None else query.where(Job.id == job_id)))


def _is_at_work() -> ColumnElement[bool]:
    return Job.state.in_([JobState.RUNNING, JobState.PAUSED])


def labelled_photos_of(session: Session, page: StoredPage) -> dict[int, str]:
    """Return the photos of a page that somebody said something of: ordinals, each with the sha256 of its bytes."""
    rows = Bulk(session.connection()).fetch(
        "SELECT i.ordinal, i.sha256 FROM items i JOIN photos p ON p.sha256 = i.sha256 "
        "WHERE i.job_id = ? AND i.ordinal > ? AND i.ordinal <= ? "
        "AND EXISTS (SELECT 1 FROM labels l WHERE l.photo_id = p.id)",
        (page.job_id, page.after, page.until),
    )
    return {int(ordinal): str(sha256) for ordinal, sha256 in rows}
