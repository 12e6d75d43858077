"""Chunks whose worker vanished: taken back, split down to the one photo that kills, and rung again."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from core.records import AttemptEnd, ChunkState, ItemOutcome, JobState
from db import chunks
from db.engine import Database
from db.tables import Chunk, Item
from tests import ledger
from tests.ledger import EXPIRED, LEASE_S, NOW


def reclaim(database: Database, limit: int = 100) -> int:
    with database.write() as session:
        return chunks.reclaim_expired(session, EXPIRED, limit)


def all_chunks(database: Database) -> list[Chunk]:
    with database.read() as session:
        return list(session.scalars(select(Chunk).order_by(Chunk.first_ordinal)))


def crash(database: Database, chunk_id: int, times: int) -> None:
    """Claim a chunk, vanish, be swept: `times` times."""
    for _ in range(times):
        ledger.must_claim(database, chunk_id)
        reclaim(database)


def test_a_chunk_whose_worker_vanished_waits_again(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    ledger.must_claim(database, chunk_id)
    assert reclaim(database) == 1
    (row,) = all_chunks(database)
    assert (row.state, row.attempts, row.lease_token, row.lease_until) == (ChunkState.QUEUED, 1, None, None)


def test_a_chunk_whose_lease_runs_is_left_alone(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    with database.write() as session:
        assert chunks.reclaim_expired(session, NOW + timedelta(seconds=LEASE_S - 1)) == 0
    assert all_chunks(database)[0].lease_token == lease.token


def test_a_lease_given_before_the_clock_was_set_back_ends(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    ledger.must_claim(database, chunk_id)
    before = NOW - timedelta(hours=1)
    with database.write() as session:
        chunks.end_leases_from_the_future(session, before, LEASE_S)
        assert chunks.reclaim_expired(session, before) == 1


def test_a_lease_of_a_clock_that_is_a_little_ahead_is_left_alone(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    ledger.must_claim(database, chunk_id)
    before = NOW - timedelta(seconds=LEASE_S / 2)
    with database.write() as session:
        chunks.end_leases_from_the_future(session, before, LEASE_S)
        assert chunks.reclaim_expired(session, before) == 0


def test_a_chunk_whose_lease_ran_out_is_nobodys_before_it_is_taken_back(database: Database) -> None:
    """A worker whose clock is an hour ahead would otherwise take what its neighbours are at."""
    _, (chunk_id,) = ledger.add_job(database, items=4)
    ledger.must_claim(database, chunk_id)
    assert ledger.claim(database, now=NOW + timedelta(hours=1)) is None
    reclaim(database)
    ledger.must_claim(database, chunk_id)


@pytest.mark.parametrize("items", [2, 4, 5])
def test_a_chunk_that_crashed_twice_is_halved_without_losing_a_photo(database: Database, items: int) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=items, chunk_size=8)
    crash(database, chunk_id, times=2)
    halves = all_chunks(database)
    assert [(half.first_ordinal, half.item_count) for half in halves] == [
        (0, items // 2),
        (items // 2, items - items // 2),
    ]
    assert {(half.state, half.attempts) for half in halves} == {(ChunkState.QUEUED, 0)}


def test_the_photo_that_kills_ends_alone_and_its_neighbours_are_identified(database: Database) -> None:
    """Photo 5 of 8 kills whoever touches it; every other photo is decided once."""
    with database.write() as session:
        model_id = ledger.add_model(session)
    job_id, _ = ledger.add_job(database, items=8, chunk_size=8)
    poison, rounds = 5, 0
    while ledger.get_job(database, job_id).state != JobState.DONE:
        rounds += 1
        assert rounds < 20
        for lease in ledger.claim_all(database):
            if not lease.first_ordinal <= poison < lease.first_ordinal + lease.item_count:
                ledger.finish(database, lease, ledger.results_of(lease), model_id)
        reclaim(database)

    with database.read() as session:
        items = session.scalars(select(Item).order_by(Item.ordinal)).all()
    assert [item.outcome for item in items if item.ordinal != poison] == [ItemOutcome.FACES] * 7
    assert (items[poison].outcome, items[poison].error_code) == (ItemOutcome.ERROR, "worker_crashed")
    assert "2 times" in (items[poison].error_message or "")
    job = ledger.get_job(database, job_id)
    assert (job.items_faces, job.items_error, job.faces_unknown) == (7, 1, 7)
    assert [chunk.state for chunk in all_chunks(database)].count(ChunkState.DEAD) == 1


def test_two_sweepers_at_once_split_each_chunk_once(database: Database) -> None:
    _, chunk_ids = ledger.add_job(database, items=64, chunk_size=4)
    for chunk_id in chunk_ids:
        ledger.must_claim(database, chunk_id)
    reclaim(database)
    for chunk_id in chunk_ids:
        ledger.must_claim(database, chunk_id)

    counts = ledger.race([lambda: reclaim(database) for _ in range(4)])
    assert sum(count for count in counts if isinstance(count, int)) == len(chunk_ids)
    assert [(chunk.first_ordinal, chunk.item_count) for chunk in all_chunks(database)] == [
        (first, 2) for first in range(0, 64, 2)
    ]


def test_sweepers_that_bury_photos_of_two_jobs_do_not_lock_each_other_out(database: Database) -> None:
    """Halves get new ids, so that by id the chunks of the two jobs alternate; sweepers lock the jobs' rows in turn."""
    jobs = [ledger.add_job(database, items=12, chunk_size=2)[0] for _ in range(2)]
    for _ in range(4):
        ledger.claim_all(database)
        counts = ledger.race([lambda: reclaim(database, limit=9) for _ in range(4)])
        assert all(isinstance(count, int) for count in counts), counts
        while reclaim(database):
            pass
    for job_id in jobs:
        job = ledger.get_job(database, job_id)
        assert (job.state, job.items_error) == (JobState.DONE, 12)


