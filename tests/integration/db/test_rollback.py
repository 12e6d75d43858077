"""A rollback goes back to what served before, the next one further, and never to what was just taken away."""

import pytest

from core.errors import ActivationConflictError, NoActiveModelError, NothingToUndoError
from db import registry
from db.engine import Database
from db.rollback import find_rollback
from db.tables import Model
from tests import ledger
from tests.ledger import NOW


@pytest.fixture
def models(database: Database) -> list[int]:
    """Four models, of which none has served."""
    with database.write() as session:
        return [ledger.add_model(session, f"{digit:064x}") for digit in range(4)]


def activate(database: Database, model_id: int) -> int:
    with database.write() as session:
        return registry.activate_model(session, session.get_one(Model, model_id), who="ada", why="better", now=NOW)


def roll_back(database: Database) -> int:
    """Go back; return the model that serves then."""
    with database.write() as session:
        step = find_rollback(session)
        registry.activate_model(
            session, step.model, who="ada", why="back", now=NOW, expected=step.seen, restores=step.restores
        )
        return step.model.id


def test_rollbacks_walk_back_to_the_first_and_then_say_that_nothing_is_left(
    database: Database, models: list[int]
) -> None:
    one, two, three, _ = models
    for model_id in (one, two, three):
        activate(database, model_id)
    assert [roll_back(database), roll_back(database)] == [two, one]
    with pytest.raises(NothingToUndoError, match=f"Nothing served before v{one}"):
        roll_back(database)
    with database.read() as session:
        history = [(act.generation, act.model_id, act.restores) for act in registry.list_activations(session)]
    assert history == [(5, one, 1), (4, two, 2), (3, three, None), (2, two, None), (1, one, None)]


def test_a_rollback_after_a_new_activation_goes_to_what_served_before_that(
    database: Database, models: list[int]
) -> None:
    one, two, three, four = models
    for model_id in (one, two, three):
        activate(database, model_id)
    assert roll_back(database) == two
    activate(database, four)
    assert [roll_back(database), roll_back(database)] == [two, one]


def test_activating_the_same_model_again_is_no_step(database: Database, models: list[int]) -> None:
    one, two, *_ = models
    for model_id in (one, two, two):
        activate(database, model_id)
    assert roll_back(database) == one


def test_a_model_that_was_rejected_since_is_passed_over(database: Database, models: list[int]) -> None:
    one, two, three, _ = models
    for model_id in (one, two, three):
        activate(database, model_id)
    with database.write() as session:
        registry.reject_model(session, session.get_one(Model, two), who="ada", why="twins", now=NOW)
    assert roll_back(database) == one


def test_there_is_nothing_to_go_back_to_before_the_second_model(database: Database, models: list[int]) -> None:
    with pytest.raises(NoActiveModelError):
        roll_back(database)
    activate(database, models[0])
    with pytest.raises(NothingToUndoError):
        roll_back(database)


def test_a_rollback_decided_before_another_activation_is_refused(database: Database, models: list[int]) -> None:
    one, two, three, _ = models
    for model_id in (one, two):
        activate(database, model_id)
    with database.read() as session:
        step = find_rollback(session)
    activate(database, three)
    with database.write() as session, pytest.raises(ActivationConflictError):
        model = session.get_one(Model, step.model.id)
        registry.activate_model(
            session, model, who="ada", why="back", now=NOW, expected=step.seen, restores=step.restores
        )
