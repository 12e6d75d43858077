"""What a model says beside the active one: stored apart from what is decided, counted, and listed where both differ."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from core.faces.agreement import ScoredFace
from core.records import Agreement, ErrorRecord, FaceOutcome, FaceResult
from db.bulk import Bulk
from db.ids import face_id
from db.merges import load_merges
from db.people import person_names
from db.tables import Face, Item, Job, ShadowChunk, ShadowFace
from db.upsert import insert_if_absent

_COLUMNS = (
    "model_id",
    "job_id",
    "ordinal",
    "number",
    "agreement",
    "face_index",
    "x1",
    "y1",
    "x2",
    "y2",
    "outcome",
    "person_id",
    "similarity",
    "active_outcome",
    "active_person_id",
    "active_similarity",
)


@dataclass(frozen=True, kw_only=True)
class ChunkScore:
    """What a model beside the active one says of a chunk."""

    model_id: int
    active_id: int
    """The model that decided the chunk."""
    chunk_id: int
    job_id: int
    photos: int
    seconds: float
    """What scoring took."""
    faces: Sequence[tuple[int, Sequence[ScoredFace]]] = ()
    """By photo: its ordinal, and its faces."""
    error: ErrorRecord | None = None
    """Why there are none."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A face of which the two models say different things."""

    face: str | None
    """Its id; None when the active model did not find it."""
    job: str
    item: int
    uri: str
    agreement: Agreement
    box_xyxy_px: tuple[float, float, float, float]
    active: str | None
    """The name that the active model gave, or its outcome; None when it did not find the face."""
    shadow: str | None
    """The same of the other one."""
    active_similarity: float | None
    shadow_similarity: float | None


@dataclass(frozen=True, kw_only=True)
class ShadowReport:
    """How far a model agreed with the ones that decided, over all chunks that it scored."""

    chunks: int
    photos: int
    seconds: float
    first_at: datetime | None
    last_at: datetime | None
    failed_chunks: int
    """That it could not score."""
    last_failure: ErrorRecord | None
    active_ids: tuple[int, ...]
    """The models that decided them."""
    faces: dict[Agreement, int]

    @property
    def agreed(self) -> float | None:
        """The share of faces of which both say the same, 0..1; None when there are none."""
        total = sum(self.faces.values())
        return self.faces[Agreement.SAME] / total if total else None


def store_score(session: Session, score: ChunkScore, now: datetime) -> None:
    """Store what a model says of a chunk, once."""
    values = {
        "model_id": score.model_id,
        "chunk_id": score.chunk_id,
        "active_id": score.active_id,
        "photos": score.photos,
        "seconds": score.seconds,
        "error_code": score.error.code if score.error else None,
        "error_message": score.error.message if score.error else None,
        "at": now,
    }
    if insert_if_absent(session, ShadowChunk, values):
        Bulk(session.connection()).insert(ShadowFace, _COLUMNS, set(), _rows(score, load_merges(session)))


def read_report(session: Session, model_id: int) -> ShadowReport:
    """Count what a model said beside the active one."""
    of_model = ShadowChunk.model_id == model_id
    chunks = session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(ShadowChunk.photos), 0),
            func.coalesce(func.sum(ShadowChunk.seconds), 0.0),
            func.min(ShadowChunk.at),
            func.max(ShadowChunk.at),
            func.count(ShadowChunk.error_code),
        ).where(of_model)
    ).one()
    failed = session.scalars(
        select(ShadowChunk)
        .where(of_model, ShadowChunk.error_code.is_not(None))
        .order_by(ShadowChunk.at.desc())
        .limit(1)
    ).first()
    counts = session.execute(
        select(ShadowFace.agreement, func.count()).where(ShadowFace.model_id == model_id).group_by(ShadowFace.agreement)
    )
    found = {Agreement(agreement): count for agreement, count in counts}
    count, photos, seconds, first_at, last_at, failures = chunks
    return ShadowReport(
        chunks=count,
        photos=photos,
        seconds=seconds,
        first_at=first_at,
        last_at=last_at,
        failed_chunks=failures,
        last_failure=ErrorRecord(code=failed.error_code or "", message=failed.error_message or "") if failed else None,
        active_ids=tuple(session.scalars(select(ShadowChunk.active_id).where(of_model).distinct())),
        faces={agreement: found.get(agreement, 0) for agreement in Agreement},
    )


def list_differences(session: Session, model_id: int, limit: int) -> list[Difference]:
    """Return faces of which a model and the active one say different things, of the newest jobs first."""
    query = (
        select(ShadowFace, Item.uri, Job.public_id)
        .join(Item, and_(Item.job_id == ShadowFace.job_id, Item.ordinal == ShadowFace.ordinal))
        .join(Job, Job.id == ShadowFace.job_id)
        .where(ShadowFace.model_id == model_id, ShadowFace.agreement != Agreement.SAME)
        .order_by(ShadowFace.job_id.desc(), ShadowFace.ordinal, ShadowFace.number)
        .limit(limit)
    )
    rows = session.execute(query).all()
    people = {id_ for face, _, _ in rows for id_ in (face.person_id, face.active_person_id) if id_ is not None}
    names = person_names(session, people)
    return [
        Difference(
            face=None if face.face_index is None else face_id(job, face.ordinal, face.face_index),
            job=job,
            item=face.ordinal,
            uri=uri,
            agreement=Agreement(face.agreement),
            box_xyxy_px=(face.x1, face.y1, face.x2, face.y2),
            active=_said(names, face.active_person_id, face.active_outcome),
            shadow=_said(names, face.person_id, face.outcome),
            active_similarity=face.active_similarity,
            shadow_similarity=face.similarity,
        )
        for face, uri, job in rows
    ]


def count_decided(session: Session, model_id: int) -> Counter[FaceOutcome]:
    """Return how many faces a model decided about that nobody has labelled, by outcome."""
    decided: Counter[FaceOutcome] = Counter()
    for outcome in FaceOutcome:  # one at a time: each is a part of an index
        of_model = (Face.outcome == outcome, Face.model_id == model_id, Face.label_id.is_(None))
        decided[outcome] = session.scalar(select(func.count()).select_from(Face).where(*of_model)) or 0
    return decided


def _rows(score: ChunkScore, counts_as: dict[int, int]) -> Iterator[tuple[Any, ...]]:
    """The _COLUMNS of every face."""
    for ordinal, faces in score.faces:
        for number, face in enumerate(faces):
            shown = face.shadow or face.active
            if shown is None:
                raise ValueError(f"face {number} of photo {ordinal} was found by neither model")
            yield (
                score.model_id,
                score.job_id,
                ordinal,
                number,
                face.agreement(counts_as).value,
                None if face.active is None else face.active.index,
                *shown.box_xyxy_px,
                *_answer(face.shadow),
                *_answer(face.active),
            )


def _answer(face: FaceResult | None) -> tuple[str | None, int | None, float | None]:
    return (None, None, None) if face is None else (face.outcome.value, face.person_id, face.similarity)


def _said(names: dict[int, str], person_id: int | None, outcome: str | None) -> str | None:
    return names.get(person_id) if person_id is not None else outcome
