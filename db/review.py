"""The faces that are most worth a label, read outwards from where a model is least sure. Clusters: db/clusters.py.

Every question is bounded by an index and read in pages, each in a transaction of its own: an answer to one page may be
stored before the next is read.
"""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, String, and_, bindparam, func, select, tuple_
from sqlalchemy.orm import Session

from core.records import FaceOutcome, RankedPerson, Verdict
from db.engine import Database
from db.ids import face_id, model_version
from db.merges import load_merges
from db.people import person_names
from db.rankings import ranking_of
from db.redecide import FaceKey
from db.tables import ClusterFace, Face, Item, Job, Label, Model

_PAGE = 50


class Reason(StrEnum):
    """Why a face is worth a label; the most first."""

    DISAGREEMENT = "disagreement"  # since a person named it, a model would give it another name
    AMBIGUOUS = "ambiguous"  # two people are too close to tell apart
    NEAR_THRESHOLD = "near_threshold"  # a little more or less similarity would have changed the outcome
    UNKNOWN = "unknown"  # nobody is near, and it looks like no other face without a name


@dataclass(frozen=True, kw_only=True)
class FaceToReview:
    """A face, and what a person needs to know to say who it is."""

    key: FaceKey
    face: str
    """The id that people see."""
    reason: Reason
    uri: str
    """Of its photo."""
    sha256: str | None
    box_xyxy_px: tuple[float, float, float, float]
    outcome: FaceOutcome
    candidate_id: int | None
    candidate: str | None
    """The nearest person."""
    similarity: float
    order: float
    """Its place among the faces of its outcome; 0 where that is not the reason."""
    runner_up: str | None
    runner_up_similarity: float | None
    threshold: float
    """Of the model that decided."""
    model: str
    said: str | None
    """Who a person said it is; None where nobody has."""
    label_id: int | None
    """The label that bears on it."""


def faces_to_review(database: Database, reason: Reason, page: int = _PAGE) -> Iterator[FaceToReview]:
    """Yield the faces of a reason, the most worth first. Reads a page when it is asked for.

    Args:
        database: asked in transactions of its own.
        reason: which.
        page: how many faces are read at once.
    """
    with database.read() as session:
        models = session.execute(select(Model.id, Model.threshold))
        thresholds = {row.id: row.threshold for row in models if row.threshold is not None}
    if reason is Reason.DISAGREEMENT:
        yield from _disagreements(database, thresholds, page)
    elif reason is Reason.UNKNOWN:
        yield from _walk(database, reason, _unknown(list(thresholds)), _NEWEST_FIRST, thresholds, page)
    else:
        walks = [_walk(database, reason, _asked(each), _IN_ORDER, thresholds, page) for each in _OUTCOMES[reason]]
        yield from heapq.merge(*walks, key=lambda entry: entry.order)


def still_open(session: Session, entry: FaceToReview) -> bool:
    """Say whether nobody has said anything of a face since it was read."""
    key = entry.key
    label = select(Face.label_id).where(
        Face.job_id == key.job_id, Face.ordinal == key.ordinal, Face.face_index == key.face_index
    )
    row = session.execute(label).one_or_none()
    return row is not None and row.label_id == entry.label_id


_OUTCOMES = {
    Reason.AMBIGUOUS: [FaceOutcome.AMBIGUOUS],
    Reason.NEAR_THRESHOLD: [FaceOutcome.IDENTIFIED, FaceOutcome.UNKNOWN],
}
_PLACE = (Face.job_id, Face.ordinal, Face.face_index)
_IN_ORDER = (Face.review_order, *_PLACE)
_NEWEST_FIRST = tuple(column.desc() for column in _PLACE)


def _asked(outcome: FaceOutcome) -> Any:
    """Faces of an outcome that are asked about for what their model made of them."""
    return _faces().where(Face.label_id.is_(None), Face.review_order.is_not(None), _is(outcome))


def _unknown(model_ids: Sequence[int]) -> Any:
    """Unknown faces that are near no threshold and in no cluster."""
    in_cluster = and_(
        ClusterFace.job_id == Face.job_id,
        ClusterFace.ordinal == Face.ordinal,
        ClusterFace.face_index == Face.face_index,
    )
    return (
        _faces()
        .outerjoin(ClusterFace, in_cluster)
        .where(
            Face.label_id.is_(None),
            _is(FaceOutcome.UNKNOWN),
            Face.review_order.is_(None),
            Face.similarity.is_not(None),
            Face.model_id.in_(model_ids),
            ClusterFace.cluster_id.is_(None),
        )
    )


def _is(outcome: FaceOutcome) -> ColumnElement[bool]:
    """A face's outcome, spelled out in the SQL: SQLite uses a partial index only when it can read its condition."""
    return Face.outcome == bindparam(None, outcome, String, literal_execute=True)


