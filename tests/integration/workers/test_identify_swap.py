"""A chunk is decided by one model, the newest that is loaded here; a model that loads keeps no chunk waiting."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import event

from core.clock import utc_now
from core.models.holder import ModelHolder
from core.records import FacesMode, JobState, PhotoResult, PhotoTask
from db import registry
from db.engine import Database
from tests import ledger
from tests.engines import StubLoader
from tests.integration.workers.test_identify_outages import make_context
from workers.identify import ChunkEnd, IdentifyContext, identify_chunk
from workers.watch import ModelWatch


def results(tasks: Sequence[PhotoTask]) -> list[PhotoResult]:
    return [ledger.result(task.ordinal) for task in tasks]


def activate_another(database: Database, sha256: str = "b" * 64) -> int:
    with database.write() as session:
        model = registry.get_model(session, f"v{ledger.add_model(session, sha256)}")
        registry.activate_model(session, model, who="test", why="test", now=utc_now())
        return model.id


def models_of(database: Database, job_id: int) -> list[int | None]:
    """The model of each item."""
    return [item.model_id for item in ledger.items_of(database, job_id)]


@pytest.fixture
def loader() -> Iterator[StubLoader]:
    made = StubLoader()
    yield made
    made.let_go()


@pytest.fixture
def context(database: Database, loader: StubLoader) -> IdentifyContext:
    return make_context(database, results, loader=loader)


def test_the_old_model_decides_while_the_new_one_loads_and_then_the_new_one(
    database: Database, context: IdentifyContext, loader: StubLoader
) -> None:
    job_id, _ = ledger.add_job(database, items=12)
    loader.hold()
    new = activate_another(database)
    assert identify_chunk(context) is ChunkEnd.DONE
    assert identify_chunk(context) is ChunkEnd.DONE
    loader.let_go()
    assert context.watch.wait_loaded(30)
    assert identify_chunk(context) is ChunkEnd.DONE
    assert models_of(database, job_id) == [1] * 8 + [new] * 4
    assert [chunk.attempts for chunk in ledger.chunks_of(database, job_id)] == [1, 1, 1]


def test_a_claim_hears_of_an_activation_before_the_next_poll(
    database: Database, context: IdentifyContext, loader: StubLoader
) -> None:
    ledger.add_job(database, items=4)
    activate_another(database)
    assert identify_chunk(context) is ChunkEnd.DONE
    assert context.watch.wait_loaded(30)
    assert loader.calls == {"a" * 64: 1, "b" * 64: 1}


def test_a_model_that_is_here_already_decides_the_very_chunk_that_was_claimed_after_its_activation(
    database: Database, context: IdentifyContext, loader: StubLoader
) -> None:
    """As when going back while the newer model still loads."""
    job_id, _ = ledger.add_job(database, items=4)
    loader.hold()
    activate_another(database)
    context.watch.look()
    with database.write() as session:
        registry.activate_model(session, registry.get_model(session, "v1"), who="test", why="back", now=utc_now())
    assert identify_chunk(context) is ChunkEnd.DONE
    assert models_of(database, job_id) == [1] * 4
    assert context.watch.serving is not None
    assert context.watch.serving.generation == 3


def test_a_model_that_cannot_be_loaded_leaves_the_chunks_to_the_old_one(
    database: Database, context: IdentifyContext, loader: StubLoader
) -> None:
    job_id, _ = ledger.add_job(database, items=8)
    loader.break_file("b" * 64)
    assert identify_chunk(context) is ChunkEnd.DONE
    activate_another(database)
    context.watch.look()
    assert context.watch.wait_loaded(30)
    assert identify_chunk(context) is ChunkEnd.DONE
    assert models_of(database, job_id) == [1] * 8
    assert ledger.get_job(database, job_id).state == JobState.DONE
    assert "is gone" in (context.watch.error or "")


def test_a_worker_that_starts_while_the_active_model_is_broken_serves_the_one_before(
    database: Database, context: IdentifyContext
) -> None:
    """As one that is replaced, or a machine that is added."""
    activate_another(database)
    job_id, _ = ledger.add_job(database, items=4)
    loader = StubLoader()
    loader.break_file("b" * 64)
    watch = ModelWatch(database, ModelHolder(loader))
    started = replace(context, watch=watch)
    ledger.wait_until(lambda: identify_chunk(started) is ChunkEnd.DONE)
    assert models_of(database, job_id) == [1] * 4
    assert "is gone" in (watch.error or "")


def test_photos_of_a_kind_that_only_the_new_model_takes_wait_until_it_is_loaded(
    database: Database, context: IdentifyContext, loader: StubLoader
) -> None:
    """The old model would give each of them an error."""
    job_id, _ = ledger.add_job(database, items=4)
    loader.faces["c" * 64] = FacesMode.DETECT
    activate_another(database, "c" * 64)
    context.watch.look()
    assert context.watch.wait_loaded(30)
    loader.hold()
    new = activate_another(database)
    assert identify_chunk(context) is ChunkEnd.PUT_BACK
    [chunk] = ledger.chunks_of(database, job_id)
    assert (chunk.state, chunk.attempts) == ("queued", 0)
    loader.let_go()
    assert context.watch.wait_loaded(30)
    assert identify_chunk(context) is ChunkEnd.DONE
    assert models_of(database, job_id) == [new] * 4


def test_without_a_model_nothing_is_claimed(database: Database, loader: StubLoader) -> None:
    loader.break_file("a" * 64)
    context = make_context(database, results, loader=loader)
    job_id, _ = ledger.add_job(database, items=4)
    assert identify_chunk(context) is ChunkEnd.PUT_BACK
    [chunk] = ledger.chunks_of(database, job_id)
    assert (chunk.state, chunk.attempts) == ("queued", 0)


def test_a_chunk_takes_two_transactions(database: Database, context: IdentifyContext) -> None:
    """One claims it and asks which models should be here, one commits it."""
    ledger.add_job(database, items=4)
    begun: list[object] = []
    event.listen(database.engine, "begin", begun.append)
    assert identify_chunk(context) is ChunkEnd.DONE
    assert len(begun) == 2
