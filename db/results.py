"""Results as users query them: one row a face, or one an item that shows none. Pages by key, never by offset."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, String, and_, bindparam, func, or_, select, true, tuple_
from sqlalchemy.orm import Session, aliased

from core.records import ItemOutcome, Verdict
from db.ids import face_id, model_version
from db.merges import load_merges, people_counted_as
from db.people import person_names
from db.tables import Face, Item, Job, Label, Person

PAGE = 1000

Conditions = Sequence[ColumnElement[bool]]


@dataclass(frozen=True, kw_only=True)
class ResultFilter:
    """Which results are wanted; every None wants all."""

    job_id: int | None = None
    person_id: int | None = None
    """Identified as this person, or as one who counts as the same."""
    outcome: str | None = None
    """An outcome of a face or of an item without a face."""
    model_id: int | None = None
    since: datetime | None = None
    """Decided at this time or later."""
    min_confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class FailureCount:
    """How many photos of a job ended in one way that is an error."""

    code: str
    """A stable code out of docs/errors.md."""
    photos: int
    message: str
    """What one of them says."""


def iter_results(
    session: Session, wanted: ResultFilter, limit: int | None = None, page_size: int = PAGE
) -> Iterator[dict[str, Any]]:
    """Yield result rows by job, item and face, a page in memory at a time.

    Merged people are shown, and found, as whom they count as.

    Each row is a dict with the keys that docs/cli.md lists under `results`; its values are JSON.
    """
    merges = load_merges(session)
    names = person_names(session, set(merges)) if merges else {}
    conditions = _conditions(wanted, merges)
    after: Row[Any] | None = None
    left = limit
    while left is None or left > 0:
        size = page_size if left is None else min(page_size, left)
        rows = _page(session, wanted, conditions, after, size)
        for row in rows:
            yield _as_dict(row, names)
        if len(rows) < size:
            return
        after = rows[-1]
        left = None if left is None else left - size


def find_photo_sha256(session: Session, job_public_id: str, ordinal: int) -> str | None:
    """Return the sha256 of a photo's bytes as they were looked at; None when nobody could read them."""
    query = select(Item.sha256).join(Job, Job.id == Item.job_id)
    return session.scalar(query.where(Job.public_id == job_public_id, Item.ordinal == ordinal))


# Faces that were decided about anew say so themselves, and their photo knows nothing of it.
_model_id = func.coalesce(Face.model_id, Item.model_id)
_decided_at = func.coalesce(Face.decided_at, Item.decided_at)
_person = aliased(Person)
_candidate = aliased(Person)


def _page(
    session: Session, wanted: ResultFilter, conditions: Conditions, after: Row[Any] | None, size: int
) -> list[Row[Any]]:
    """The first rows, or those after a row.

    What follows a row is asked as two plain ranges: the other faces of its photo, and the next photos. Asked as one
    condition with an OR, PostgreSQL 15 reads all that was passed already: 141 ms a page near the end of 200,000 rows.
    """
    if after is None:
        return list(session.execute(_query(wanted, conditions).limit(size)))
    rows: list[Row[Any]] = []
    if after.face_index is not None:
        here = and_(Item.job_id == after.job_id, Item.ordinal == after.ordinal, Face.face_index > after.face_index)
        rows = list(session.execute(_query(wanted, conditions).where(here).limit(size)))
    if len(rows) < size:
        rows += session.execute(_query(wanted, conditions, after).limit(size - len(rows)))
    return rows


def _query(wanted: ResultFilter, conditions: Conditions, past: Row[Any] | None = None) -> Any:
    """All results, or those of the photos past a row's."""
    return (
        select(
            Job.public_id,
            Item.job_id,
            Item.ordinal,
            Item.uri,
            Item.outcome.label("item_outcome"),
            Item.error_code,
            Item.error_message,
            _model_id.label("model_id"),
            _decided_at.label("decided_at"),
            # columns, not the entity: building Face objects took most of the time of a large export
            Face.face_index,
            Face.outcome.label("face_outcome"),
            Face.x1,
            Face.y1,
            Face.x2,
            Face.y2,
            Face.confidence,
            Face.similarity,
            Face.quality,
            Face.quality_reasons,
            Face.person_id,
            Face.candidate_id,
            _person.name.label("person"),
            _candidate.name.label("candidate"),
            Label.verdict.label("label_verdict"),
            Label.author.label("label_author"),
            Label.created_at.label("label_at"),
        )
        .join(Job, Job.id == Item.job_id)
        .outerjoin(
            Face, and_(Face.job_id == Item.job_id, Face.ordinal == Item.ordinal, _is_past(Face, wanted, past))
        )  # the faces' own bound follows from the items'; PostgreSQL does not see that
        .outerjoin(_person, _person.id == Face.person_id)
        .outerjoin(_candidate, _candidate.id == Face.candidate_id)
        .outerjoin(Label, Label.id == Face.label_id)
        .where(Item.outcome.is_not(None), _is_past(Item, wanted, past), *conditions)
        .order_by(Item.job_id, Item.ordinal, Face.face_index)
    )


