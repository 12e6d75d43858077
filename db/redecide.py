"""Stored outcomes brought in line with a correction: of the faces that it was made on, and of those that it bore on.

Faces whose photo nobody had spoken of when they were stored, and that are not named now, stay as they are: photos are
not looked up by their bytes, as an index of them would be larger than many a ledger.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, select, tuple_, update
from sqlalchemy.orm import Session

from core.faces.corrections import correct, face_box, faces_alone
from core.faces.rule import RejectRule
from core.records import FaceOutcome, FaceResult
from db.bulk import in_pages
from db.corrections import Corrections, load_rule
from db.outcomes import add_to_counters
from db.rankings import ranking_of
from db.review_order import review_order
from db.tables import Face, Item, Label, Photo
from db.zones import widen

_PAGE = 500
_Place = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class FaceKey:
    """A stored face."""

    job_id: int
    ordinal: int
    """Of its photo in the job."""
    face_index: int


@dataclass(frozen=True, kw_only=True)
class StoredFace:
    """A face as it is stored."""

    key: FaceKey
    sha256: str
    """Of its photo's bytes."""
    uri: str
    face: FaceResult
    model_id: int
    label_id: int | None
    """The label that bore on it when it was decided."""
    alone: bool
    """Whether it is the only face of its photo that a label which names no face can mean."""

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Which face of its photo it is; None when the photo is the face."""
        return face_box(self.face)


def load_faces(session: Session, keys: Sequence[FaceKey]) -> list[StoredFace]:
    """Return stored faces, in the order of their keys; one that is not stored is left out."""
    places = list(dict.fromkeys((key.job_id, key.ordinal) for key in keys))
    found: dict[FaceKey, StoredFace] = {}
    for page in in_pages(places, _PAGE):
        query = select(Face, Item.sha256, Item.uri).join(
            Item, (Item.job_id == Face.job_id) & (Item.ordinal == Face.ordinal)
        )
        query = query.where(tuple_(Face.job_id, Face.ordinal).in_(page)).order_by(
            Face.job_id, Face.ordinal, Face.face_index
        )
        found |= {face.key: face for face in _stored(session.execute(query.execution_options(populate_existing=True)))}
    return [found[key] for key in dict.fromkeys(keys) if key in found]


def load_bound(session: Session, sha256s: Iterable[str]) -> list[StoredFace]:
    """Return the stored faces on which any label of some photos bore when they were decided."""
    keys: list[FaceKey] = []
    for page in in_pages(sha256s, _PAGE):
        bound = (
            select(Face.job_id, Face.ordinal, Face.face_index)
            .join(Label, Label.id == Face.label_id)
            .join(Photo, Photo.id == Label.photo_id)
            .where(Photo.sha256.in_(page), Face.label_id.is_not(None))
        )
        keys += [
            FaceKey(job_id=row.job_id, ordinal=row.ordinal, face_index=row.face_index) for row in session.execute(bound)
        ]
    return load_faces(session, keys)


def redecide(session: Session, faces: Sequence[StoredFace], before: Corrections, after: Corrections) -> int:
    """Store what is decided of faces after a correction, and bring their jobs' counters in line.

    Args:
        session: a write session that holds outcomes still (`hold_outcomes`).
        faces: each once.
        before: what held when they were stored.
        after: what holds now.

    Returns:
        How many faces changed.
    """
    rules: dict[tuple[int, int], RejectRule | None] = {}
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    changes: list[dict[str, Any]] = []
    for stored in faces:
        decided_by = stored.model_id, stored.key.job_id
        if decided_by not in rules:
            rules[decided_by] = load_rule(session, *decided_by)
        rule = rules[decided_by]
        face, label_id = _decided(stored, before, after, rule)
        if face == stored.face and label_id == stored.label_id:
            continue
        changes.append(_change(stored.key, face, label_id, rule))
        counts[stored.key.job_id].subtract([f"faces_{stored.face.outcome}"])
        counts[stored.key.job_id].update([f"faces_{face.outcome}"])
    if changes:
        session.connection().execute(_CHANGE, changes)
        widen(session, ((change["in_job"], change["at"]) for change in changes))
    for job_id in sorted(counts):
        add_to_counters(session, job_id, counts[job_id])
    return len(changes)


def _decided(
    stored: StoredFace, before: Corrections, after: Corrections, rule: RejectRule | None
) -> tuple[FaceResult, int | None]:
    """Return a stored face as it is decided now, and the label that bears on it."""
    was = before.held(stored.sha256, stored.face, alone=stored.alone)
    held = after.held(stored.sha256, stored.face, alone=stored.alone)
    freed = was.is_not.keys() - held.is_not.keys()
    face = correct(stored.face, held, rule, after.counts_as, anew=stored.label_id is not None, keep_candidate=not freed)
    return face, held.label_id


def _stored(rows: Iterable[Row[Face, str | None, str]]) -> Iterator[StoredFace]:
    """Turn rows, those of a photo one after the other, into stored faces."""
    photos: dict[_Place, list[tuple[Face, FaceResult, str, str]]] = defaultdict(list)
    for row, sha256, uri in rows:
        photos[row.job_id, row.ordinal].append((row, _as_result(row), sha256 or "", uri))
    for faces in photos.values():
        alone = faces_alone([result for _, result, _, _ in faces])
        for row, result, sha256, uri in faces:
            yield StoredFace(
                key=FaceKey(job_id=row.job_id, ordinal=row.ordinal, face_index=row.face_index),
                sha256=sha256,
                uri=uri,
                face=result,
                model_id=row.model_id,
                label_id=row.label_id,
                alone=row.face_index in alone,
            )


def _as_result(row: Face) -> FaceResult:
    return FaceResult(
        index=row.face_index,
        box_xyxy_px=(row.x1, row.y1, row.x2, row.y2),
        landmarks_px=tuple((x, y) for x, y in row.landmarks_px),
        quality=row.quality,
        quality_reasons=tuple(row.quality_reasons),
        outcome=FaceOutcome(row.outcome),
        person_id=row.person_id,
        candidate_id=row.candidate_id,
        similarity=row.similarity,
        confidence=row.confidence,
        top_k=ranking_of(row),
    )


_CHANGE = (
    update(Face)
    .where(Face.job_id == bindparam("in_job"), Face.ordinal == bindparam("at"), Face.face_index == bindparam("number"))
    .values(
        outcome=bindparam("outcome"),
        person_id=bindparam("person_id"),
        candidate_id=bindparam("candidate_id"),
        similarity=bindparam("similarity"),
        confidence=bindparam("confidence"),
        quality_reasons=bindparam("quality_reasons"),
        label_id=bindparam("label_id"),
        review_order=bindparam("review_order"),
    )
)


def _change(key: FaceKey, face: FaceResult, label_id: int | None, rule: RejectRule | None) -> dict[str, Any]:
    """A face's new values, for _CHANGE."""
    return {
        "in_job": key.job_id,
        "at": key.ordinal,
        "number": key.face_index,
        "outcome": face.outcome.value,
        "person_id": face.person_id,
        "candidate_id": face.candidate_id,
        "similarity": face.similarity,
        "confidence": face.confidence,
        "quality_reasons": list(face.quality_reasons),
        "label_id": label_id,
        "review_order": review_order(face.outcome, face.similarity, rule.threshold if rule else None),
    }