def test_chunks_are_taken_back_job_by_job_also_after_a_split(database: Database) -> None:
    """In this order sweepers lock the rows of jobs, which keeps them from waiting for each other in a circle."""
    old_job, (old,) = ledger.add_job(database, items=2, chunk_size=2)
    young_job, (young,) = ledger.add_job(database, items=2, chunk_size=2)
    ledger.set_job_state(database, young_job, JobState.PAUSED)
    crash(database, old, times=2)
    ledger.set_job_state(database, young_job, JobState.RUNNING)
    assert len(ledger.claim_all(database)) == 3
    reclaim(database, limit=2)
    still_claimed = [chunk.id for chunk in all_chunks(database) if chunk.state == ChunkState.CLAIMED]
    assert still_claimed == [young]
    assert {chunk.job_id for chunk in all_chunks(database) if chunk.state == ChunkState.QUEUED} == {old_job}


def test_a_sweep_takes_no_more_than_its_limit(database: Database) -> None:
    _, chunk_ids = ledger.add_job(database, items=12, chunk_size=4)
    for chunk_id in chunk_ids:
        ledger.must_claim(database, chunk_id)
    assert [reclaim(database, limit=2) for _ in range(3)] == [2, 1, 0]


def reclaim_from(database: Database, worker: str, ended_by: AttemptEnd = AttemptEnd.CRASHED) -> int:
    with database.write() as session:
        return chunks.reclaim_from(session, worker, ended_by, NOW)


def test_what_a_dead_process_held_is_taken_back_before_its_lease_runs_out(database: Database) -> None:
    _, (first, second) = ledger.add_job(database, items=8)
    ledger.must_claim(database, first, worker="node/0:17")
    neighbour = ledger.must_claim(database, second, worker="node/0:18")
    assert reclaim_from(database, "node/0:17") == 1
    taken, held = all_chunks(database)
    assert (taken.state, taken.attempts, taken.lease_token, taken.ended_by) == (ChunkState.QUEUED, 1, None, "crashed")
    assert (held.state, held.lease_token) == (ChunkState.CLAIMED, neighbour.token)
    assert reclaim_from(database, "node/0:17") == 0


def test_a_dead_process_takes_nothing_from_the_one_that_has_its_chunk_now(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    ledger.must_claim(database, chunk_id, worker="node/0:17")
    reclaim(database)
    lease = ledger.must_claim(database, chunk_id, worker="node/0:18", now=EXPIRED)
    assert reclaim_from(database, "node/0:17") == 0
    assert all_chunks(database)[0].lease_token == lease.token


@pytest.mark.parametrize(
    ("ended_by", "code", "words"),
    [
        (AttemptEnd.HUNG, "timed_out", "FACEFLEET_PHOTO_TIMEOUT_S"),
        (AttemptEnd.KILLED, "worker_crashed", "want of memory"),
        (AttemptEnd.CRASHED, "worker_crashed", "crashed 2 times on this photo alone"),
    ],
)
def test_a_photo_that_is_given_up_says_how_its_workers_ended(
    database: Database, ended_by: AttemptEnd, code: str, words: str
) -> None:
    job_id, (chunk_id,) = ledger.add_job(database, items=1)
    for _ in range(2):
        ledger.must_claim(database, chunk_id, worker="node/0:17")
        reclaim_from(database, "node/0:17", ended_by)
    with database.read() as session:
        item = session.get_one(Item, (job_id, 0))
    assert (item.outcome, item.error_code) == (ItemOutcome.ERROR, code)
    assert words in (item.error_message or "")
    assert ledger.get_job(database, job_id).state == JobState.DONE


def test_how_the_last_attempt_ended_counts_not_an_earlier_one(database: Database) -> None:
    job_id, (chunk_id,) = ledger.add_job(database, items=1)
    ledger.must_claim(database, chunk_id, worker="node/0:17")
    reclaim_from(database, "node/0:17", AttemptEnd.HUNG)
    ledger.must_claim(database, chunk_id)
    reclaim(database)
    with database.read() as session:
        assert session.get_one(Item, (job_id, 0)).error_code == "worker_crashed"