def _walk(
    database: Database,
    reason: Reason,
    query: Any,
    order: Sequence[Any],
    thresholds: Mapping[int, float],
    page: int,
) -> Iterator[FaceToReview]:
    """Yield the faces of a query along an index, by pages that follow each other."""
    after: Row[Any] | None = None
    while True:
        following = query if after is None else query.where(_is_past(order, after))
        with database.read() as session:
            rows = list(session.execute(following.order_by(*order).limit(page)))
            entries = _entries(session, rows, reason, thresholds)
        yield from entries
        if len(rows) < page:
            return
        after = rows[-1]


def _is_past(order: Sequence[Any], row: Row[Any]) -> ColumnElement[bool]:
    """Whether a face comes after a row's."""
    if order is _NEWEST_FIRST:
        return tuple_(*_PLACE) < tuple_(row.job_id, row.ordinal, row.face_index)
    return tuple_(*order) > tuple_(row.review_order, row.job_id, row.ordinal, row.face_index)


def _disagreements(database: Database, thresholds: Mapping[int, float], page: int) -> Iterator[FaceToReview]:
    """Yield named faces which a model decided about since, and would have named otherwise; the newest labels first."""
    after: Row[Any] | None = None
    place = (Face.label_id, Face.job_id, Face.ordinal, Face.face_index)
    while True:
        query = _faces(Label.person_id.label("said_id")).join(Label, Label.id == Face.label_id)
        query = query.where(
            Face.label_id.is_not(None),
            Label.verdict == Verdict.IS,
            Face.candidate_id != Label.person_id,
            func.coalesce(Face.decided_at, Item.decided_at) > Label.created_at,
        )
        if after is not None:
            query = query.where(tuple_(*place) < tuple_(*(getattr(after, column.key) for column in place)))
        with database.read() as session:
            rows = list(session.execute(query.order_by(*(column.desc() for column in place)).limit(page)))
            merges = load_merges(session)
            apart = [row for row in rows if _differ(row, merges, thresholds)]
            entries = _entries(session, apart, Reason.DISAGREEMENT, thresholds)
        yield from entries
        if len(rows) < page:
            return
        after = rows[-1]


def _differ(row: Row[Any], merges: Mapping[int, int], thresholds: Mapping[int, float]) -> bool:
    """Whether a model would give a face another name than a person did."""
    sure = row.similarity is not None and row.similarity >= thresholds.get(row.model_id, math.inf)
    return sure and merges.get(row.candidate_id, row.candidate_id) != merges.get(row.said_id, row.said_id)


def _faces(*more: Any) -> Any:
    return (
        select(
            Face.job_id,
            Face.ordinal,
            Face.face_index,
            Job.public_id,
            Item.uri,
            Item.sha256,
            Face.x1,
            Face.y1,
            Face.x2,
            Face.y2,
            Face.outcome,
            Face.candidate_id,
            Face.similarity,
            Face.review_order,
            Face.ranking,
            Face.top_k,
            Face.model_id,
            Face.label_id,
            *more,
        )
        .join(Item, and_(Item.job_id == Face.job_id, Item.ordinal == Face.ordinal))
        .join(Job, Job.id == Face.job_id)
    )


def _entries(
    session: Session, rows: list[Row[Any]], reason: Reason, thresholds: Mapping[int, float]
) -> list[FaceToReview]:
    """Turn rows into entries, people into their current names."""
    merges = load_merges(session)
    others = [_runner_up(row, merges) for row in rows]
    wanted = {row.candidate_id for row in rows} | {other.person_id for other in others if other}
    wanted |= {row.said_id for row in rows if reason is Reason.DISAGREEMENT}
    counted = {merges.get(person_id, person_id) for person_id in wanted if person_id is not None}
    names = person_names(session, counted)

    def shown(person_id: int | None) -> str | None:
        return None if person_id is None else names.get(merges.get(person_id, person_id))

    return [
        FaceToReview(
            key=FaceKey(job_id=row.job_id, ordinal=row.ordinal, face_index=row.face_index),
            face=face_id(row.public_id, row.ordinal, row.face_index),
            reason=reason,
            uri=row.uri,
            sha256=row.sha256,
            box_xyxy_px=(row.x1, row.y1, row.x2, row.y2),
            outcome=FaceOutcome(row.outcome),
            candidate_id=merges.get(row.candidate_id, row.candidate_id),
            candidate=shown(row.candidate_id),
            similarity=row.similarity,
            order=row.review_order or 0.0,
            runner_up=shown(other.person_id) if other else None,
            runner_up_similarity=other.similarity if other else None,
            threshold=thresholds[row.model_id],
            model=model_version(row.model_id),
            said=shown(row.said_id) if reason is Reason.DISAGREEMENT else None,
            label_id=row.label_id,
        )
        for row, other in zip(rows, others, strict=True)
    ]


def _runner_up(row: Row[Any], merges: Mapping[int, int]) -> RankedPerson | None:
    """Return the best of a face's ranking who is not the candidate."""
    candidate = merges.get(row.candidate_id, row.candidate_id)
    others = (ranked for ranked in ranking_of(row) if merges.get(ranked.person_id, ranked.person_id) != candidate)
    return next(others, None)
