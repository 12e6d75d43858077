"""The registry: an artifact is one model, and activation is a compare-and-set on the generation."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from core.errors import ActivationConflictError, NoActiveModelError, UnknownIdError
from core.records import ModelState
from db import audit, registry
from db.engine import Database
from db.tables import Model
from tests import ledger
from tests.ledger import NOW


def add_models(database: Database, number: int) -> list[int]:
    with database.write() as session:
        return [ledger.add_model(session, f"{digit:064x}") for digit in range(number)]


def activate(database: Database, model_id: int, who: str = "ada") -> int:
    with database.write() as session:
        model = session.get_one(Model, model_id)
        generation = registry.activate_model(session, model, who=who, why="better", now=NOW)
        assert model.state == ModelState.ACTIVE
        return generation


def states(database: Database) -> dict[int, str]:
    with database.read() as session:
        return {model.id: model.state for model in registry.list_models(session)}


def test_nothing_serves_before_the_first_activation(database: Database) -> None:
    add_models(database, 1)
    with database.read() as session:
        assert registry.serving_model(session) is None
        with pytest.raises(NoActiveModelError, match="retrain"):
            registry.require_serving_model(session)


def test_an_artifact_registered_twice_is_one_model(database: Database) -> None:
    first = add_models(database, 2)
    assert add_models(database, 2) == first
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Model)) == 2
        assert registry.referenced_artifacts(session) == {f"{0:064x}", f"{1:064x}"}


def test_an_artifact_registered_by_four_at_once_is_one_model(database: Database) -> None:
    outcomes = ledger.race([lambda: add_models(database, 1)] * 4)
    assert outcomes == [outcomes[0]] * 4
    assert isinstance(outcomes[0], list)


def test_registering_a_serving_model_again_leaves_it_serving(database: Database) -> None:
    (model_id,) = add_models(database, 1)
    activate(database, model_id)
    add_models(database, 1)
    assert states(database) == {model_id: ModelState.ACTIVE}


def test_the_newest_generation_serves_and_the_others_are_history(database: Database) -> None:
    one, two = add_models(database, 2)
    assert [activate(database, one), activate(database, two), activate(database, one)] == [1, 2, 3]
    with database.read() as session:
        serving = registry.require_serving_model(session)
        history = [(act.generation, act.model_id) for act in registry.list_activations(session)]
        of_two = [act.generation for act in registry.list_activations(session, two)]
    assert (serving.generation, serving.model_id, serving.sha256) == (3, one, f"{0:064x}")
    assert serving.version == f"v{one}"
    assert history == [(3, one), (2, two), (1, one)]
    assert of_two == [2]
    assert states(database) == {one: ModelState.ACTIVE, two: ModelState.RETIRED}


def test_eight_activations_at_once_leave_one_serving_model_and_no_gap(database: Database) -> None:
    """Whoever comes second in a generation is refused and, trying again, gets a generation of its own."""
    model_ids = add_models(database, 8)

    def insist(model_id: int) -> int:
        for _ in range(50):
            try:
                return activate(database, model_id)
            except ActivationConflictError:
                continue
        raise AssertionError("refused 50 times")

    generations = ledger.race([lambda m=model_id: insist(m) for model_id in model_ids])
    assert sorted(g for g in generations if isinstance(g, int)) == list(range(1, 9))
    with database.read() as session:
        serving = registry.require_serving_model(session)
        history = registry.list_activations(session)
    assert [act.generation for act in history] == list(range(8, 0, -1))
    by_state = states(database)
    assert [model_id for model_id, state in by_state.items() if state == ModelState.ACTIVE] == [serving.model_id]
    assert set(by_state.values()) == {ModelState.ACTIVE, ModelState.RETIRED}


def test_a_refused_activation_changes_nothing(postgres_database: Database) -> None:
    """PostgreSQL lets two activations see the same generation; on SQLite the second writer waits and sees the first."""
    one, two = add_models(postgres_database, 2)
    with postgres_database.write() as earlier:
        registry.activate_model(earlier, earlier.get_one(Model, one), who="ada", why="", now=NOW)
        with ThreadPoolExecutor(1) as pool:
            later = pool.submit(activate, postgres_database, two)
            wait_until_someone_waits(postgres_database)
            earlier.commit()
            with pytest.raises(ActivationConflictError, match="not activated"):
                later.result(timeout=30)
    assert states(postgres_database) == {one: ModelState.ACTIVE, two: ModelState.CANDIDATE}
    with postgres_database.read() as session:
        assert [entry.subject for entry in audit.list_entries(session, 10)] == [f"v{one}"]


def wait_until_someone_waits(database: Database) -> None:
    """Wait until a transaction of this database waits for another's lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with database.read() as session:
            if session.scalar(waiting):
                return
    raise AssertionError("nobody waited for a lock")


def test_a_model_read_before_it_was_retired_can_be_activated(postgres_database: Database) -> None:
    """The row in memory still says `active`, the database `retired`. (On SQLite the second writer would wait.)"""
    one, two = add_models(postgres_database, 2)
    activate(postgres_database, one)
    with postgres_database.write() as session:
        model = session.get_one(Model, one)
        activate(postgres_database, two)
        assert registry.activate_model(session, model, who="ada", why="back", now=NOW) == 3
        assert model.state == ModelState.ACTIVE
    assert states(postgres_database) == {one: ModelState.ACTIVE, two: ModelState.RETIRED}


def test_an_activation_is_audited(database: Database) -> None:
    one, two = add_models(database, 2)
    activate(database, one, who="ada")
    activate(database, two, who="bob")
    with database.read() as session:
        newest, oldest = audit.list_entries(session, 10)
        assert audit.list_entries(session, 1) == [newest]
    assert (newest.who, newest.action, newest.subject, newest.at) == ("bob", "model.activate", f"v{two}", NOW)
    assert newest.detail == {"generation": 2, "before": f"v{one}", "why": "better"}
    assert oldest.detail["before"] is None


def test_a_model_is_found_by_its_version(database: Database) -> None:
    (model_id,) = add_models(database, 1)
    with database.read() as session:
        assert registry.get_model(session, f"v{model_id}").id == model_id
        for wrong in ("v99", "vx", "", "v", "v-1", "v1²", "v" + "9" * 30):
            with pytest.raises(UnknownIdError, match="model list"):
                registry.get_model(session, wrong)


def test_the_times_of_models_are_utc(database: Database) -> None:
    add_models(database, 1)
    with database.read() as session:
        (model,) = registry.list_models(session)
    assert (model.created_at, model.created_at.utcoffset()) == (NOW, timedelta(0))
