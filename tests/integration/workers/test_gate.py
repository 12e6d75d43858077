"""A trained model before the gate: promoted when it is not worse, kept back when it is, and the reason is said."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from core.clock import utc_now
from core.models.store import ModelStore
from core.records import ModelState, PersonClass, RunState
from core.settings import Settings
from db import audit, people, registry, runs
from db.engine import Database
from db.tables import Model, Run
from tests import stores
from tests.factories import make_artifact, make_face, make_manifest, make_rule, put_bytes
from tests.integration.workers.training import make_context
from tests.stores import AWAY, SCHEME
from workers import publish
from workers.enrolment import import_people
from workers.judge import Judgement
from workers.train import RunEnd, TrainContext, run_training

pytestmark = pytest.mark.one_database

NOBODY = make_rule(threshold=2.0)
"""Names nobody."""


@pytest.fixture
def context(database: Database, tmp_path: Path) -> TrainContext:
    return make_context(database, Settings(home=tmp_path / "home", lease_s=30.0))


def import_photos(
    context: TrainContext, folder: Path, *, tests: int = 3, misleading: bool = False
) -> tuple[PersonClass, ...]:
    """Label photos of two people, some of them held out; misleading training photos show the other person."""
    for person, name in enumerate(["Ada", "Grace"]):
        for split, count in (("train", 3), ("test", tests)):
            if count:
                (folder / split / name).mkdir(parents=True)
            for number in range(count):
                shown = 1 - person if misleading and split == "train" else person
                face = make_face(shown, 64, shade=number if split == "train" else 4 + number)
                Image.fromarray(face).save(folder / split / name / f"{number}.png")
    assert import_people(context.database, context.settings, folder, None, "test").failed == []
    with context.database.read() as session:
        classes, _, _ = people.training_set(session)
    return tuple(classes)


def serve(context: TrainContext, classes: tuple[PersonClass, ...], **changes: object) -> Model:
    """Activate a model that knows these people by sight, whatever it may say of them."""
    sha256 = make_artifact(ModelStore.from_settings(context.settings), classes, **changes)
    manifest = json.loads(make_manifest(classes, **changes).to_json())
    now = utc_now()
    with context.database.write() as session:
        model = registry.register_model(session, sha256=sha256, manifest=manifest, run_id=None, parent_id=None, now=now)
        registry.activate_model(session, model, who="test", why="test", now=now)
        return model


def train(context: TrainContext, **options: object) -> tuple[Run, Model]:
    """Train a small network for one epoch."""
    with context.database.write() as session:
        run = runs.create_run(session, recipe="compact", options={"epochs": 1, **options}, now=utc_now())
    assert run_training(run.id, context) is RunEnd.ENDED
    with context.database.read() as session:
        ended = runs.get_run(session, run.public_id)
        assert ended.state == RunState.SUCCEEDED, ended.reason
        (model,) = [model for model in registry.list_models(session) if model.run_id == run.id]
    return ended, model


def serving(context: TrainContext) -> registry.ServingModel:
    with context.database.read() as session:
        return registry.require_serving_model(session)


def test_the_first_model_is_activated_and_says_so(context: TrainContext, tmp_path: Path) -> None:
    import_photos(context, tmp_path / "faces")
    run, model = train(context)
    assert (run.activated, model.state) == (True, ModelState.ACTIVE)
    assert run.reason == "The first model: none served before it."
    with context.database.read() as session:
        (activation,) = registry.list_activations(session)
    assert activation.why == f"trained by run {run.public_id}. {run.reason}"
    assert (model.gate["passed"], model.gate["against"], model.gate["generation"]) == (True, None, 0)


def test_a_worse_model_is_rejected_and_the_old_one_serves_on(context: TrainContext, tmp_path: Path) -> None:
    old = serve(context, import_photos(context, tmp_path / "faces", misleading=True))
    run, model = train(context)
    assert (run.activated, model.state) == (False, ModelState.REJECTED)
    assert serving(context).model_id == old.id
    assert run.reason is not None
    assert run.reason.startswith(f"Worse than v{old.id}: named right ")
    assert f"v{old.id} 6 (6 lost and 0 gained" in run.reason
    assert run.reason.endswith(f"facefleet model activate v{model.id} --force")
    assert model.rejected_why == model.gate["reason"]
    assert run.reason.startswith(str(model.rejected_why))
    (check, *_) = model.gate["checks"]
    assert (check["measure"], check["lost"], check["passed"]) == ("named right", 6, False)
    assert model.gate["scorecards"]["active"]["tpir"]["count"] == 6
    with context.database.read() as session:
        (entry,) = audit.list_entries(session, 1, f"v{model.id}")
    assert (entry.who, entry.action, entry.detail["why"]) == ("the gate", "model.reject", model.rejected_why)


def test_a_model_that_is_not_worse_takes_the_place_of_the_old_one(context: TrainContext, tmp_path: Path) -> None:
    old = serve(context, import_photos(context, tmp_path / "faces"), rule=NOBODY)
    run, model = train(context)
    assert (run.activated, model.state, model.parent_id) == (True, ModelState.ACTIVE, old.id)
    assert (run.reason or "").startswith(f"Not worse than v{old.id}: named right ")
    with context.database.read() as session:
        newest, _ = registry.list_activations(session)
    assert run.reason is not None
    assert newest.why.endswith(run.reason)


def test_a_model_that_is_not_to_serve_stays_a_candidate_with_the_verdict(context: TrainContext, tmp_path: Path) -> None:
    old = serve(context, import_photos(context, tmp_path / "faces", misleading=True))
    run, model = train(context, activate=False)
    assert (run.activated, model.state, serving(context).model_id) == (False, ModelState.CANDIDATE, old.id)
    assert (run.reason or "").startswith(
        f"v{model.id} was registered and not activated, as asked. Worse than v{old.id}"
    )
    assert not model.gate["passed"]


def test_the_tolerance_of_a_run_is_what_was_asked_for(context: TrainContext, tmp_path: Path) -> None:
    serve(context, import_photos(context, tmp_path / "faces", misleading=True))
    run, model = train(context, tolerance=1.0)
    assert run.activated
    assert model.gate["tolerance"] == 1.0


def test_without_held_out_photos_and_rehearsals_of_the_old_one_nothing_is_changed(
    context: TrainContext, tmp_path: Path
) -> None:
    old = serve(context, import_photos(context, tmp_path / "faces", tests=0))
    run, _ = train(context)
    assert (run.activated, serving(context).model_id) == (False, old.id)
    assert "Nothing tells whether it is worse" in (run.reason or "")
    assert "--split test" in (run.reason or "")


def test_people_whose_photos_are_gone_are_missed(context: TrainContext, tmp_path: Path) -> None:
    """Four of five people's training photos can be read: the fifth would get no name any more."""
    folder = tmp_path / "faces"
    classes = import_photos(context, folder)
    for person, name in enumerate(["Edsger", "Barbara", "Alan"], 2):
        (folder / "more" / name).mkdir(parents=True)
        Image.fromarray(make_face(person, 64)).save(folder / "more" / name / "0.png")
    import_people(context.database, context.settings, folder / "more", None, "test")
    with context.database.read() as session:
        classes = tuple(people.training_set(session)[0])
    old = serve(context, classes, rule=NOBODY)
    (folder / "more" / "Edsger" / "0.png").unlink()
    run, _ = train(context)
    assert (run.activated, serving(context).model_id) == (False, old.id)
    assert f"it does not know 1 person whom v{old.id} knows" in (run.reason or "")
    assert "(Edsger)" in (run.reason or "")


