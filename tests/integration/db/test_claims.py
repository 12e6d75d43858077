"""Which chunk is due: small jobs first but not always, jobs in turn, limits that hold, and never one chunk twice."""

from collections import Counter
from datetime import timedelta

import pytest

from core.records import ChunkState, JobState
from db import chunks, claims
from db.chunks import ChunkLease
from db.claims import INTERACTIVE_TURNS
from db.engine import Database
from tests import ledger
from tests.ledger import EXPIRED, NOW

SMALL = 8  # photos of the largest interactive job in these tests


def claim(database: Database) -> ChunkLease:
    lease = ledger.claim(database, interactive_photos=SMALL)
    assert lease is not None
    return lease


def claimed_jobs(database: Database, count: int) -> list[int]:
    """The jobs whose chunks are claimed next, in order."""
    return [claim(database).job_id for _ in range(count)]


def small_job(database: Database) -> int:
    return ledger.add_job(database, items=8)[0]


def bulk_job(database: Database, max_parallel: int | None = None) -> int:
    return ledger.add_job(database, items=160, max_parallel=max_parallel)[0]


def count_due(database: Database, limit: int = 100) -> int:
    with database.read() as session:
        return claims.count_due_chunks(session, limit)


def test_a_small_job_goes_before_a_bulk_job_that_waits_longer(database: Database) -> None:
    bulk = bulk_job(database)
    assert claimed_jobs(database, 3) == [bulk] * 3
    small = small_job(database)
    assert claimed_jobs(database, 3) == [small, small, bulk]


def test_bulk_jobs_share_in_turn(database: Database) -> None:
    first, second, third = (bulk_job(database) for _ in range(3))
    assert claimed_jobs(database, 7) == [first, second, third, first, second, third, first]


def test_a_new_job_has_the_next_turn_among_its_equals(database: Database) -> None:
    first, second = bulk_job(database), bulk_job(database)
    assert claimed_jobs(database, 3) == [first, second, first]
    new = bulk_job(database)
    assert claimed_jobs(database, 4) == [new, second, first, new]


def test_a_stream_of_small_jobs_leaves_every_fifth_claim_to_a_bulk_job(database: Database) -> None:
    """Each small job is claimed whole before the next comes, and done: only the count of claims remembers it."""
    with database.write() as session:
        model_id = ledger.add_model(session)
    bulk = bulk_job(database)
    claim(database)
    order = []
    for _ in range(15):
        small_job(database)
        for _ in range(2):
            lease = claim(database)
            order.append(lease.job_id == bulk)
            ledger.finish(database, lease, ledger.results_of(lease), model_id)
    assert order == ([False] * INTERACTIVE_TURNS + [True]) * 6


def test_no_size_is_preferred_when_no_job_counts_as_small(database: Database) -> None:
    bulk, small = bulk_job(database), small_job(database)
    order = [lease.job_id for _ in range(3) if (lease := ledger.claim(database, interactive_photos=0))]
    assert order == [bulk, small, bulk]


def test_within_a_job_the_first_chunk_is_due_also_after_a_split(database: Database) -> None:
    _, (first, second) = ledger.add_job(database, items=8)
    for _ in range(2):
        ledger.must_claim(database, first)
        with database.write() as session:
            chunks.reclaim_expired(session, EXPIRED)
    assert [lease.chunk_id for lease in ledger.claim_all(database)] == [first, second, second + 1]


@pytest.mark.parametrize("state", [JobState.SUBMITTING, JobState.PAUSED, JobState.CANCELLED, JobState.DONE])
def test_a_job_that_does_not_run_gives_no_chunk(database: Database, state: JobState) -> None:
    job_id, _ = ledger.add_job(database, items=4)
    ledger.set_job_state(database, job_id, state)
    assert ledger.claim(database) is None
    assert count_due(database) == 0
    assert [chunk.attempts for chunk in ledger.chunks_of(database, job_id)] == [0]


def test_nothing_is_due_when_every_chunk_is_in_work(database: Database) -> None:
    ledger.add_job(database, items=8)
    assert len(ledger.claim_all(database)) == 2
    assert ledger.claim(database, now=NOW + timedelta(seconds=1)) is None


def test_a_limited_job_never_has_more_chunks_in_work_and_leaves_its_turn_to_others(database: Database) -> None:
    with database.write() as session:
        model_id = ledger.add_model(session)
    limited, other = bulk_job(database, max_parallel=2), bulk_job(database)
    leases = [claim(database) for _ in range(5)]
    assert [lease.job_id for lease in leases] == [limited, other, limited, other, other]
    ledger.finish(database, leases[0], ledger.results_of(leases[0]), model_id)
    assert claimed_jobs(database, 2) == [limited, other]


def test_chunks_of_a_job_at_its_limit_are_not_due(database: Database) -> None:
    bulk_job(database, max_parallel=1)
    assert count_due(database) == 40
    assert count_due(database, limit=7) == 7
    claim(database)
    assert count_due(database) == 0


def test_a_limit_holds_when_eight_workers_claim_at_once(database: Database) -> None:
    for _ in range(4):
        job_id = bulk_job(database, max_parallel=3)
        got = ledger.race([lambda i=i: ledger.claim(database, f"w{i}") for i in range(8)])
        assert sum(isinstance(lease, ChunkLease) for lease in got) == 3, got
        assert not any(isinstance(lease, Exception) for lease in got), got
        ledger.set_job_state(database, job_id, JobState.PAUSED)


def test_workers_that_claim_at_once_get_different_chunks_and_all_of_them(database: Database) -> None:
    job_ids = [ledger.add_job(database, items=24)[0] for _ in range(3)]
    taken: Counter[int] = Counter()
    for _ in range(3):
        got = ledger.race([lambda i=i: ledger.claim(database, f"w{i}") for i in range(8)])
        assert not any(isinstance(lease, Exception) for lease in got), got
        taken.update(lease.chunk_id for lease in got if isinstance(lease, ChunkLease))
    taken.update(lease.chunk_id for lease in ledger.claim_all(database))
    rows = [chunk for job_id in job_ids for chunk in ledger.chunks_of(database, job_id)]
    assert taken == Counter(chunk.id for chunk in rows)
    assert {(chunk.state, chunk.attempts) for chunk in rows} == {(ChunkState.CLAIMED, 1)}


def test_claims_of_one_job_at_once_are_all_counted(database: Database) -> None:
    job_id = bulk_job(database)
    got = ledger.race([lambda i=i: ledger.claim(database, f"w{i}") for i in range(8)])
    assert all(isinstance(lease, ChunkLease) for lease in got), got
    assert ledger.get_job(database, job_id).last_claim == 8


def test_a_claim_is_counted_once_and_counts_over_all_jobs(database: Database) -> None:
    first, second = bulk_job(database), bulk_job(database)
    claimed_jobs(database, 5)
    assert [ledger.get_job(database, job_id).last_claim for job_id in (first, second)] == [5, 4]
