"""Results as users query them: one row a face, or one an item that shows none. Pages by key, never by offset."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from core.errors import InputError
from core.records import FaceOutcome, ItemOutcome
from db.ids import face_id, model_version
from db.tables import Face, Item, Job, Person

PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class ResultFilter:
    """Which results are wanted; every None wants all."""

    job_id: int | None = None
    person_id: int | None = None
    """Identified as this person."""
    outcome: str | None = None
    """An outcome of a face or of an item without a face."""
    model_id: int | None = None
    since: datetime | None = None
    """Decided at this time or later."""
    min_confidence: float | None = None


def check_outcome(outcome: str) -> str:
    """Return `outcome` when results can have it.

    Raises:
        InputError: they cannot.
    """
    allowed = [*FaceOutcome, ItemOutcome.NO_FACE, ItemOutcome.ERROR]
    if outcome not in allowed:
        raise InputError(f"No result has the outcome {outcome!r}. Choose one of: {', '.join(allowed)}.")
    return outcome


def iter_results(session: Session, wanted: ResultFilter, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield result rows by job, item and face, a page of PAGE in memory at a time.

    Each row is a dict with the keys that docs/cli.md lists under `results`; its values are JSON.
    """
    after: tuple[int, int, int] | None = None
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        rows = session.execute(_page(wanted, after, size)).all()
        for row in rows:
            yield _as_dict(row)
        if len(rows) < size:
            return
        last = rows[-1]
        after = (last.job_id, last.ordinal, last.face_index if last.face_index is not None else -1)
        left = None if left is None else left - size


_person = aliased(Person)
_candidate = aliased(Person)


def _page(wanted: ResultFilter, after: tuple[int, int, int] | None, size: int) -> Any:
    """The query of one page."""
    query: Any = (
        select(
            Job.public_id,
            Item.job_id,
            Item.ordinal,
            Item.uri,
            Item.outcome.label("item_outcome"),
            Item.error_code,
            Item.error_message,
            Item.model_id,
            Item.decided_at,
            Face,
            Face.face_index,
            _person.name.label("person"),
            _candidate.name.label("candidate"),
        )
        .join(Job, Job.id == Item.job_id)
        .outerjoin(Face, and_(Face.job_id == Item.job_id, Face.ordinal == Item.ordinal))
        .outerjoin(_person, _person.id == Face.person_id)
        .outerjoin(_candidate, _candidate.id == Face.candidate_id)
        .where(Item.outcome.is_not(None), *_conditions(wanted))
        .order_by(Item.job_id, Item.ordinal, Face.face_index)
        .limit(size)
    )
    if after is None:
        return query
    job_id, ordinal, face_index = after
    later = tuple_(Item.job_id, Item.ordinal) > tuple_(job_id, ordinal)
    same = and_(Item.job_id == job_id, Item.ordinal == ordinal, Face.face_index > face_index)
    return query.where(or_(later, same))


def _conditions(wanted: ResultFilter) -> list[Any]:
    """The filter as SQL."""
    conditions: list[Any] = []
    if wanted.job_id is not None:
        conditions.append(Item.job_id == wanted.job_id)
    if wanted.person_id is not None:
        conditions.append(Face.person_id == wanted.person_id)
    if wanted.outcome in {ItemOutcome.NO_FACE, ItemOutcome.ERROR}:
        conditions.append(Item.outcome == wanted.outcome)
    elif wanted.outcome is not None:
        conditions.append(Face.outcome == wanted.outcome)
    if wanted.model_id is not None:
        conditions.append(Item.model_id == wanted.model_id)
    if wanted.since is not None:
        conditions.append(Item.decided_at >= wanted.since)
    if wanted.min_confidence is not None:
        conditions.append(Face.confidence >= wanted.min_confidence)
    return conditions


def _as_dict(row: Row[Any]) -> dict[str, Any]:
    """One result as users see it."""
    face: Face | None = row.Face
    error = {"code": row.error_code, "message": row.error_message} if row.error_code else None
    return {
        "job": row.public_id,
        "item": row.ordinal,
        "uri": row.uri,
        "outcome": face.outcome if face else row.item_outcome,
        "face": face_id(row.public_id, row.ordinal, face.face_index) if face else None,
        "box": [face.x1, face.y1, face.x2, face.y2] if face else None,
        "person": row.person,
        "candidate": row.candidate,
        "confidence": face.confidence if face else None,
        "similarity": face.similarity if face else None,
        "quality": {"score": face.quality, "reasons": face.quality_reasons} if face else None,
        "model": model_version(row.model_id) if row.model_id else None,
        "decided_at": row.decided_at.isoformat() if row.decided_at else None,
        "error": error,
    }
