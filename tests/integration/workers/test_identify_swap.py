"""A chunk is decided by the model that serves when it is claimed, however shortly before that was activated."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import event

from core.clock import utc_now
from core.records import JobState, PhotoResult, PhotoTask
from db import registry
from db.engine import Database
from tests import ledger
from tests.integration.workers.test_identify_outages import FakeHolder, make_context
from workers.identify import ChunkEnd, IdentifyContext, identify_chunk
from workers.watch import ModelWatch


class RefusingHolder(FakeHolder):
    """Takes no model but the first."""

    class _Failure:
        message = "it is corrupt"

    def offer(self, *, version: int, generation: int, sha256: str) -> bool:
        if generation == 1:
            return super().offer(version=version, generation=generation, sha256=sha256)
        self.failure = self._Failure()
        return False


def results(tasks: Sequence[PhotoTask]) -> list[PhotoResult]:
    return [ledger.result(task.ordinal) for task in tasks]


def activate_another(database: Database) -> int:
    with database.write() as session:
        model = registry.get_model(session, f"v{ledger.add_model(session, 'b' * 64)}")
        registry.activate_model(session, model, who="test", why="test", now=utc_now())
        return model.id


def models_of(database: Database, job_id: int) -> set[int | None]:
    return {item.model_id for item in ledger.items_of(database, job_id)}


@pytest.fixture
def context(database: Database) -> IdentifyContext:
    made = make_context(database, results)
    made.watch.refresh()  # the first model serves here
    return made


def test_a_chunk_claimed_after_an_activation_is_decided_by_the_new_model(
    database: Database, context: IdentifyContext
) -> None:
    job_id, _ = ledger.add_job(database, items=4)
    new = activate_another(database)
    assert identify_chunk(context) is ChunkEnd.DONE
    assert models_of(database, job_id) == {new}
    [chunk] = ledger.chunks_of(database, job_id)
    assert chunk.attempts == 1  # the claim that came too early left no trace


def test_a_model_that_cannot_be_loaded_leaves_the_chunks_to_the_old_one(
    database: Database, context: IdentifyContext
) -> None:
    context = replace(context, watch=ModelWatch(database, RefusingHolder()))
    job_id, _ = ledger.add_job(database, items=8)
    assert identify_chunk(context) is ChunkEnd.DONE
    activate_another(database)
    assert identify_chunk(context) is ChunkEnd.DONE
    assert models_of(database, job_id) == {1}
    assert ledger.get_job(database, job_id).state == JobState.DONE
    assert context.watch.error == "it is corrupt"


def test_a_chunk_takes_two_transactions(database: Database, context: IdentifyContext) -> None:
    """One claims it and asks which model serves, one commits it."""
    ledger.add_job(database, items=4)
    begun: list[object] = []
    event.listen(database.engine, "begin", begun.append)
    assert identify_chunk(context) is ChunkEnd.DONE
    assert len(begun) == 2
