from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.records import EpochProgress, RunState
from core.training.prototypes import HEAD
from core.training.recipes import DEFAULT_RECIPE, RECIPES
from db import labels, people, runs
from db.engine import Database
from db.registry import activate_model, register_model
from db.tables import Person
from db.tables import Run as RunRow
from scripts import waiting
from scripts.common import Invocation, current_user
from scripts.training_choice import SCRATCH_RECIPES
from scripts.waiting import why_run_waits
from tests import ledger
from tests.unit.scripts.runner import Run
from workers.preparation import FINETUNE_RECIPE, HEAD_RECIPE

MANIFEST = {
    "backbone": "compact",
    "recipe": "compact",
    "classes": [{"person_id": 1, "name": "Ada"}, {"person_id": 2, "name": "Grace"}],
    "metrics": {
        "test": {"photos": 4, "rank1_accuracy": 0.75, "tpir": 0.5, "fpir": None, "confusions": []},
        "photos_left_out": {
            "count": 3,
            "by_code": {"several_faces": 2, "photo_broken": 1},
            "first": [{"uri": "/faces/party.jpg", "code": "several_faces"}],
        },
    },
    "train_count": 6,
    "test_count": 4,
    "seed": 0,
    "input_size_px": 96,
    "faces": "crop",
    "dataset_digest": "d" * 64,
    "rule": {"threshold": 0.5, "margin": 0.05, "fpir_target": 0.01, "basis": "held-out identities"},
}


@pytest.fixture
def two_people(database: Database) -> Database:
    """A ledger with one training photo of each of two people."""
    with database.write() as session:
        for number, name in enumerate(("Ada", "Grace")):
            label_one(session, people.get_or_add_person(session, name, ledger.NOW), number)
    return database


def label_one(session: Session, person: Person, number: int) -> None:
    """Label one training photo."""
    labels.label_photo(
        session,
        person=person,
        sha256=f"{number:064x}",
        uri=f"/faces/{number}.jpg",
        split=people.Split.TRAIN,
        author="test",
        now=ledger.NOW,
    )


def test_a_queued_run_is_one_document_with_stable_keys(run: Run, two_people: Database) -> None:
    ran = run("retrain", "--epochs", "3", "--seed", "7", "--no-activate", "--json")

    (row,) = all_runs(two_people)
    assert ran.code == 3  # no Redis here
    assert ran.document == {
        "run": row.public_id,
        "state": "queued",
        "model": None,
        "activated": False,
        "reason": None,
    }
    assert row.recipe == "compact"
    assert row.options == {
        "backbone": "compact",
        "faces": "crop",
        "epochs": 3,
        "fpir": 0.01,
        "seed": 7,
        "tolerance": 0.01,
        "activate": False,
        "who": current_user(),
    }


def test_a_run_that_nobody_will_take_up_says_so(run: Run, two_people: Database) -> None:
    ran = run("retrain", "--wait")

    assert ran.code == 3
    assert "No trainer runs: the run waits for one." in ran.err
    assert "FACEFLEET_REDIS_URL is not set" in ran.err


def test_the_recipes_are_those_of_the_training_package() -> None:
    assert {*SCRATCH_RECIPES, FINETUNE_RECIPE} == set(RECIPES)
    assert [RECIPES[name].backbone for name in (*SCRATCH_RECIPES, FINETUNE_RECIPE)] == [*SCRATCH_RECIPES, None]
    assert SCRATCH_RECIPES[0] == DEFAULT_RECIPE
    assert HEAD.name == HEAD_RECIPE


@pytest.mark.parametrize(
    ("arguments", "recipe"),
    [
        ([], "compact"),
        (["--recipe", "seed"], "seed"),
        (["--backbone", "seed"], "seed"),
        (["--faces", "detect"], "head"),
        (["--backbone", "face-reidentification-retail-0095"], "head"),
    ],
)
def test_a_recipe_or_its_network_may_be_named(
    run: Run, two_people: Database, arguments: list[str], recipe: str
) -> None:
    run("retrain", *arguments)

    assert [row.recipe for row in all_runs(two_people)] == [recipe]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--recipe", "seed", "--backbone", "compact"],
        ["--recipe", "resnet"],
        ["--backbone", "resnet"],
        ["--backbone", "yunet"],
        ["--faces", "some"],
        ["--epochs", "0"],
        ["--seed", "-1"],
        ["--fpir", "1"],
        ["--fpir", "0"],
        ["--fpir", "nan"],
        ["--fpir", "few"],
    ],
)
def test_what_cannot_be_trained_is_wrong_usage(run: Run, two_people: Database, arguments: list[str]) -> None:
    assert run("retrain", *arguments).code == 2
    assert all_runs(two_people) == []


