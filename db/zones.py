"""What a chunk's results can hold, on its one row: by which models, until when decided, how sure at most.

A page of results passes over chunks that cannot hold what is wanted, and reads no row of them. An empty value says that
nothing is known, and is never passed over. What is said may be too much, never too little: who decides about stored
faces anew (db/rescore.py, db/redecide.py) says so here.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Double, bindparam, case, select, update
from sqlalchemy.orm import Session

from core.records import ChunkState, FaceOutcome, PhotoResult
from db.bulk import Bulk
from db.result_filter import ResultFilter, ResultKey
from db.tables import Chunk, Face

NO_MODEL = 0
"""Of chunks that no model decided: their photos were given up."""
SUREST = 1.0
_LONGEST = 10_000  # photos of a chunk at most: FACEFLEET_CHUNK_SIZE
_START = ResultKey(job_id=-1, ordinal=-1)


@dataclass(frozen=True, kw_only=True)
class Zone:
    """Photos of a job that follow each other, and whose results may be wanted."""

    job_id: int
    first: int
    """Ordinal of the first."""
    end: int
    """Ordinal behind the last."""


def zone_values(results: Sequence[PhotoResult], model_id: int, now: datetime) -> dict[str, Any]:
    """Return what is to be said of a chunk whose photos were just decided, by column.

    Args:
        results: before people's corrections, which `widen` is to be told of.
        model_id: the model that decided.
        now: aware time.
    """
    faces = [(face.outcome, face.confidence or 0.0) for result in results for face in result.faces]
    unnamed = [confidence for outcome, confidence in faces if outcome is not FaceOutcome.IDENTIFIED]
    return {
        "model_id": model_id,
        "face_model_id": model_id,
        "decided_until": now,
        "top_confidence": max((confidence for _, confidence in faces), default=0.0),
        "top_unnamed": max(unnamed, default=0.0),
    }


def narrows(wanted: ResultFilter) -> bool:
    """Say whether anything is asked that chunks tell of."""
    return wanted.model_id is not None or wanted.since is not None or wanted.min_confidence is not None


def next_zones(bulk: Bulk, wanted: ResultFilter, after: ResultKey | None, limit: int) -> list[Zone]:
    """Return where the next wanted results may be, in their order; chunks that adjoin are one zone.

    Args:
        bulk: of a connection.
        wanted: what is asked, of which `narrows`.
        after: the place behind which they are to be.
        limit: chunks at most.
    """
    after = after or _START
    first = after.ordinal + (after.face_index is None)
    texts, values = _place(wanted.job_id, after.job_id, first)
    conditions = (_by_model(bulk, wanted), _since(bulk, wanted), _as_sure(wanted))
    for text, given in filter(None, conditions):
        texts.append(f"({text})")
        values += given
    found = bulk.fetch(
        f"SELECT job_id, first_ordinal, item_count FROM chunks WHERE {' AND '.join(texts)} "  # noqa: S608
        f"ORDER BY job_id, first_ordinal LIMIT {limit:d}",
        values,
    )
    return _joined(found, after.job_id, first)


def _place(wanted_id: int | None, job_id: int, first: int) -> tuple[list[str], list[Any]]:
    """Say in SQL which chunks hold a photo or one behind it, in words that bound their index."""
    if wanted_id is not None:
        begin = first if wanted_id == job_id else 0
        texts = ["job_id = ?", "first_ordinal > ?", "first_ordinal + item_count > ?"]
        return texts, [wanted_id, begin - _LONGEST, begin]
    texts = ["(job_id, first_ordinal) > (?, ?)", "(job_id > ? OR first_ordinal + item_count > ?)"]
    return texts, [job_id, first - _LONGEST, job_id, first]


def _by_model(bulk: Bulk, wanted: ResultFilter) -> tuple[str, list[Any]] | None:
    """Say which chunks may hold something of a model, and of it something decided since then."""
    if wanted.model_id is None:
        return None
    since = [] if wanted.since is None else [bulk.time(wanted.since)]
    decided = " AND decided_until >= ?" if since else ""
    text, values = f"(face_model_id = ? OR face_model_id IS NULL){decided}", [wanted.model_id, *since]
    if not wanted.shows_faces_alone:  # photos were decided when their chunk was done, whatever became of their faces
        done = " AND done_at >= ?" if since else ""
        text, values = f"{text} OR model_id = ?{done}", [*values, wanted.model_id, *since]
    return f"{text} OR model_id IS NULL", values


def _since(bulk: Bulk, wanted: ResultFilter) -> tuple[str, list[Any]] | None:
    if wanted.since is None:
        return None
    return "decided_until >= ? OR decided_until IS NULL", [bulk.time(wanted.since)]


def _as_sure(wanted: ResultFilter) -> tuple[str, list[Any]] | None:
    if wanted.min_confidence is None:
        return None
    named = wanted.outcome in (None, FaceOutcome.IDENTIFIED) or wanted.person_id is not None
    column = "top_confidence" if named else "top_unnamed"
    return f"{column} >= ? OR {column} IS NULL", [wanted.min_confidence]


def _joined(chunks: Iterable[tuple[Any, ...]], job_id: int, first: int) -> list[Zone]:
    """Join chunks that adjoin or overlap, as those of a retry do; nothing of the one job before `first`."""
    zones: list[Zone] = []
    for job, start, count in chunks:
        begin, end = max(start, first) if job == job_id else start, start + count
        if begin >= end:
            continue
        last = zones[-1] if zones else None
        if last is not None and last.job_id == job and begin <= last.end:
            zones[-1] = Zone(job_id=job, first=last.first, end=max(last.end, end))
        else:
            zones.append(Zone(job_id=job, first=begin, end=end))
    return zones


def first_photos(zones: Iterable[Zone], count: int) -> list[Zone]:
    """Return the beginning of some zones, so many photos at most."""
    taken: list[Zone] = []
    for zone in zones:
        if count > 0:
            end = min(zone.end, zone.first + count)
            taken.append(Zone(job_id=zone.job_id, first=zone.first, end=end))
            count -= end - zone.first
    return taken


def widen(session: Session, photos: Iterable[tuple[int, int]]) -> None:
    """Say that faces of some photos may be as sure as can be: people spoke of them.

    Args:
        session: a write session.
        photos: job and ordinal of each.
    """
    given = [{"in_job": job_id, "at": ordinal} for job_id, ordinal in sorted(set(photos))]
    if given:
        session.connection().execute(_WIDEN, given)


def tell_rescored(
    session: Session,
    job_id: int,
    photos: range,
    *,
    ordinals: Sequence[int],
    outcomes: Sequence[str],
    confidences: Sequence[float],
    model_id: int,
    now: datetime,
    all_of_them: bool,
) -> None:
    """Say of chunks that another model decided about faces of theirs, which are stored already.

    Args:
        session: a write session.
        job_id: the job.
        photos: the ordinals that were looked at.
        ordinals: of each face, its photo; ascending.
        outcomes: of each face, what it is now.
        confidences: of each face, how sure that is.
        model_id: the model.
        now: aware time.
        all_of_them: no face of these photos is by another model now.
    """
    query = select(Chunk.id, Chunk.first_ordinal, Chunk.item_count).where(
        Chunk.job_id == job_id,
        Chunk.state == ChunkState.DONE,  # no worker holds it, and nobody else's transaction waits for this one
        Chunk.first_ordinal > photos.start - _LONGEST,
        Chunk.first_ordinal < photos.stop,
        Chunk.first_ordinal + Chunk.item_count > photos.start,
    )
    chunks = session.execute(query.order_by(Chunk.id)).all()
    if not chunks:
        return
    first = min(chunk.first_ordinal for chunk in chunks)
    behind = max(chunk.first_ordinal + chunk.item_count for chunk in chunks)
    unseen = [(first, photos.start), (photos.stop, behind)] if all_of_them else [(first, behind)]
    others = _by_others(session, job_id, unseen, model_id)
    named = FaceOutcome.IDENTIFIED.value
    unnamed = [0.0 if outcome == named else sure for outcome, sure in zip(outcomes, confidences, strict=True)]
    told = []
    for chunk in chunks:
        of_chunk = range(chunk.first_ordinal, chunk.first_ordinal + chunk.item_count)
        faces = _within(ordinals, of_chunk)
        told.append(
            {
                "chunk": chunk.id,
                "by": None if others[_within(others, of_chunk)] else model_id,
                "until": now,
                "top": max(confidences[faces], default=0.0),
                "unnamed": max(unnamed[faces], default=0.0),
            }
        )
    session.connection().execute(_TELL_RESCORED, told)


def _within(ordinals: Sequence[int], photos: range) -> slice:
    """Return where in ascending ordinals those of some photos stand."""
    return slice(bisect_left(ordinals, photos.start), bisect_left(ordinals, photos.stop))


def _by_others(session: Session, job_id: int, ranges: Iterable[tuple[int, int]], model_id: int) -> list[int]:
    """Return the photos in some ranges of which a face is by another model, in ascending order."""
    found: set[int] = set()
    for first, behind in ranges:
        if first < behind:
            of_range = (Face.job_id == job_id, Face.ordinal >= first, Face.ordinal < behind)
            found |= set(session.scalars(select(Face.ordinal).where(*of_range, Face.model_id != model_id)))
    return sorted(found)


def _raised(column: Any, name: str) -> Any:
    """A confidence that is only ever raised: faces that were left out may be as sure as before."""
    given = bindparam(name, type_=Double)
    return case((column < given, given), else_=column)


_WIDEN = (
    update(Chunk)
    .where(
        Chunk.job_id == bindparam("in_job"),
        Chunk.first_ordinal > bindparam("at") - _LONGEST,
        Chunk.first_ordinal <= bindparam("at"),
        Chunk.first_ordinal + Chunk.item_count > bindparam("at"),
        Chunk.state == ChunkState.DONE,
    )
    .values(top_confidence=SUREST, top_unnamed=SUREST)
)
_TELL_RESCORED = (
    update(Chunk)
    .where(Chunk.id == bindparam("chunk"))
    .values(
        face_model_id=bindparam("by"),
        decided_until=bindparam("until"),
        top_confidence=_raised(Chunk.top_confidence, "top"),
        top_unnamed=_raised(Chunk.top_unnamed, "unnamed"),
    )
)
