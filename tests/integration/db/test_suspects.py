"""A device fails over a chunk: the one chunk that breaks it is split and given up, and an outage buries no photo."""

from datetime import datetime, timedelta

from core.records import AttemptEnd, ChunkState, ItemOutcome, JobState
from db import chunks, nodes, suspects
from db.chunks import ChunkLease
from db.engine import Database
from db.nodes import NodeReport
from db.tables import Chunk
from tests import ledger
from tests.ledger import LEASE_S, NOW

SLOT = "node/0"
RESTART_S = 15.0


class Device:
    """A slot whose process is replaced whenever its device fails, at a ledger with a sweeper.

    Args:
        database: the ledger.
        model_id: what it identifies with.
        breaks_on: ordinals of the first job's photos over which it fails; None: it fails over every photo.
    """

    def __init__(self, database: Database, model_id: int, breaks_on: set[int] | None) -> None:
        self.breaks_on = breaks_on
        self.now = NOW
        self._database = database
        self._model_id = model_id
        self._pid = 100

    def work(self) -> ChunkLease | None:
        """Take back what is due, claim, and finish or fail; return what was claimed."""
        self.now += timedelta(seconds=1)
        with self._database.write() as session:
            chunks.reclaim_expired(session, self.now)
        lease = ledger.claim(self._database, worker=f"{SLOT}:{self._pid}", now=self.now)
        if lease is None:
            self.now += timedelta(seconds=LEASE_S)
        elif self._survives(lease):
            self._finish(lease)
        else:
            with self._database.write() as session:
                suspects.suspect_chunk(session, lease, SLOT, self.now, LEASE_S)
                assert chunks.reclaim_from(session, f"{SLOT}:{self._pid}", AttemptEnd.CRASHED, self.now) == 0
            self._pid += 1
            self.now += timedelta(seconds=RESTART_S)
        return lease

    def work_off(self, job_id: int, rounds: int = 80) -> None:
        """Work until a job is done, while other jobs come now and then."""
        while ledger.get_job(self._database, job_id).state != JobState.DONE:
            rounds -= 1
            assert rounds, "it never ends"
            if self.work() is None:
                ledger.add_job(self._database, items=1)

    def _survives(self, lease: ChunkLease) -> bool:
        if self.breaks_on is None:
            return False
        photos = range(lease.first_ordinal, lease.first_ordinal + lease.item_count)
        return lease.job_id != 1 or not self.breaks_on & set(photos)

    def _finish(self, lease: ChunkLease) -> None:
        with self._database.write() as session:
            chunks.finish_chunk(session, lease, ledger.results_of(lease), self._model_id, self.now)
            nodes.report_node(session, _report(self._pid, self.now), self.now, advanced=True)


def _report(pid: int, now: datetime) -> NodeReport:
    return NodeReport(name=SLOT, role="identify", host="host", pid=pid, device="cuda:0", started_at=now)


def make_device(database: Database, breaks_on: set[int] | None) -> Device:
    with database.write() as session:
        return Device(database, ledger.add_model(session), breaks_on)


def open_chunks(database: Database, job_id: int) -> list[Chunk]:
    return [chunk for chunk in ledger.chunks_of(database, job_id) if chunk.state != ChunkState.DONE]


def test_a_photo_that_breaks_the_device_ends_alone_and_its_neighbours_are_identified(database: Database) -> None:
    """Photo 0 is the worst: of every pair of halves the one that breaks the device comes first."""
    job_id, _ = ledger.add_job(database, items=24, chunk_size=8)
    make_device(database, {0}).work_off(job_id)
    items = ledger.items_of(database, job_id)
    assert [item.outcome for item in items[1:]] == [ItemOutcome.FACES] * 23
    assert (items[0].outcome, items[0].error_code) == (ItemOutcome.ERROR, "worker_crashed")
    assert "lost its device 2 times on this photo alone" in (items[0].error_message or "")
    job = ledger.get_job(database, job_id)
    assert (job.items_faces, job.items_error) == (23, 1)


