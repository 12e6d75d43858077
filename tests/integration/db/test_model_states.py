"""States of models: which change follows on which, the one that stands beside, and what a person rejected."""

import pytest

from core.errors import ActivationConflictError, FacefleetError, InputError, ModelStateError, NoActiveModelError
from core.records import ModelState
from db import audit, beside, registry
from db.engine import Database
from db.model_states import CHANGES, check_change
from db.tables import Model
from tests import ledger
from tests.ledger import NOW

REFUSAL = {"passed": False, "reason": "It names 12 % fewer."}


def add_models(database: Database, number: int) -> list[int]:
    """Register models of which the first serves."""
    with database.write() as session:
        ids = [ledger.add_model(session, f"{digit:064x}") for digit in range(number)]
        registry.activate_model(session, session.get_one(Model, ids[0]), who="ada", why="first", now=NOW)
    return ids


def shadow(database: Database, model_id: int, share: float = 0.5) -> None:
    with database.write() as session:
        beside.set_shadow(session, session.get_one(Model, model_id), share, who="ada", now=NOW)


def activate(database: Database, model_id: int, **options: object) -> int:
    with database.write() as session:
        model = session.get_one(Model, model_id)
        return registry.activate_model(session, model, who="ada", why="better", now=NOW, **options)


def reject(database: Database, model_id: int) -> None:
    with database.write() as session:
        registry.reject_model(session, session.get_one(Model, model_id), who="ada", why="it confuses twins", now=NOW)


def states(database: Database) -> dict[int, str]:
    with database.read() as session:
        return {model.id: model.state for model in registry.list_models(session)}


def test_every_state_says_what_may_follow() -> None:
    assert set(CHANGES) == set(ModelState)
    for before, allowed in CHANGES.items():
        for after in ModelState:
            model = Model(id=7, state=before)
            if after in allowed:
                check_change(model, after)
            else:
                with pytest.raises(ModelStateError, match=f"v7 is {before} and cannot become {after}"):
                    check_change(model, after)


def test_a_shadow_stands_beside_the_active_model_with_its_share(database: Database) -> None:
    _, two = add_models(database, 2)
    shadow(database, two, 0.25)
    with database.read() as session:
        found = beside.model_beside(session)
        serving = registry.require_serving_model(session)
    assert found == beside.BesideModel(model_id=two, sha256=f"{1:064x}", shadow_share=0.25, canary_share=None)
    assert serving.generation == 1
    assert states(database)[two] == ModelState.SHADOW


def test_a_canary_takes_the_place_of_a_shadow_and_both_are_audited(database: Database) -> None:
    _, two, three = add_models(database, 3)
    shadow(database, two)
    with database.write() as session:
        beside.set_canary(session, session.get_one(Model, three), 0.1, who="bob", now=NOW)
    with database.read() as session:
        found = beside.model_beside(session)
        entries = [(entry.action, entry.subject) for entry in audit.list_entries(session, 3)]
    assert found is not None
    assert (found.model_id, found.shadow_share, found.canary_share) == (three, None, 0.1)
    assert states(database)[two] == ModelState.CANDIDATE
    assert entries == [("model.canary", f"v{three}"), ("model.clear", f"v{two}"), ("model.shadow", f"v{two}")]


def test_four_models_put_beside_at_once_leave_one_there(database: Database) -> None:
    _, *others = add_models(database, 5)
    ends = ledger.race([lambda m=model_id: shadow(database, m) for model_id in others])
    assert ends == [None] * 4
    assert sorted(states(database).values()) == ["active", "candidate", "candidate", "candidate", "shadow"]


def test_a_model_that_is_taken_away_is_again_what_it_was(database: Database) -> None:
    one, two = add_models(database, 2)
    activate(database, two)
    for model_id, rest in ((one, ModelState.RETIRED),):
        shadow(database, model_id)
        with database.write() as session:
            assert beside.clear(session, who="ada", now=NOW) == f"v{model_id}"
            assert beside.clear(session, who="ada", now=NOW) is None
        assert states(database)[model_id] == rest
        with database.read() as session:
            assert session.get_one(Model, model_id).shadow_share is None
            assert beside.model_beside(session) is None


