"""The identify handler without a queue: what an outage of the ledger or of a source costs, and what it must not."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from core.clock import Clock, utc_now
from core.errors import DatabaseFullError, SourceUnreachableError
from core.records import AttemptEnd, ChunkState, ErrorRecord, FacesMode, ItemOutcome, JobState, PhotoResult, PhotoTask
from core.settings import Settings
from db import chunks, registry
from db.engine import Database
from db.tables import Chunk, Item
from tests import ledger
from workers.identify import ChunkEnd, IdentifyContext, identify_chunk
from workers.pulse import SlotReporter
from workers.spec import Role, make_spec
from workers.stop import StopFlag
from workers.watch import Loaded, ModelWatch

LEASE_S = 1.5


@dataclass(frozen=True, kw_only=True)
class FakeModel:
    version: int
    generation: int = 1


class FakeHolder:
    """Holds whatever model it is offered."""

    failure = None

    def __init__(self) -> None:
        self.current: FakeModel | None = None

    def offer(self, *, version: int, generation: int, sha256: str) -> bool:
        self.current = FakeModel(version=version, generation=generation)
        return True


class FullDatabase(Database):
    """A ledger whose disk is full for the next few writes."""

    refusals = 0
    on_refusal: Callable[[], None] = staticmethod(lambda: None)

    @contextmanager
    def write(self) -> Iterator[Session]:
        if self.refusals > 0:
            self.refusals -= 1
            self.on_refusal()
            raise DatabaseFullError("The disk is full.")
        with super().write() as session:
            yield session


@pytest.fixture
def database(database_url: str) -> Iterator[FullDatabase]:
    made = FullDatabase(database_url)
    yield made
    made.close()


def make_context(
    database: Database, recognise: Callable[[Sequence[PhotoTask]], list[PhotoResult]], clock: Clock = utc_now
) -> IdentifyContext:
    def recognise_with(
        model: Loaded,
        tasks: Sequence[PhotoTask],
        on_progress: Callable[[int], None],
        *,
        faces: FacesMode,
        fpir: float | None,
    ) -> list[PhotoResult]:
        return recognise(tasks)

    with database.write() as session:
        model = registry.get_model(session, f"v{ledger.add_model(session)}")
        registry.activate_model(session, model, who="test", why="test", now=utc_now())
    spec = make_spec(Role.IDENTIFY, Settings(), device="cpu", slots=1)
    watch = ModelWatch(database, FakeHolder())
    return IdentifyContext(
        database=database,
        watch=watch,
        recognise=recognise_with,
        reporter=SlotReporter(spec, spec.slot_name(0), database, clock, watch),
        stop=StopFlag(),
        clock=clock,
        lease_s=LEASE_S,
        poll_s=0.01,
        interactive_photos=256,
    )


def read(database: Database, chunk_id: int) -> Chunk:
    with database.read() as session:
        return session.get_one(Chunk, chunk_id)


def outcomes(database: Database, job_id: int) -> list[tuple[str | None, str | None]]:
    with database.read() as session:
        items = [session.get_one(Item, (job_id, number)) for number in range(4)]
    return [(item.outcome, item.error_code) for item in items]


def test_results_wait_for_a_full_disk_and_no_attempt_counts_for_it(database: FullDatabase) -> None:
    job_id, (chunk_id,) = ledger.add_job(database, items=4)
    looked: list[int] = []

    def recognise(tasks: Sequence[PhotoTask]) -> list[PhotoResult]:
        looked.extend(task.ordinal for task in tasks)
        database.refusals = 2
        return [ledger.result(task.ordinal) for task in tasks]

    assert identify_chunk(make_context(database, recognise)) is ChunkEnd.DONE
    assert looked == [0, 1, 2, 3]
    assert (read(database, chunk_id).attempts, database.refusals) == (1, 0)
    assert outcomes(database, job_id) == [("no_face", None)] * 4


def test_a_worker_that_is_stopped_while_its_results_wait_gives_the_chunk_back_uncounted(database: FullDatabase) -> None:
    job_id, (chunk_id,) = ledger.add_job(database, items=4)
    context = make_context(database, lambda tasks: [ledger.result(task.ordinal) for task in tasks])

    def stop() -> None:
        context.stop.requested = True

    database.on_refusal = stop

    def recognise(*_: object, **__: object) -> list[PhotoResult]:
        database.refusals = 1
        return [ledger.result(number) for number in range(4)]

    context = IdentifyContext(**{**context.__dict__, "recognise": recognise})
    assert identify_chunk(context) is ChunkEnd.PUT_BACK
    assert (read(database, chunk_id).state, read(database, chunk_id).attempts) == (ChunkState.QUEUED, 0)
    assert outcomes(database, job_id) == [(None, None)] * 4


def test_the_lease_is_kept_while_a_source_is_waited_for(database: FullDatabase) -> None:
    random.seed(54)  # pauses of 1.8 and 1.1 s, each longer than what is left of a lease that nobody extends
    job_id, (chunk_id,) = ledger.add_job(database, items=4)
    leases: list[datetime | None] = []

    def recognise(tasks: Sequence[PhotoTask]) -> list[PhotoResult]:
        leases.append(read(database, chunk_id).lease_until)
        with database.write() as session:  # a sweeper looks whenever it likes
            assert chunks.reclaim_expired(session, utc_now()) == 0
        return [unreachable(task.ordinal) if len(leases) < 3 else ledger.result(task.ordinal) for task in tasks]

    assert identify_chunk(make_context(database, recognise)) is ChunkEnd.DONE
    assert len(leases) == 3
    assert all(lease is not None for lease in leases)
    assert leases[0] < leases[-1] <= utc_now() + timedelta(seconds=LEASE_S)  # type: ignore[operator]
    assert outcomes(database, job_id) == [("no_face", None)] * 4
    assert ledger.get_job(database, job_id).state == JobState.DONE


class Ticking:
    """A clock that goes on by a lease and a second when told to."""

    def __init__(self) -> None:
        self.now = ledger.NOW

    def __call__(self) -> datetime:
        return self.now

    def tick(self) -> None:
        self.now += timedelta(seconds=LEASE_S + 1)


def test_a_photo_that_breaks_the_device_every_time_ends_alone_and_its_neighbours_are_identified(
    database: FullDatabase,
) -> None:
    """One slot and nothing else to do: each time the process leaves, and the chunk is held back for a lease."""
    job_id, (chunk_id,) = ledger.add_job(database, items=4)
    clock, poison = Ticking(), 2

    def recognise(tasks: Sequence[PhotoTask]) -> list[PhotoResult]:
        if poison in [task.ordinal for task in tasks]:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return [ledger.result(task.ordinal) for task in tasks]

    context = make_context(database, recognise, clock)
    assert identify_chunk(context) is ChunkEnd.RESTART
    assert identify_chunk(context) is ChunkEnd.NOTHING_DUE
    assert (read(database, chunk_id).attempts, read(database, chunk_id).ended_by) == (1, AttemptEnd.DEVICE)
    ends = [ChunkEnd.RESTART]
    while ledger.get_job(database, job_id).state != JobState.DONE:
        clock.tick()
        with database.write() as session:
            chunks.reclaim_expired(session, clock.now)
        ends += iter(lambda: identify_chunk(context), ChunkEnd.NOTHING_DUE)
        assert len(ends) < 20
    assert ends.count(ChunkEnd.RESTART) == 6  # two each of four, two and one
    assert outcomes(database, job_id) == [
        ("no_face", None),
        ("no_face", None),
        ("error", "worker_crashed"),
        ("no_face", None),
    ]


def unreachable(ordinal: int) -> PhotoResult:
    return PhotoResult(
        ordinal=ordinal,
        uri="s3://away",
        outcome=ItemOutcome.ERROR,
        sha256=None,
        width_px=None,
        height_px=None,
        error=ErrorRecord(code=SourceUnreachableError.code, message="x"),
    )
