"""Stored faces in pages, for another model to decide about anew: what it needs of them, and what it makes of them.

A page is written in one transaction, in which what was read of it must still hold. Which of its faces bear the model's
number says how far it is; a page that is read again after it was written holds nothing. What is decided is decided in
core/faces/rescore.py.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from core.records import FaceOutcome, JobState
from db.bulk import Bulk
from db.outcomes import count_outcomes
from db.tables import Face, Job
from db.zones import SUREST, tell_rescored

PAGE_FACES = 16_384
"""Faces of one transaction, about: some 0.2 s of a SQLite file's one writer. Of a smaller page each index entry that is
written costs more of the disk, as fewer of them share a block."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredPage:
    """Faces of some photos of a job, as columns: entry n of each is of one face. By photo and face."""

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
    asked_about: list[bool]
    """Whether the review asks about the face for what its model made of it."""
    vectors: bytes
    """All embeddings, one after the other: float16 [N, D], little-endian."""
    without_embedding: int
    """Faces of these photos that are not here, because there is no embedding of the backbone to decide about."""

    def __len__(self) -> int:
        return len(self.ordinals)


@dataclass(frozen=True, kw_only=True, eq=False)
class NewOutcomes:
    """What the rows of a page's faces hold from now on, as columns."""

    outcomes: list[str]
    person_ids: list[int | None]
    candidate_ids: list[int | None]
    similarities: list[float | None]
    confidences: list[float | None]
    rankings: list[bytes]
    """As they are stored: db/rankings.py."""
    label_ids: list[int | None]
    review_orders: list[float | None]
    """db/review_order.py"""

    def __len__(self) -> int:
        return len(self.outcomes)


def read_page(
    session: Session,
    job_id: int,
    after: int,
    *,
    backbone_sha256: str,
    dim: int,
    without_model: int | None,
    until: int | None = None,
    limit: int = PAGE_FACES,
) -> StoredPage | None:
    """Return the faces of the next photos of a job; None when there are no more.

    Faces and embeddings are read each for itself. Of a job that is younger than its statistics PostgreSQL expects one
    row, and would join two such ranges row by row: 4,096 times 4,096.

    Args:
        session: any session.
        job_id: the job.
        after: the ordinal at which the page before ended; -1 for the first page.
        backbone_sha256: whose embeddings are wanted.
        dim: D, the length of those.
        without_model: leave out faces that this model has decided about; None wants all.
        until: the ordinal at which it ends at the latest.
        limit: faces at most, but for those of the last photo, which are all there.
    """
    bulk = Bulk(session.connection())
    wanted = f"f.job_id = {job_id:d}"
    if without_model is not None:
        wanted += f" AND f.model_id <> {without_model:d}"
    if until is not None:
        wanted += f" AND f.ordinal <= {until:d}"
    columns = _read_faces(bulk, f"{wanted} AND f.ordinal > {after:d}", limit)
    if not columns[0]:
        return None
    last, last_index = columns[0][-1], columns[1][-1]
    if len(columns[0]) == limit:
        rest = _read_faces(bulk, f"{wanted} AND f.ordinal = {last:d} AND f.face_index > {last_index:d}", -1)
        columns = [column + more for column, more in zip(columns, rest, strict=True)]
    keys, vectors = bulk.fetch_columns(
        ("ordinal", "face_index"),
        "SELECT ordinal, face_index, vector FROM embeddings WHERE job_id = ? AND ordinal > ? AND ordinal <= ? "
        "AND backbone_sha256 = ? AND length(vector) = ? ORDER BY ordinal, face_index",
        (job_id, after, last, bytes.fromhex(backbone_sha256), 2 * dim),
        joined="vector",
    )
    kept, vectors = _with_vectors(columns, keys, vectors, 2 * dim)
    ordinals, indices, outcomes, people, labels, models, low, asked_about = kept
    return StoredPage(
        job_id=job_id,
        after=after,
        until=last,
        ordinals=ordinals,
        face_indices=indices,
        outcomes=outcomes,
        person_ids=people,
        label_ids=labels,
        model_ids=models,
        low_quality=list(map(bool, low)),
        asked_about=list(map(bool, asked_about)),
        vectors=vectors,
        without_embedding=len(columns[0]) - len(ordinals),
    )


def _read_faces(bulk: Bulk, wanted: str, limit: int) -> list[list[Any]]:
    """Return the columns of faces, by photo and face; -1 wants all."""
    bound = "" if limit < 0 else f"LIMIT {limit:d}"
    columns, _ = bulk.fetch_columns(
        ("ordinal", "face_index", "outcome", "person_id", "label_id", "model_id", "low", "asked_about"),
        "SELECT f.ordinal, f.face_index, f.outcome, f.person_id, f.label_id, f.model_id, "  # noqa: S608
        f"f.quality_reasons <> {bulk.json_mark} AS low, f.review_order IS NOT NULL AS asked_about FROM faces f "
        f"WHERE {wanted} ORDER BY f.ordinal, f.face_index {bound}",
        ("[]",),
    )
    return columns


