"""Short ways to put rows into a ledger: jobs with chunks, models, results of a chunk; and threads that race."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.records import (
    ErrorRecord,
    FaceOutcome,
    FaceResult,
    FacesMode,
    ItemOutcome,
    JobState,
    PhotoResult,
    RankedPerson,
    SkipLog,
)
from db import chunks, jobs, people, registry
from db.chunks import ChunkLease
from db.claims import claim_due_chunk
from db.engine import Database
from db.tables import Chunk, Item, Job

T = TypeVar("T")

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
LEASE_S = 60.0
EXPIRED = NOW + timedelta(seconds=LEASE_S + 1)


def add_job(
    database: Database,
    items: int,
    chunk_size: int = 4,
    key: str | None = None,
    max_parallel: int | None = None,
    uris: Sequence[str] = (),
    fpir: float | None = None,
) -> tuple[int, list[int]]:
    """Submit a job of `items` photos, which lie at `uris` or nowhere; return its id and its chunks' ids."""
    new = jobs.NewJob(
        name="album",
        faces_mode=FacesMode.CROP,
        request_digest="d" * 64,
        idempotency_key=key,
        max_parallel=max_parallel,
        fpir=fpir,
    )
    with database.write() as session:
        job_id = jobs.create_job(session, new, NOW).id
        uris = uris or [f"file:///album/{number:04}.jpg" for number in range(items)]
        jobs.add_page(session, job_id, 0, uris, chunk_size, NOW)
        jobs.open_job(session, job_id, items, SkipLog(), NOW)
    return job_id, [chunk.id for chunk in chunks_of(database, job_id)]


def chunks_of(database: Database, job_id: int) -> list[Chunk]:
    """Read a job's chunks, in order of their ids."""
    with database.read() as session:
        return list(session.scalars(select(Chunk).where(Chunk.job_id == job_id).order_by(Chunk.id)))


def items_of(database: Database, job_id: int) -> list[Item]:
    """Read a job's items, in order."""
    with database.read() as session:
        return list(session.scalars(select(Item).where(Item.job_id == job_id).order_by(Item.ordinal)))


def set_job_state(database: Database, job_id: int, state: JobState) -> None:
    """Put a job into a state, however it would come there."""
    finished_at = NOW if state in {JobState.DONE, JobState.CANCELLED} else None
    with database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(state=state, finished_at=finished_at))


def get_job(database: Database, job_id: int) -> Job:
    """Read a job's row."""
    with database.read() as session:
        return session.get_one(Job, job_id)


def add_people(database: Database, *names: str) -> list[int]:
    """Add people; return their ids."""
    with database.write() as session:
        return [people.get_or_add_person(session, name, NOW).id for name in names]


def add_model(session: Session, sha256: str = "a" * 64) -> int:
    """Register a model; return its id."""
    manifest = {"backbone": "compact", "recipe": "compact"}
    return registry.register_model(session, sha256=sha256, manifest=manifest, run_id=None, parent_id=None, now=NOW).id


def claim(
    database: Database, worker: str = "w1", now: datetime = NOW, interactive_photos: int = 256
) -> ChunkLease | None:
    """Claim the chunk that is due, in a transaction of its own."""
    with database.write() as session:
        return claim_due_chunk(session, worker, now, LEASE_S, interactive_photos)


def must_claim(database: Database, chunk_id: int, worker: str = "w1", now: datetime = NOW) -> ChunkLease:
    """Claim a chunk that is the one that is due."""
    lease = claim(database, worker, now)
    assert lease is not None
    assert lease.chunk_id == chunk_id
    return lease


def claim_all(database: Database, now: datetime = NOW) -> list[ChunkLease]:
    """Claim every chunk that is due, in turn."""
    return list(iter(lambda: claim(database, now=now), None))


def finish(database: Database, lease: ChunkLease, results: list[PhotoResult], model_id: int) -> None:
    """Store a chunk's results in a transaction of its own."""
    with database.write() as session:
        chunks.finish_chunk(session, lease, results, model_id, NOW)


def face(
    index: int = 0, outcome: FaceOutcome = FaceOutcome.UNKNOWN, person_id: int | None = None, confidence: float = 0.5
) -> FaceResult:
    """One decided face."""
    return FaceResult(
        index=index,
        box_xyxy_px=(10.0 + index, 20.0, 110.0 + index, 140.5),
        landmarks_px=((30.0, 60.0), (90.0, 60.0)),
        quality=0.75,
        quality_reasons=("blurred",) if outcome is FaceOutcome.LOW_QUALITY else (),
        outcome=outcome,
        person_id=person_id if outcome is FaceOutcome.IDENTIFIED else None,
        candidate_id=person_id,
        similarity=0.625,
        confidence=confidence,
        top_k=(RankedPerson(person_id=person_id, similarity=0.625),) if person_id else (),
    )


def result(ordinal: int, *faces: FaceResult) -> PhotoResult:
    """The outcome of a photo with these faces."""
    return PhotoResult(
        ordinal=ordinal,
        uri=f"file:///album/{ordinal:04}.jpg",
        outcome=ItemOutcome.FACES if faces else ItemOutcome.NO_FACE,
        sha256=f"{ordinal:064x}",
        width_px=640,
        height_px=480,
        faces=faces,
    )


def failure(ordinal: int, code: str = "photo_broken") -> PhotoResult:
    """The outcome of a photo that could not be used."""
    return PhotoResult(
        ordinal=ordinal,
        uri=f"file:///album/{ordinal:04}.jpg",
        outcome=ItemOutcome.ERROR,
        sha256=None,
        width_px=None,
        height_px=None,
        error=ErrorRecord(code=code, message="The photo is truncated."),
    )


def results_of(lease: ChunkLease) -> list[PhotoResult]:
    """One unknown face for each photo of a chunk."""
    return [result(lease.first_ordinal + number, face()) for number in range(lease.item_count)]


def race(works: list[Callable[[], T]]) -> list[T | Exception]:
    """Run all works at the same moment, each on a thread; return what each gave or raised."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], T]) -> T | Exception:
        barrier.wait(timeout=30)
        try:
            return work()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))