def test_a_photo_that_breaks_the_device_ends_though_nothing_else_is_left_to_do(database: Database) -> None:
    job_id, _ = ledger.add_job(database, items=1)
    device = make_device(database, {0})
    for _ in range(6):
        device.work()
    assert [item.error_code for item in ledger.items_of(database, job_id)] == ["worker_crashed"]


def test_two_photos_that_break_the_device_do_not_excuse_each_other(database: Database) -> None:
    job_id, _ = ledger.add_job(database, items=24, chunk_size=4)
    make_device(database, {1, 14}).work_off(job_id)
    failed = [item.ordinal for item in ledger.items_of(database, job_id) if item.outcome == ItemOutcome.ERROR]
    assert failed == [1, 14]


def test_an_outage_of_the_device_gives_no_photo_up_however_long_it_lasts(database: Database) -> None:
    job_id, _ = ledger.add_job(database, items=24, chunk_size=4)
    device = make_device(database, None)
    for _ in range(80):
        device.work()
    assert {item.outcome for item in ledger.items_of(database, job_id)} == {None}
    assert max(chunk.attempts for chunk in open_chunks(database, job_id)) <= 2
    device.breaks_on = set()
    device.work_off(job_id)
    job = ledger.get_job(database, job_id)
    assert (job.items_faces, job.items_error) == (24, 0)


def test_a_chunk_that_is_alone_is_split_by_an_outage_and_then_outlasts_it(database: Database) -> None:
    job_id, _ = ledger.add_job(database, items=4)
    device = make_device(database, None)
    for _ in range(50):
        device.work()
    assert {item.outcome for item in ledger.items_of(database, job_id)} == {None}
    assert len(open_chunks(database, job_id)) > 1


def test_two_photos_alone_outlast_an_outage(database: Database) -> None:
    job_id, _ = ledger.add_job(database, items=2, chunk_size=2)
    device = make_device(database, None)
    for _ in range(50):
        device.work()
    assert {item.outcome for item in ledger.items_of(database, job_id)} == {None}


def test_the_failure_of_another_slots_device_says_nothing(database: Database) -> None:
    _, (first, second) = ledger.add_job(database, items=8)
    for chunk_id, slot in ((first, "node/0"), (second, "node/00")):
        lease = ledger.must_claim(database, chunk_id, worker=f"{slot}:17")
        with database.write() as session:
            suspects.suspect_chunk(session, lease, slot, NOW, LEASE_S)
    assert {chunk.ended_by for chunk in ledger.chunks_of(database, lease.job_id)} == {AttemptEnd.DEVICE}


def test_a_suspect_is_held_back_for_a_lease_and_a_new_claim_clears_its_name(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    lease = ledger.must_claim(database, chunk_id)
    failed_at = NOW + timedelta(seconds=20)
    with database.write() as session:
        suspects.suspect_chunk(session, lease, "w1", failed_at, LEASE_S)
    with database.write() as session:
        assert chunks.reclaim_expired(session, failed_at + timedelta(seconds=LEASE_S - 1)) == 0
        assert chunks.reclaim_expired(session, failed_at + timedelta(seconds=LEASE_S + 1)) == 1
    ledger.must_claim(database, chunk_id)
    [chunk] = ledger.chunks_of(database, lease.job_id)
    assert (chunk.attempts, chunk.ended_by) == (2, None)


def test_a_worker_that_lost_its_lease_suspects_nothing(database: Database) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    lost = ledger.must_claim(database, chunk_id)
    with database.write() as session:
        chunks.reclaim_expired(session, ledger.EXPIRED)
    new = ledger.must_claim(database, chunk_id, now=ledger.EXPIRED)
    with database.write() as session:
        suspects.suspect_chunk(session, lost, "w1", NOW, LEASE_S)
    [chunk] = ledger.chunks_of(database, lost.job_id)
    assert (chunk.lease_token, chunk.ended_by) == (new.token, None)
