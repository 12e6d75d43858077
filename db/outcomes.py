"""Outcomes on their way into the ledger: corrected by what people said, written in bulk, counted on their job.

Who may write them stands in db/chunks.py.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.records import FaceOutcome, FaceResult, PhotoResult
from db.bulk import Bulk, json_text
from db.corrections import load_corrections, load_rule, load_threshold
from db.jobs import close_finished_jobs
from db.rankings import pack_ranking
from db.review_order import review_order
from db.tables import Embedding, Face, Item, Job
from db.zones import widen

# What an item has with its outcome.
ITEM_VALUES = (
    "outcome",
    "error_code",
    "error_message",
    "sha256",
    "width_px",
    "height_px",
    "model_id",
    "decided_at",
)
_FACE_COLUMNS = (
    "job_id",
    "ordinal",
    "face_index",
    "x1",
    "y1",
    "x2",
    "y2",
    "landmarks_px",
    "quality",
    "quality_reasons",
    "outcome",
    "person_id",
    "candidate_id",
    "similarity",
    "confidence",
    "ranking",
    "top_k",
    "model_id",
    "label_id",
    "review_order",
)
_EMBEDDING_COLUMNS = ("job_id", "ordinal", "face_index", "backbone_sha256", "vector")
_JSON_COLUMNS = {"landmarks_px", "quality_reasons", "top_k"}


def store_results(session: Session, job_id: int, results: Sequence[PhotoResult], model_id: int, now: datetime) -> None:
    """Write the outcomes of photos and their faces, as people corrected them, and count them on the job.

    Args:
        session: a write session in which the fence was passed.
        job_id: the job.
        results: of photos that have no outcome yet.
        model_id: the model that decided.
        now: aware time.
    """
    given = results
    results, labels = _corrected(session, job_id, results, model_id)
    if results is not given:  # their chunk was told of them as they were
        widen(session, ((job_id, result.ordinal) for result in results))
    bulk = Bulk(session.connection())
    decided_at = bulk.time(now)
    items = (_item_values(job_id, result, model_id, decided_at) for result in results)
    bulk.update(Item, ITEM_VALUES, ("job_id", "ordinal"), items)
    threshold = load_threshold(session, model_id, job_id)
    faces = (
        (
            *_face_values(job_id, result.ordinal, face, model_id),
            labels.get((result.ordinal, face.index)),
            review_order(face.outcome, face.similarity, threshold),
        )
        for result in results
        for face in result.faces
    )
    bulk.insert(Face, _FACE_COLUMNS, _JSON_COLUMNS, faces)
    bulk.insert(Embedding, _EMBEDDING_COLUMNS, set(), _embedding_values(job_id, results))
    counts = Counter(f"items_{result.outcome}" for result in results)
    counts.update(f"faces_{face.outcome}" for result in results for face in result.faces)
    count_outcomes(session, job_id, counts, now)


def _corrected(
    session: Session, job_id: int, results: Sequence[PhotoResult], model_id: int
) -> tuple[Sequence[PhotoResult], dict[tuple[int, int], int]]:
    """Return results as they are under what people said, and the label that bears on a face, by ordinal and index."""
    corrections = load_corrections(session, [result.sha256 for result in results if result.sha256 and result.faces])
    if not corrections:
        return results, {}
    rule = load_rule(session, model_id, job_id)
    labels: dict[tuple[int, int], int] = {}
    corrected = []
    for result in results:
        photo, bearing = corrections.apply_to_photo(result, rule)
        corrected.append(photo)
        for face, label_id in zip(photo.faces, bearing, strict=True):
            if label_id is not None:
                labels[result.ordinal, face.index] = label_id
    return corrected, labels


def count_outcomes(session: Session, job_id: int, counts: Counter[str], now: datetime) -> None:
    """Add outcomes, by the names of their columns, to a job's counters and close it when they are complete."""
    add_to_counters(session, job_id, counts)
    close_finished_jobs(session, now, job_id)


def add_to_counters(session: Session, job_id: int, counts: Counter[str]) -> None:
    """Add numbers, which may be negative, to a job's counters, by the names of their columns."""
    columns: dict[str, Any] = {name: getattr(Job, name) + number for name, number in counts.items() if number}
    if columns:
        session.execute(
            update(Job).where(Job.id == job_id).values(columns).execution_options(synchronize_session=False)
        )


def _item_values(job_id: int, result: PhotoResult, model_id: int, decided_at: Any) -> tuple[Any, ...]:
    """An item's ITEM_VALUES and its key."""
    error = result.error
    return (
        result.outcome.value,
        error.code if error else None,
        error.message if error else None,
        result.sha256,
        result.width_px,
        result.height_px,
        model_id,
        decided_at,
        job_id,
        result.ordinal,
    )


def _face_values(job_id: int, ordinal: int, face: FaceResult, model_id: int) -> tuple[Any, ...]:
    """A face's _FACE_COLUMNS but the label and its place in the review."""
    return (
        job_id,
        ordinal,
        face.index,
        *face.box_xyxy_px,
        json_text(face.landmarks_px),
        face.quality,
        json_text(face.quality_reasons),
        face.outcome.value,
        face.person_id if face.outcome is FaceOutcome.IDENTIFIED else None,
        face.candidate_id,
        face.similarity,
        face.confidence,
        pack_ranking(face.top_k),
        "[]",
        model_id,
    )


def _embedding_values(job_id: int, results: Sequence[PhotoResult]) -> Iterator[tuple[Any, ...]]:
    """The _EMBEDDING_COLUMNS of every face that has an embedding to keep."""
    for result in results:
        for face in result.faces:
            if face.embedding is not None:
                backbone = bytes.fromhex(face.embedding.backbone_sha256)
                yield job_id, result.ordinal, face.index, backbone, face.embedding.vector