def _is_past(table: type[Item] | type[Face], wanted: ResultFilter, row: Row[Any] | None) -> ColumnElement[bool]:
    """Whether a photo comes after a row's, in words that bound an index."""
    if row is None:
        return true()
    job_id, ordinal = int(row.job_id), int(row.ordinal)
    if wanted.job_id is not None:
        return table.ordinal > ordinal
    return tuple_(table.job_id, table.ordinal) > tuple_(job_id, ordinal)


def _conditions(wanted: ResultFilter, merges: Mapping[int, int]) -> Conditions:
    """The filter as SQL."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.job_id is not None:
        conditions.append(Item.job_id == wanted.job_id)
    if wanted.person_id is not None:
        one, *others = people_counted_as(merges, wanted.person_id)
        conditions.append(Face.person_id.in_([one, *others]) if others else Face.person_id == one)
    if wanted.outcome in {ItemOutcome.NO_FACE, ItemOutcome.ERROR}:
        conditions.append(has_outcome(ItemOutcome(wanted.outcome)))
    elif wanted.outcome is not None:
        conditions.append(Face.outcome == wanted.outcome)
    if wanted.model_id is not None:
        conditions.append(_model_id == wanted.model_id)
    if wanted.since is not None:
        conditions.append(_decided_at >= wanted.since)
    if wanted.min_confidence is not None:
        conditions.append(or_(Face.confidence >= wanted.min_confidence, Label.verdict == Verdict.IS))
    return conditions


def has_outcome(outcome: ItemOutcome) -> ColumnElement[bool]:
    """An item's outcome, spelled out in the SQL: SQLite uses a partial index only when it can read its condition."""
    return Item.outcome == bindparam(None, outcome, String, literal_execute=True)


def count_failures(session: Session, job_id: int) -> list[FailureCount]:
    """Return the error codes of a job's items, the most frequent first."""
    photos = func.count().label("photos")
    found = session.execute(
        select(Item.error_code, photos, func.min(Item.error_message).label("message"))
        .where(Item.job_id == job_id, has_outcome(ItemOutcome.ERROR))
        .group_by(Item.error_code)
        .order_by(photos.desc(), Item.error_code)
    )
    return [FailureCount(code=row.error_code, photos=row.photos, message=row.message) for row in found]


def _as_dict(row: Row[Any], names: Mapping[int, str]) -> dict[str, Any]:
    """One result as users see it; `names` are those of merged people."""
    shows_face = row.face_index is not None
    label = None
    if row.label_verdict is not None:
        label = {"verdict": row.label_verdict, "author": row.label_author, "at": row.label_at.isoformat()}
    error = {"code": row.error_code, "message": row.error_message} if row.error_code else None
    return {
        "job": row.public_id,
        "item": row.ordinal,
        "uri": row.uri,
        "outcome": row.face_outcome if shows_face else row.item_outcome,
        "face": face_id(row.public_id, row.ordinal, row.face_index) if shows_face else None,
        "box": [row.x1, row.y1, row.x2, row.y2] if shows_face else None,
        "person": names.get(row.person_id, row.person),
        "candidate": names.get(row.candidate_id, row.candidate),
        "confidence": 1.0 if row.label_verdict == Verdict.IS else row.confidence,
        "similarity": row.similarity,
        "quality": {"score": row.quality, "reasons": row.quality_reasons} if shows_face else None,
        "label": label,
        "model": model_version(row.model_id) if row.model_id else None,
        "decided_at": row.decided_at.isoformat() if row.decided_at else None,
        "error": error,
    }
