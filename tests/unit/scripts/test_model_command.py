"""`facefleet model`: who serves is said by a person, checked first, audited, and told in one document."""

import json
import os
from pathlib import Path

import pytest

from core.models.store import ModelStore
from core.records import PersonClass
from db import audit, beside, registry
from db.engine import Database
from db.swaps import FailedSwap, report_failures
from db.tables import Model
from scripts.common import current_user
from tests import ledger
from tests.factories import make_artifact, make_manifest, put_bytes
from tests.unit.scripts.runner import Run

CLASSES = (PersonClass(person_id=1, name="Ada"), PersonClass(person_id=2, name="Grace"))
REFUSED = {"passed": False, "reason": "Worse than v1: named right 3 of 9 held-out photos, v1 9."}


@pytest.fixture
def store(home: Path) -> ModelStore:
    return ModelStore(home / "artifacts")


@pytest.fixture
def models(database: Database, store: ModelStore) -> list[Model]:
    """Three models with their files, of which the first serves and the third was refused by the gate."""
    gates = [None, {"passed": True, "reason": "Not worse than v1."}, REFUSED]
    made = []
    for seed, gate in enumerate(gates):
        sha256 = make_artifact(store, CLASSES, seed=seed)
        manifest = json.loads(make_manifest(CLASSES, seed=seed, licence="MIT").to_json())
        with database.write() as session:
            model = registry.register_model(
                session,
                sha256=sha256,
                manifest=manifest,
                run_id=None,
                parent_id=made[0].id if made else None,
                now=ledger.NOW,
                gate=gate,
            )
            if not made:
                registry.activate_model(session, model, who="test", why="first model", now=ledger.NOW)
            elif gate is REFUSED:
                registry.reject_model(session, model, who="the gate", why=REFUSED["reason"], now=ledger.NOW)
        made.append(model)
    return made


def serving(database: Database) -> tuple[str, int]:
    with database.read() as session:
        found = registry.require_serving_model(session)
    return found.version, found.generation


def test_a_model_is_activated_by_its_version(run: Run, database: Database, models: list[Model]) -> None:
    ran = run("model", "activate", "v2", "--why", "more people", "--json")
    assert ran.code == 0
    assert ran.document == {"model": "v2", "generation": 2, "activated": True, "before": "v1"}
    assert serving(database) == ("v2", 2)
    with database.read() as session:
        (entry,) = audit.list_entries(session, 1)
    assert (entry.who, entry.subject, entry.detail["why"]) == (current_user(), "v2", "more people")
    assert "v1 serves instead of v2 (generation 3)" in run("model", "activate", "v1").out


def test_activating_what_serves_changes_nothing(run: Run, database: Database, models: list[Model]) -> None:
    ran = run("model", "activate", "v1")
    assert (ran.code, serving(database)) == (0, ("v1", 1))
    assert "serves already (generation 1); nothing was changed" in ran.out
    assert run("model", "activate", "v1", "--json").document["activated"] is False


def test_a_rejected_model_is_activated_only_by_force(run: Run, database: Database, models: list[Model]) -> None:
    ran = run("model", "activate", "v3", "--json")
    assert ran.code == 2
    assert ran.document["error"]["code"] == "model_state"
    assert "v3 was rejected: Worse than v1" in ran.document["error"]["message"]
    assert serving(database) == ("v1", 1)
    assert run("model", "activate", "v3", "--force").code == 0
    assert serving(database) == ("v3", 2)


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_model_without_its_whole_file_is_not_activated(
    run: Run, database: Database, store: ModelStore, models: list[Model], damage: str
) -> None:
    path = store.path(models[1].sha256)
    if damage == "missing":
        path.unlink()
    else:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    for arguments in (["v2"], ["v2", "--force"]):
        ran = run("model", "activate", *arguments, "--json")
        assert ran.code == 1
        assert ran.document["error"]["code"] == ("artifact_missing" if damage == "missing" else "artifact_corrupt")
    assert serving(database) == ("v1", 1)


def test_a_version_that_is_none_is_wrong_usage(run: Run, models: list[Model]) -> None:
    for command in ("activate", "show", "export"):
        assert run("model", command, "v9", *(["x.pt"] if command == "export" else [])).code == 2


def test_rollbacks_go_back_one_model_after_the_other(run: Run, database: Database, models: list[Model]) -> None:
    run("model", "activate", "v2")
    run("model", "activate", "v3", "--force")
    first = run("model", "rollback", "--why", "twins", "--json")
    assert first.document == {"model": "v2", "generation": 4, "activated": True, "before": "v3"}
    assert "v1 serves instead of v2" in run("model", "rollback").out
    last = run("model", "rollback", "--json")
    assert last.code == 2
    assert last.document["error"]["code"] == "nothing_to_undo"
    history = run("model", "history", "--json").document["activations"]
    assert [(each["generation"], each["model"], each["restores"]) for each in history] == [
        (5, "v1", 1),
        (4, "v2", 2),
        (3, "v3", None),
        (2, "v2", None),
        (1, "v1", None),
    ]
    assert history[1]["why"] == "rolled back from v3: twins"
    assert [
        each["generation"] for each in run("model", "history", "--limit", "1", "--json").document["activations"]
    ] == [5]
    assert "rolled back from v3: twins" in run("model", "history").out


def test_a_rollback_to_a_model_without_its_file_changes_nothing(
    run: Run, database: Database, store: ModelStore, models: list[Model]
) -> None:
    run("model", "activate", "v2")
    store.path(models[0].sha256).unlink()
    assert run("model", "rollback").code == 1
    assert serving(database) == ("v2", 2)


