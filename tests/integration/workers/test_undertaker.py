"""The undertaker: what a dead child held is taken back at once, and the ledger being away is waited out."""

import signal
from collections.abc import Iterator

import pytest

from core.clock import utc_now
from core.records import AttemptEnd, ChunkState, RunState
from core.settings import Settings
from db import runs
from db.engine import Database
from db.tables import Chunk
from tests import ledger
from tests.integration.workers.fleet import wait_until
from workers.pulse import claimant
from workers.spec import NodeSpec, Role
from workers.undertaker import Death, Undertaker

SPEC = NodeSpec(role=Role.IDENTIFY, node="host-1", device="cpu", slots=1, threads=1, settings=Settings())


@pytest.fixture
def undertaker(database: Database) -> Iterator[Undertaker]:
    made = Undertaker(SPEC, database, utc_now)
    made.start()
    yield made
    made.close()


def read(database: Database, chunk_id: int) -> Chunk:
    with database.read() as session:
        return session.get_one(Chunk, chunk_id)


@pytest.mark.parametrize(
    ("exit_code", "end"),
    [
        (-signal.SIGALRM, AttemptEnd.HUNG),
        (-signal.SIGKILL, AttemptEnd.KILLED),
        (-signal.SIGSEGV, AttemptEnd.CRASHED),
        (0, AttemptEnd.CRASHED),
        (1, AttemptEnd.CRASHED),
    ],
)
def test_the_exit_code_tells_how_a_process_ended(exit_code: int, end: AttemptEnd) -> None:
    assert Death(slot=0, pid=17, exit_code=exit_code).end is end


def test_a_dead_childs_chunk_waits_again_at_once(database: Database, undertaker: Undertaker) -> None:
    _, (chunk_id,) = ledger.add_job(database, items=4)
    ledger.must_claim(database, chunk_id, worker=claimant("host-1/0", 17))
    undertaker.hear(Death(slot=0, pid=18, exit_code=-9))  # another process of the slot, which held nothing
    undertaker.hear(Death(slot=0, pid=17, exit_code=-11))
    wait_until(lambda: read(database, chunk_id).state == ChunkState.QUEUED, "the chunk is taken back")
    assert (read(database, chunk_id).attempts, read(database, chunk_id).ended_by) == (1, AttemptEnd.CRASHED)


def test_a_dead_trainers_run_waits_again_at_once(database: Database, undertaker: Undertaker) -> None:
    with database.write() as session:
        run = runs.create_run(session, recipe="compact", options={}, now=utc_now())
        assert runs.claim_run(session, run.id, claimant("host-1/0", 17), utc_now(), 60.0) is not None

    def state() -> tuple[str, int]:
        with database.read() as session:
            found = runs.get_run(session, run.public_id)
        return found.state, found.attempts

    undertaker.hear(Death(slot=0, pid=18, exit_code=-9))
    undertaker.hear(Death(slot=0, pid=17, exit_code=-9))
    wait_until(lambda: state() == (RunState.QUEUED, 1), "the run is taken back")


def test_a_death_while_another_writes_is_settled_after_it(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    _, (chunk_id,) = ledger.add_job(database, items=4)
    ledger.must_claim(database, chunk_id, worker=claimant("host-1/0", 17))
    undertaker = Undertaker(SPEC, Database(sqlite_url), utc_now)
    undertaker.start()
    with database.write() as session:  # nobody else can write meanwhile
        session.connection()
        undertaker.hear(Death(slot=0, pid=17, exit_code=-9))
    wait_until(lambda: read(database, chunk_id).state == ChunkState.QUEUED, "the chunk is taken back")
    undertaker.close()
    database.close()