def test_an_old_model_whose_file_is_gone_is_no_reason_to_fail(context: TrainContext, tmp_path: Path) -> None:
    """Workers that start could not load it; what its manifest says of rehearsals is all there is."""
    old = serve(context, import_photos(context, tmp_path / "faces"))
    ModelStore.from_settings(context.settings).path(old.sha256).unlink()
    run, _ = train(context)
    assert "Nothing tells whether it is worse" in (run.reason or "")


def test_a_model_is_judged_anew_when_another_was_activated_meanwhile(
    context: TrainContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no worse than the first, which takes the two for each other as well; against the second it is."""
    classes = import_photos(context, tmp_path / "faces", misleading=True)
    first = serve(context, classes[::-1])
    judged: list[Judgement] = []

    def judge_and_be_late(judging: object, judge: Callable[..., Judgement] = publish.judge) -> Judgement:
        judged.append(judge(judging))
        if len(judged) == 1:
            serve(context, classes, seed=5)
        return judged[-1]

    monkeypatch.setattr(publish, "judge", judge_and_be_late)
    run, model = train(context)
    assert [(each.passed, each.document["against"]) for each in judged] == [
        (True, f"v{first.id}"),
        (False, f"v{serving(context).model_id}"),
    ]
    assert (run.activated, model.state) == (False, ModelState.REJECTED)
    assert serving(context).generation == 2


def test_a_model_that_was_refused_is_judged_anew_too(
    context: TrainContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is worse than the first; the one that was activated meanwhile takes the two for each other as well."""
    classes = import_photos(context, tmp_path / "faces", misleading=True)
    serve(context, classes)
    judged: list[bool] = []

    def judge_and_be_late(judging: object, judge: Callable[..., Judgement] = publish.judge) -> Judgement:
        judgement = judge(judging)
        judged.append(judgement.passed)
        if len(judged) == 1:
            serve(context, classes[::-1])
        return judgement

    monkeypatch.setattr(publish, "judge", judge_and_be_late)
    run, model = train(context)
    assert judged == [False, True]
    assert (run.activated, model.state, serving(context).generation) == (True, ModelState.ACTIVE, 3)


def test_a_run_whose_store_does_not_answer_is_tried_again(context: TrainContext, tmp_path: Path) -> None:
    stores.register()
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    context = replace(context, settings=replace(context.settings, artifacts=f"{SCHEME}://{shelf}"))
    import_photos(context, tmp_path / "faces")
    with context.database.write() as session:
        run = runs.create_run(session, recipe="compact", options={"epochs": 1}, now=utc_now())
    (shelf / AWAY).touch()
    assert run_training(run.id, context) is RunEnd.GIVEN_BACK
    (shelf / AWAY).unlink()
    with context.database.write() as session:
        assert runs.reclaim_expired(session, utc_now()) == 1
    assert run_training(run.id, context) is RunEnd.ENDED
    with context.database.read() as session:
        assert runs.get_run(session, run.public_id).activated
        (model,) = registry.list_models(session)
    assert [file.stem for file in shelf.iterdir()] == [model.sha256]


def test_a_store_full_of_strange_files_does_not_keep_a_model_from_serving(
    context: TrainContext, tmp_path: Path
) -> None:
    store = ModelStore.from_settings(context.settings)
    os.utime(store.path(put_bytes(store, b"somebody else's")), (0, 0))
    import_photos(context, tmp_path / "faces")
    assert train(context)[0].activated