def test_too_few_people_are_told_before_anything_is_queued(run: Run, database: Database) -> None:
    ran = run("retrain", "--json")

    assert ran.code == 1
    assert ran.document["error"]["code"] == "too_few_people"
    assert "facefleet people import" in ran.document["error"]["message"]
    assert all_runs(database) == []


@pytest.mark.parametrize(("backbone", "code"), [("compact", 1), ("face-reidentification-retail-0095", 3)])
def test_one_person_is_enough_on_pretrained_weights_alone(
    run: Run, database: Database, backbone: str, code: int
) -> None:
    with database.write() as session:
        label_one(session, people.get_or_add_person(session, "Ada", ledger.NOW), 0)

    assert run("retrain", "--backbone", backbone, "--fpir", "0.05").code == code  # 3: queued, and no Redis here
    assert [row.options["fpir"] for row in all_runs(database)] == [0.05] * (code == 3)


def test_waiting_ends_when_the_run_does(two_people: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.01)
    with two_people.write() as session:
        row = runs.create_run(session, recipe="compact", options={}, now=ledger.NOW)
    with two_people.write() as session:
        lease = runs.claim_run(session, row.id, "trainer", utc_now(), 60)
        assert lease is not None
        epoch = EpochProgress(
            epoch=1,
            epochs=2,
            train_loss=1,
            train_accuracy=1,
            val_loss=None,
            val_accuracy=None,
            learning_rate=1,
            seconds=1,
        )
        runs.record_epoch(session, lease, epoch)
        runs.finish_run(session, lease, RunState.SUCCEEDED, now=utc_now(), reason=None)

    ended = waiting.wait_for_run(two_people, row.public_id, Invocation(as_json=False))

    assert ended.state == RunState.SUCCEEDED


def test_a_model_is_found_by_its_run_and_shown_with_its_figures(run: Run, two_people: Database) -> None:
    add_served_model(two_people)

    shown = run("model", "show", "v1", "--json").document
    assert shown["version"] == "v1"
    assert shown["classes"] == 2
    assert shown["metrics"] == MANIFEST["metrics"]
    assert shown["threshold"] == 0.5
    assert shown["manifest"] == MANIFEST
    assert [activation["generation"] for activation in shown["activations"]] == [1]
    text = run("model", "show", "v1").out
    assert "75.0 %" in text
    assert "held-out identities" in text
    assert "first model" in text
    assert "2 photos: several faces" in text and "facefleet label PHOTO --face N" in text
    assert "1 photo: photo_broken" in text
    assert "/faces/party.jpg: several_faces" in text and "and 2 more" in text


def test_models_are_listed_with_the_one_that_serves(run: Run, two_people: Database) -> None:
    add_served_model(two_people)

    (listed,) = run("model", "list", "--json").document["models"]
    assert (listed["version"], listed["serves"], listed["generation"]) == ("v1", True, 1)
    assert "v1     active  compact" in run("model", "list").out


def test_without_models_the_list_says_what_to_type(run: Run, database: Database) -> None:
    assert "facefleet retrain" in run("model", "list").out
    assert run("model", "show", "v1").code == 2


def test_a_trainer_that_reported_long_ago_is_gone(two_people: Database) -> None:
    from db.nodes import NodeReport, report_node

    report = NodeReport(name="n/0", role="train", host="n", pid=1, device="cpu", started_at=ledger.NOW)
    with two_people.write() as session:
        report_node(session, report, ledger.NOW, advanced=False)
    with two_people.read() as session:
        assert why_run_waits(session, ledger.NOW + timedelta(seconds=5)) is None
        assert "facefleet trainer" in (why_run_waits(session, ledger.NOW + timedelta(minutes=5)) or "")


def add_served_model(database: Database) -> None:
    with database.write() as session:
        model = register_model(session, sha256="a" * 64, manifest=MANIFEST, run_id=None, parent_id=None, now=ledger.NOW)
        activate_model(session, model, who="test", why="first model", now=ledger.NOW)


def all_runs(database: Database) -> list[RunRow]:
    with database.read() as session:
        return session.query(RunRow).order_by(RunRow.id).all()


def test_the_same_training_asked_for_twice_is_queued_once_and_says_so(run: Run, two_people: Database) -> None:
    first, again, other = (run("retrain", "--seed", seed, "--json") for seed in ("1", "1", "2"))
    assert first.document["run"] == again.document["run"] != other.document["run"]
    assert "The same training is queued already" in again.err
    assert "queued already" not in first.err + other.err
    assert len(all_runs(two_people)) == 2