def _with_vectors(
    columns: list[list[Any]], keys: list[list[Any]], vectors: bytes, size: int
) -> tuple[list[list[Any]], bytes]:
    """Return the columns of those faces that have an embedding, and their embeddings."""
    if columns[:2] == keys:
        return columns, vectors
    starts = {key: row * size for row, key in enumerate(zip(*keys, strict=True))}
    found = [starts.get(key) for key in zip(*columns[:2], strict=True)]
    kept = [[value for value, start in zip(column, found, strict=True) if start is not None] for column in columns]
    return kept, b"".join([vectors[start : start + size] for start in found if start is not None])


def write_page(
    session: Session,
    page: StoredPage,
    new: NewOutcomes,
    model_id: int,
    now: datetime,
    reasons: Mapping[int, Sequence[str]] | None = None,
) -> bool:
    """Store what a model makes of a page's faces, and count it on their job, in the caller's transaction.

    Args:
        session: a write session, in which corrections are held still, and none was made since the page was read.
        page: as it was read.
        new: one entry a face, in the same order.
        model_id: the model.
        now: aware time.
        reasons: quality reasons of faces, by row, where they are others than are stored.

    Returns:
        False when one of the faces was decided about under another model since they were read: the caller's transaction
        must be rolled back, and the page read again.
    """
    bulk = Bulk(session.connection())
    if len(page) and _write_faces(bulk, page, new, model_id, now) != len(page):
        return False
    _write_reasons(session, page, reasons or {})
    _tell_chunks(session, page, new, model_id, now)
    if moves := _moves(page.outcomes, new.outcomes):
        count_outcomes(session, page.job_id, moves, now)
    return True


def _write_faces(bulk: Bulk, page: StoredPage, new: NewOutcomes, model_id: int, now: datetime) -> int:
    """Update the rows of faces that are still as they were read; return how many.

    Those that are found where they were, which after a retrain are nearly all, are written without the columns that
    indexes are of: SQLite compares each index entry that it might have to change, for a third of a row's time.
    """
    stays = _stays(page, new)
    moves = [not stay for stay in stays]
    moved: dict[str, Sequence[Any]] = {
        "outcome": new.outcomes,
        "person_id": new.person_ids,
        "label_id": new.label_ids,
        "review_order": new.review_orders,
    }
    decided: dict[str, Sequence[Any]] = {
        "candidate_id": new.candidate_ids,
        "similarity": new.similarities,
        "confidence": new.confidences,
        "ranking": new.rankings,
    }
    written = _write_columns(bulk, page, decided | moved, moves, model_id, now)
    # All that this model has not decided about by now are those that stay.
    return written + _write_columns(bulk, page, decided, stays, model_id, now, the_rest=not page.without_embedding)


def _stays(page: StoredPage, new: NewOutcomes) -> list[bool]:
    """Say of each face whether all that rows are looked up by is as before."""
    asked = zip(page.asked_about, new.review_orders, strict=True)
    before = zip(page.outcomes, page.person_ids, page.label_ids, strict=True)
    after = zip(new.outcomes, new.person_ids, new.label_ids, strict=True)
    return [
        was == now and not was_asked and order is None
        for was, now, (was_asked, order) in zip(before, after, asked, strict=True)
    ]


def _write_columns(
    bulk: Bulk,
    page: StoredPage,
    values: Mapping[str, Sequence[Any]],
    chosen: Sequence[bool],
    model_id: int,
    now: datetime,
    *,
    the_rest: bool = False,
) -> int:
    """Update some columns of those faces that are chosen; return how many rows bear the model that was read.

    Whoever gives a stored face another outcome either says something of it, which the caller looks for, or decides
    under another model.

    Args:
        the_rest: they are all faces of these photos that the model has not decided about.
    """
    if not any(chosen):
        return 0

    def of_chosen(columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        return {name: list(compress(column, chosen)) for name, column in columns.items()}

    within = f"faces.job_id = {page.job_id} AND faces.ordinal > {page.after} AND faces.ordinal <= {page.until}"
    return bulk.update_unchanged(
        Face,
        values=of_chosen(values),
        same={"model_id": f"{model_id:d}", "decided_at": f"'{bulk.time(now)}'", "top_k": "'[]'"},
        keys=of_chosen({"ordinal": page.ordinals, "face_index": page.face_indices}),
        unchanged=of_chosen({"model_id": page.model_ids}),
        within=f"{within} AND faces.model_id <> {model_id:d}" if the_rest else within,
        all_within=the_rest,
    )


def _tell_chunks(session: Session, page: StoredPage, new: NewOutcomes, model_id: int, now: datetime) -> None:
    """Say of the chunks of a page's photos what their results can hold now. What a label names is as sure as can be."""
    if not len(page):
        return
    bears = zip(new.confidences, new.label_ids, strict=True)
    tell_rescored(
        session,
        page.job_id,
        range(page.after + 1, page.until + 1),
        ordinals=page.ordinals,
        outcomes=new.outcomes,
        confidences=[(confidence or 0.0) if label is None else SUREST for confidence, label in bears],
        model_id=model_id,
        now=now,
        all_of_them=not page.without_embedding,
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
    moves = Counter(after)
    moves.subtract(Counter(before))
    return Counter({f"faces_{outcome}": faces for outcome, faces in moves.items() if faces})


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
