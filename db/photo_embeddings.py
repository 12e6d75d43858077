"""Labelled photos as backbones saw them: kept for the training runs to come, by the way in which they were seen.

What a way is, and whether two are the same, is not known here. Rows go with their photo, or when nobody uses their way.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.records import ErrorRecord, Example, LearnedFace
from db.bulk import Bulk, in_pages
from db.tables import EmbeddingWay, PhotoEmbedding
from db.upsert import upsert

_PAGE = 500
_COLUMNS = ("way_id", "photo_id", "face", "vector", "error_code", "error_message")


def use_way(session: Session, digest: str, now: datetime) -> int:
    """Note that a training run begins with a way of seeing photos; return its id."""
    upsert(session, EmbeddingWay, ("digest",), {"digest": digest, "used_at": now})
    return session.scalars(select(EmbeddingWay.id).where(EmbeddingWay.digest == digest)).one()


def find_faces(session: Session, way_id: int, examples: Sequence[Example]) -> list[LearnedFace | None]:
    """Return what is known of the faces that these labels mean, in their order; None where nothing is."""
    bulk = Bulk(session.connection())
    known: dict[tuple[str, bytes], LearnedFace] = {}
    for page in in_pages(dict.fromkeys(each.sha256 for each in examples if each.sha256), _PAGE):
        sha256_of = {photo_id: sha256 for sha256, photo_id in _photo_ids(bulk, page).items()}
        for photo_id, face, vector, code, message in _fetch_faces(bulk, way_id, list(sha256_of)):
            error = None if code is None else ErrorRecord(code=code, message=message)
            vector = None if vector is None else bytes(vector)
            known[sha256_of[photo_id], bytes(face)] = LearnedFace(vector=vector, error=error)
    return [known.get((each.sha256 or "", _face(each))) for each in examples]


def add_faces(session: Session, way_id: int, faces: Iterable[tuple[Example, LearnedFace]]) -> None:
    """Keep what was found of labelled faces; those of photos that are not in the ledger are passed over.

    They are inserted in one order, whoever inserts them: two that add the same faces would else wait for each other.
    """
    bulk = Bulk(session.connection())
    for page in in_pages(sorted(faces, key=lambda face: (face[0].sha256 or "", _face(face[0]))), _PAGE):
        ids = _photo_ids(bulk, [example.sha256 for example, _ in page if example.sha256])
        rows = [
            (way_id, ids[example.sha256], _face(example), face.vector, *_error(face))
            for example, face in page
            if example.sha256 in ids
        ]
        bulk.insert(PhotoEmbedding, _COLUMNS, set(), rows, if_absent=True)


def _photo_ids(bulk: Bulk, sha256s: Sequence[str]) -> dict[str, int]:
    """Return the ids of the photos of these bytes that are in the ledger."""
    if not sha256s:
        return {}
    marks = ", ".join("?" * len(sha256s))
    return dict(bulk.fetch(f"SELECT sha256, id FROM photos WHERE sha256 IN ({marks})", sha256s))  # noqa: S608


def _fetch_faces(bulk: Bulk, way_id: int, photo_ids: Sequence[int]) -> Sequence[tuple[Any, ...]]:
    """Return photo, face, vector, error code and message of each face that is kept of some photos.

    Joined with the photos in one statement, SQLite would go through all faces of the way for each page.
    """
    if not photo_ids:
        return ()
    columns, marks = ", ".join(_COLUMNS[1:]), ", ".join("?" * len(photo_ids))
    statement = f"SELECT {columns} FROM photo_embeddings WHERE way_id = ? AND photo_id IN ({marks})"  # noqa: S608
    return bulk.fetch(statement, [way_id, *photo_ids])


def find_unused_ways(session: Session, before: datetime) -> list[int]:
    """Return the ways that no run began with since; the one that was used last is never among them."""
    by_use = select(EmbeddingWay.id, EmbeddingWay.used_at).order_by(EmbeddingWay.used_at.desc(), EmbeddingWay.id)
    return [way.id for way in session.execute(by_use).all()[1:] if way.used_at < before]


def forget_faces(session: Session, way_id: int, most: int) -> int:
    """Remove the faces of some photos that were seen in a way; return how many there were."""
    photos = select(PhotoEmbedding.photo_id).where(PhotoEmbedding.way_id == way_id).limit(most)
    found = session.scalars(photos).all()
    session.execute(delete(PhotoEmbedding).where(PhotoEmbedding.way_id == way_id, PhotoEmbedding.photo_id.in_(found)))
    return len(found)


def forget_way(session: Session, way_id: int, before: datetime) -> bool:
    """Remove a way that no run began with since, and that has no faces any more; return whether it was removed."""
    has_faces = select(PhotoEmbedding.way_id).where(PhotoEmbedding.way_id == way_id).exists()
    unused = delete(EmbeddingWay).where(EmbeddingWay.id == way_id, EmbeddingWay.used_at < before, ~has_faces)
    return session.execute(unused.returning(EmbeddingWay.id)).first() is not None


def _face(example: Example) -> bytes:
    """Return which face of its photo a label means, as a key."""
    return b"" if example.box_xyxy_px is None else struct.pack("<4d", *example.box_xyxy_px)


def _error(face: LearnedFace) -> tuple[str | None, str | None]:
    return (None, None) if face.error is None else (face.error.code, face.error.message)
