"""Measures what the work of a fleet costs its ledger, with the very functions that workers call. Prints nothing."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from core.clock import utc_now
from core.records import (
    FaceEmbedding,
    FaceOutcome,
    FaceResult,
    FacesMode,
    ItemOutcome,
    PhotoResult,
    RankedPerson,
    SkipLog,
)
from db import chunks, jobs, nodes, people, registry, swaps
from db.chunks import ChunkLease
from db.claims import claim_due_chunk
from db.nodes import NodeReport
from db.result_filter import ResultFilter
from db.results import iter_results
from scripts.bench.meter import Lap, Meter, cost_of, usual
from scripts.simulate_costs import Phase, TransactionCost
from workers.watch import read_wanted

if TYPE_CHECKING:
    from db.engine import Database

_SIZES = (32, 128, 512)
REPEATS = 40
_WARM = 5
_PAGE = 5_000
_FEW_ROWS = 10_000
_PEOPLE = 60
_LEASE_S = 600.0
_RANKED = 5
_WHO = "bench"


@dataclass(frozen=True, kw_only=True)
class LedgerCosts:
    """What was measured; as in `UnitCosts`."""

    claim: TransactionCost
    commit: TransactionCost
    commit_detect: TransactionCost
    report: TransactionCost
    poll: Phase
    result_server_s: float
    rows: int
    growth: float


def measure_ledger(database: "Database", rows: int, repeats: int = REPEATS) -> LedgerCosts:
    """Measure an empty ledger, fill it with made-up outcomes, and measure it again.

    Args:
        database: with empty tables.
        rows: photos that it holds in the end, 20,000 at least.
        repeats: transactions of each kind and size.
    """
    ledger = _Ledger(database, repeats)
    with _metered(database) as meter:
        ledger.fill(_FEW_ROWS)
        few_s = _chunk_s(ledger.work(meter, FacesMode.CROP, (128,)))
        ledger.fill(rows)
        claims, commits = ledger.work(meter, FacesMode.CROP, _SIZES)
        many_s = _chunk_s((claims, commits))
        detecting = ledger.work(meter, FacesMode.DETECT, _SIZES)[1]
        return LedgerCosts(
            claim=cost_of(claims, is_sqlite=database.is_sqlite),
            commit=cost_of(commits, is_sqlite=database.is_sqlite),
            commit_detect=cost_of(detecting, is_sqlite=database.is_sqlite),
            report=cost_of({0: ledger.report(meter)}, is_sqlite=database.is_sqlite),
            poll=cost_of({0: ledger.poll(meter)}, is_sqlite=database.is_sqlite).free,
            result_server_s=0.0 if database.is_sqlite else ledger.read_results(meter),
            rows=rows,
            growth=max(0.0, many_s / few_s - 1.0) / math.log10(rows / _FEW_ROWS),
        )


Laps = dict[int, list[Lap]]


class _Ledger:
    """A ledger whose photos lie nowhere."""

    def __init__(self, database: "Database", repeats: int) -> None:
        self._database = database
        self._repeats = repeats
        self._rows = 0
        manifest = {"backbone": "made up", "recipe": "made up"}
        with database.write() as session:
            made = [people.get_or_add_person(session, f"Person {number}", utc_now()) for number in range(_PEOPLE)]
            self._people = [person.id for person in made]
            model = registry.register_model(
                session, sha256="a" * 64, manifest=manifest, run_id=None, parent_id=None, now=utc_now()
            )
            registry.activate_model(session, model, who=_WHO, why=_WHO, now=utc_now())
            self._model_id = model.id

    def fill(self, rows: int) -> None:
        """Store outcomes until there are so many."""
        if rows > self._rows:
            pages = math.ceil((rows - self._rows) / _PAGE)
            self._largest = self._submit(FacesMode.CROP, _PAGE, pages)
            for _ in range(pages):
                self._finish(self._claim(), FacesMode.CROP)
        self._tidy()

    def work(self, meter: Meter, mode: FacesMode, sizes: Sequence[int]) -> tuple[Laps, Laps]:
        """Claim and commit chunks; return what each took, by its photos."""
        claims: Laps = {size: [] for size in sizes}
        commits: Laps = {size: [] for size in sizes}
        for size in sizes:
            self._submit(mode, size, self._repeats + _WARM)
            for _ in range(self._repeats + _WARM):
                with meter.lap() as lap:
                    lease = self._claim()
                claims[size].append(lap)
                results = [_result(lease.first_ordinal + n, self._people, mode) for n in range(size)]
                with meter.lap() as lap:
                    self._finish(lease, mode, results)
                commits[size].append(lap)
        return _warm(claims), _warm(commits)

    def report(self, meter: Meter) -> list[Lap]:
        """Report a process as it does when it has nothing to say."""
        laps = []
        for _ in range(self._repeats):
            with meter.lap() as lap, self._database.write() as session:
                nodes.report_node(session, _report(), utc_now(), advanced=False)
                swaps.report_failures(session, _WHO, (), utc_now())
            laps.append(lap)
        return laps

    def poll(self, meter: Meter) -> list[Lap]:
        """Ask which model should serve."""
        laps = []
        for _ in range(self._repeats):
            with meter.lap() as lap, self._database.read() as session:
                read_wanted(session)
            laps.append(lap)
        return laps

    def read_results(self, meter: Meter) -> float:
        """Read the results of a job page by page; return what a row costs the database."""
        self._tidy()
        laps = []
        for _ in range(_WARM):
            with meter.lap() as lap, self._database.read() as session:
                read = sum(1 for _ in iter_results(session, ResultFilter(job_id=self._largest), limit=2 * _PAGE))
            laps.append(lap)
        return usual(lap.free.waited_s for lap in laps) / read

    def _tidy(self) -> None:
        """Let PostgreSQL look at its tables, as it does by itself in time."""
        if not self._database.is_sqlite:
            with self._database.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))

    def _submit(self, mode: FacesMode, size: int, count: int) -> int:
        new = jobs.NewJob(
            name=_WHO, faces_mode=mode, request_digest="0" * 64, idempotency_key=None, max_parallel=None, fpir=None
        )
        with self._database.write() as session:
            job_id = jobs.create_job(session, new, utc_now()).id
        for number in range(count):
            uris = [f"/album/{number:08}/{each:08}.jpg" for each in range(size)]
            with self._database.write() as session:
                jobs.add_page(session, job_id, number * size, uris, size, utc_now())
        with self._database.write() as session:
            jobs.open_job(session, job_id, size * count, SkipLog(), utc_now())
        return job_id

    def _claim(self) -> ChunkLease:
        with self._database.write() as session:
            lease = claim_due_chunk(session, _WHO, utc_now(), _LEASE_S, 256)
            if lease is None:
                raise RuntimeError("a chunk that was queued is not due")
            read_wanted(session)
            chunks.load_tasks(session, lease)
            return lease

    def _finish(self, lease: ChunkLease, mode: FacesMode, results: Sequence[PhotoResult] | None = None) -> None:
        if results is None:
            results = [_result(lease.first_ordinal + n, self._people, mode) for n in range(lease.item_count)]
        with self._database.write() as session:
            chunks.finish_chunk(session, lease, results, self._model_id, utc_now())
            nodes.report_node(session, _report(), utc_now(), advanced=True)
        self._rows += lease.item_count


_LANDMARKS = ((30.5, 60.25), (90.5, 60.25), (60.5, 90.75), (40.25, 110.5), (80.25, 110.5))
_EMBEDDING = FaceEmbedding(backbone_sha256="ab" * 32, vector=bytes(range(256)) * 2)


def _result(ordinal: int, person_ids: Sequence[int], mode: FacesMode) -> PhotoResult:
    """Make the outcome of a photo with one face up, every other one of somebody who is named."""
    detect = mode is FacesMode.DETECT
    ranked = [person_ids[(ordinal + n) % len(person_ids)] for n in range(_RANKED)]
    face = FaceResult(
        index=0,
        box_xyxy_px=(10.0, 20.0, 110.0, 140.5),
        landmarks_px=_LANDMARKS if detect else (),
        quality=0.75 if detect else None,
        quality_reasons=(),
        outcome=FaceOutcome.IDENTIFIED if ordinal % 2 else FaceOutcome.UNKNOWN,
        person_id=ranked[0] if ordinal % 2 else None,
        candidate_id=ranked[0],
        similarity=0.625,
        confidence=0.5,
        top_k=tuple(RankedPerson(person_id=person, similarity=0.625) for person in ranked),
        embedding=_EMBEDDING if detect else None,
    )
    return PhotoResult(
        ordinal=ordinal,
        uri=f"/album/{ordinal:08}.jpg",
        outcome=ItemOutcome.FACES,
        sha256=f"{ordinal:064x}",
        width_px=640,
        height_px=480,
        faces=(face,),
    )


def _report() -> NodeReport:
    return NodeReport(name=_WHO, role="identify", host="made up", pid=1, device="cpu", started_at=utc_now())


def _warm(laps: Laps) -> Laps:
    return {size: some[_WARM:] for size, some in laps.items()}


def _chunk_s(measured: tuple[Laps, Laps]) -> float:
    """Return what claiming and committing 128 photos takes, by the clock."""
    return sum(usual(lap.total_s for lap in laps[128]) for laps in measured)


@contextmanager
def _metered(database: "Database") -> Iterator[Meter]:
    meter = Meter(database)
    try:
        yield meter
    finally:
        meter.close()