def test_a_shadow_that_is_activated_stands_beside_no_longer(database: Database) -> None:
    one, two = add_models(database, 2)
    shadow(database, two)
    activate(database, two)
    with database.read() as session:
        assert beside.model_beside(session) is None
        assert session.get_one(Model, two).shadow_share is None
    assert states(database) == {one: ModelState.RETIRED, two: ModelState.ACTIVE}


def test_an_activation_leaves_another_model_beside(database: Database) -> None:
    _, two, three = add_models(database, 3)
    shadow(database, two)
    activate(database, three)
    with database.read() as session:
        found = beside.model_beside(session)
    assert found is not None
    assert found.model_id == two


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, float("nan")])
def test_a_share_that_is_none_is_refused(database: Database, share: float) -> None:
    _, two = add_models(database, 2)
    with pytest.raises(InputError, match="Nothing was changed"):
        shadow(database, two, share)
    assert states(database)[two] == ModelState.CANDIDATE


def test_the_active_model_cannot_stand_beside_itself_nor_be_rejected(database: Database) -> None:
    (one,) = add_models(database, 1)
    with pytest.raises(ModelStateError, match="is active and cannot become shadow"):
        shadow(database, one)
    with pytest.raises(ModelStateError, match="Activate another model first"):
        reject(database, one)


def test_nothing_stands_beside_no_model(database: Database) -> None:
    with database.write() as session:
        model_id = ledger.add_model(session)
    with pytest.raises(NoActiveModelError):
        shadow(database, model_id)


def test_a_rejected_model_serves_only_if_somebody_insists(database: Database) -> None:
    _, two = add_models(database, 2)
    reject(database, two)
    for refused in (lambda: shadow(database, two), lambda: activate(database, two)):
        with pytest.raises(ModelStateError, match="--force"):
            refused()
    assert activate(database, two, override=True) == 2
    with database.read() as session:
        assert session.get_one(Model, two).rejected_why is None
        entry, *_ = audit.list_entries(session, 1, f"v{two}")
    assert entry.detail["overrides"] == "it confuses twins"


def test_a_candidate_that_the_gate_refused_serves_only_if_somebody_insists(database: Database) -> None:
    """It was left a candidate, as asked; once it has served it may serve again."""
    one, two = add_models(database, 2)
    with database.write() as session:
        session.get_one(Model, two).gate = REFUSAL
    with pytest.raises(ModelStateError, match=r"rejected: It names 12 % fewer\. Nothing"):
        activate(database, two)
    with database.write() as session, pytest.raises(ModelStateError, match="12 % fewer"):
        beside.set_canary(session, session.get_one(Model, two), 0.5, who="ada", now=NOW)
    activate(database, two, override=True)
    activate(database, one)
    assert activate(database, two) == 4


def test_whoever_decided_on_an_older_generation_is_told(database: Database) -> None:
    one, two, three = add_models(database, 3)
    activate(database, two, expected=1)
    with pytest.raises(ActivationConflictError, match=f"v{three} was not activated"):
        activate(database, three, expected=1)
    assert states(database) == {one: ModelState.RETIRED, two: ModelState.ACTIVE, three: ModelState.CANDIDATE}


def test_of_two_activations_decided_on_one_generation_one_wins(database: Database) -> None:
    _, two, three = add_models(database, 3)

    def decide(model_id: int) -> int:
        return activate(database, model_id, expected=1)

    ends = ledger.race([lambda: decide(two), lambda: decide(three)])
    assert sorted(type(end).__name__ for end in ends) == ["ActivationConflictError", "int"]
    assert not any(isinstance(end, Exception) and not isinstance(end, FacefleetError) for end in ends)
    with database.read() as session:
        assert [act.generation for act in registry.list_activations(session)] == [2, 1]
