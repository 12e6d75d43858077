"""The faces that are most worth a label, read outwards from where a model is least sure. Clusters: db/clusters.py.

Every question is bounded by an index and read in pages, each in a transaction of its own: an answer to one page may be
stored before the next is read.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, and_, select, tuple_
from sqlalchemy.orm import Session

from core.records import FaceOutcome, Verdict
from db.engine import Database
from db.ids import face_id, model_version
from db.merges import load_merges
from db.people import person_names
from db.redecide import FaceKey
from db.tables import ClusterFace, Face, Item, Job, Label, Model

NEAR = 0.05
"""How far from the threshold a similarity is near it. Two thirds of LFW's known people who get no name lie within it,
and nine tenths of the strangers who get one, learned from three photos (docs/decisions/0016-clusters.md)."""
_PAGE = 50
_LOWEST, _HIGHEST = -2.0, 2.0  # beyond any similarity


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
        thresholds = _thresholds(session)
    if reason is Reason.DISAGREEMENT:
        yield from _disagreements(database, thresholds, page)
        return
    scans = [scan for model in thresholds.items() for scan in _scans(database, reason, model, page)]
    yield from heapq.merge(*scans, key=_order(reason))


def still_open(session: Session, entry: FaceToReview) -> bool:
    """Say whether nobody has said anything of a face since it was read."""
    key = entry.key
    label = select(Face.label_id).where(
        Face.job_id == key.job_id, Face.ordinal == key.ordinal, Face.face_index == key.face_index
    )
    row = session.execute(label).one_or_none()
    return row is not None and row.label_id == entry.label_id


@dataclass(frozen=True, kw_only=True)
class _Scan:
    """A walk along the index `ix_faces_review`."""

    reason: Reason
    outcome: FaceOutcome
    model_id: int
    threshold: float
    low: float
    high: float
    """Similarities, both inclusive."""
    rising: bool
    """From the low end to the high, or the other way."""


def _scans(database: Database, reason: Reason, model: tuple[int, float], page: int) -> Iterator[Iterator[FaceToReview]]:
    """Return the walks that give the faces of a reason which one model decided about."""
    model_id, threshold = model
    spans = {
        Reason.AMBIGUOUS: [(FaceOutcome.AMBIGUOUS, _LOWEST, _HIGHEST, False)],
        Reason.NEAR_THRESHOLD: [
            (FaceOutcome.IDENTIFIED, _LOWEST, threshold + NEAR, True),
            (FaceOutcome.UNKNOWN, threshold - NEAR, _HIGHEST, False),
        ],
        Reason.UNKNOWN: [(FaceOutcome.UNKNOWN, _LOWEST, threshold - NEAR, False)],
    }
    for outcome, low, high, rising in spans[reason]:
        scan = _Scan(
            reason=reason,
            outcome=outcome,
            model_id=model_id,
            threshold=threshold,
            low=low,
            high=high,
            rising=rising,
        )
        yield _walk(database, scan, page)


def _order(reason: Reason) -> Callable[[FaceToReview], float]:
    """How the walks along several models are put together."""
    if reason is Reason.NEAR_THRESHOLD:
        return lambda entry: abs(entry.similarity - entry.threshold)
    return lambda entry: -entry.similarity


def _walk(database: Database, scan: _Scan, page: int) -> Iterator[FaceToReview]:
    after: Row[Any] | None = None
    while True:
        with database.read() as session:
            rows = list(session.execute(_query(scan, after).limit(page)))
            entries = _entries(session, rows, scan.reason, {scan.model_id: scan.threshold})
        yield from entries
        if len(rows) < page:
            return
        after = rows[-1]


def _query(scan: _Scan, after: Row[Any] | None) -> Any:
    place = (Face.similarity, Face.job_id, Face.ordinal, Face.face_index)
    query = _faces().where(
        Face.label_id.is_(None),
        Face.outcome == scan.outcome,
        Face.model_id == scan.model_id,
        Face.similarity.between(scan.low, scan.high),
    )
    if scan.reason is Reason.UNKNOWN:
        in_cluster = and_(
            ClusterFace.job_id == Face.job_id,
            ClusterFace.ordinal == Face.ordinal,
            ClusterFace.face_index == Face.face_index,
        )
        query = query.outerjoin(ClusterFace, in_cluster).where(ClusterFace.cluster_id.is_(None))
    if after is not None:
        past = tuple_(after.similarity, after.job_id, after.ordinal, after.face_index)
        query = query.where(tuple_(*place) > past if scan.rising else tuple_(*place) < past)
    return query.order_by(*(column if scan.rising else column.desc() for column in place))


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
            Item.decided_at > Label.created_at,
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
    sure = row.similarity is not None and row.similarity >= thresholds.get(row.model_id, _HIGHEST)
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
    wanted = {row.candidate_id for row in rows} | {other["person_id"] for other in others if other}
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
            runner_up=shown(other["person_id"]) if other else None,
            runner_up_similarity=other["similarity"] if other else None,
            threshold=thresholds[row.model_id],
            model=model_version(row.model_id),
            said=shown(row.said_id) if reason is Reason.DISAGREEMENT else None,
            label_id=row.label_id,
        )
        for row, other in zip(rows, others, strict=True)
    ]


def _runner_up(row: Row[Any], merges: Mapping[int, int]) -> dict[str, Any] | None:
    """Return the best of a face's ranking who is not the candidate."""
    candidate = merges.get(row.candidate_id, row.candidate_id)
    others = (ranked for ranked in row.top_k if merges.get(ranked["person_id"], ranked["person_id"]) != candidate)
    return next(others, None)


def _thresholds(session: Session) -> dict[int, float]:
    """Return the threshold of each model that has a reject rule."""
    threshold = Model.manifest["rule"]["threshold"].as_float()
    rows = session.execute(select(Model.id, threshold.label("threshold")))
    return {row.id: float(row.threshold) for row in rows if row.threshold is not None}