def test_before_the_first_model_there_is_nothing_to_go_back_to(run: Run, database: Database) -> None:
    ran = run("model", "rollback", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (1, "no_active_model")
    assert "facefleet retrain" in run("model", "history").out


def test_a_person_rejects_a_model_and_says_why(run: Run, database: Database, models: list[Model]) -> None:
    ran = run("model", "reject", "v2", "--why", "takes twins for each other", "--json")
    assert ran.document == {"model": "v2", "state": "rejected", "why": "takes twins for each other"}
    assert run("model", "activate", "v2").code == 2
    assert "takes twins for each other" in run("model", "show", "v2").out
    assert run("model", "reject", "v1", "--why", "x").code == 2, "it serves"
    assert run("model", "reject", "v3").code == 2, "it takes a reason"


def test_lists_and_pages_of_models_say_their_state_and_what_the_gate_said(
    run: Run, database: Database, models: list[Model]
) -> None:
    with database.write() as session:
        beside.set_canary(session, session.get_one(Model, models[1].id), 0.25, who="ada", now=ledger.NOW)
    listed = run("model", "list", "--json").document["models"]
    assert [(each["version"], each["state"], each["serves"]) for each in listed] == [
        ("v3", "rejected", False),
        ("v2", "shadow", False),
        ("v1", "active", True),
    ]
    assert (listed[0]["reason"], listed[2]["reason"]) == (REFUSED["reason"], None)
    assert (listed[1]["canary_share"], listed[1]["shadow_share"], listed[1]["parent"]) == (0.25, None, "v1")
    assert (listed[1]["licence"], listed[1]["dataset_digest"]) == ("MIT", "0" * 64)
    shown = run("model", "show", "v3", "--json").document
    assert shown["gate"] == REFUSED
    text = run("model", "show", "v3").out
    assert text.count("named right 3 of 9 held-out photos") == 1
    assert "decides 25.0 % of the chunks" in run("model", "show", "v2").out


def test_a_model_says_where_it_could_not_be_loaded(run: Run, database: Database, models: list[Model]) -> None:
    failure = FailedSwap(
        model_id=models[1].id, generation=2, code="artifact_missing", message="It is gone.", attempts=2, at=ledger.NOW
    )
    with database.write() as session:
        report_failures(session, "w/0", [failure], ledger.NOW)
    assert "w/0 could not load v2 (2 times since" in run("model", "show", "v2").out
    [failed] = run("model", "show", "v2", "--json").document["failed_swaps"]
    assert (failed["worker"], failed["code"], failed["attempts"], failed["ended_at"]) == (
        "w/0",
        "artifact_missing",
        2,
        None,
    )
    with database.write() as session:
        report_failures(session, "w/0", [], ledger.NOW)
    assert ", until 2026-11-23" in run("model", "show", "v2").out
    assert run("model", "show", "v1", "--json").document["failed_swaps"] == []


def test_a_model_is_exported_as_it_was_registered(
    run: Run, store: ModelStore, models: list[Model], tmp_path: Path
) -> None:
    file = tmp_path / "model.pt"
    file.write_text("an earlier one")
    ran = run("model", "export", "v2", file, "--json")
    assert ran.code == 0
    size = file.stat().st_size
    assert ran.document == {"model": "v2", "file": str(file), "sha256": models[1].sha256, "bytes": size}
    assert file.read_bytes() == store.path(models[1].sha256).read_bytes()
    assert os.access(file, os.W_OK), "it is the user's own"
    assert "vectors of each person" in run("model", "export", "v2", file).err
    assert [each.name for each in tmp_path.iterdir() if each.name != "home"] == ["model.pt"]


def test_an_export_that_cannot_be_written_leaves_nothing(run: Run, models: list[Model], tmp_path: Path) -> None:
    ran = run("model", "export", "v2", tmp_path / "none" / "model.pt", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (2, "bad_input")
    assert "Nothing was exported" in ran.document["error"]["message"]


def test_files_of_no_model_are_pruned(run: Run, store: ModelStore, models: list[Model]) -> None:
    orphan = put_bytes(store, b"orphan")
    os.utime(store.path(orphan), (0, 0))
    dry = run("model", "prune", "--dry-run", "--json").document
    assert store.path(orphan).exists()
    done = run("model", "prune", "--json").document
    assert dry == {**done, "dry_run": True}
    assert done == {
        "dry_run": False,
        "removed": [{"sha256": orphan, "bytes": 6, "stored_at": "1970-01-01T00:00:00+00:00"}],
        "bytes": 6,
        "kept": 3,
        "registered": 3,
    }
    assert {each.sha256 for each in store.list_artifacts()} == {model.sha256 for model in models}
    assert "0 files removed" in run("model", "prune").out


def test_a_young_file_is_pruned_when_that_is_asked_for(run: Run, store: ModelStore, models: list[Model]) -> None:
    orphan = put_bytes(store, b"orphan")
    assert "0 files removed" in run("model", "prune").out
    assert orphan in run("model", "prune", "--older-than", "0").out


def test_a_store_of_another_fleet_is_pruned_only_by_force(run: Run, database: Database, store: ModelStore) -> None:
    os.utime(store.path(put_bytes(store, b"theirs")), (0, 0))
    ran = run("model", "prune", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (2, "foreign_store")
    assert len(store.list_artifacts()) == 1
    assert run("model", "prune", "--force").code == 0
    assert store.list_artifacts() == []
