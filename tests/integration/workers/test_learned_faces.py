"""A second training run takes what the first saw in the photos: it needs none of their files for the same weights.

On real photos with the real pretrained weights; both lie in the test data.
"""

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from sqlalchemy import select

from core.clock import utc_now
from core.models.artifact import Artifact, unpack_artifact
from core.models.store import ModelStore
from core.records import ErrorRecord, Example, LearnedFace, RunState
from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER
from db import registry, runs
from db.engine import Database
from db.tables import EmbeddingWay, Label, Photo, PhotoEmbedding, Run
from tests.integration.workers.training import make_context
from workers.collect import collect_embeddings
from workers.enrolment import import_people
from workers.seen import LedgerFaces
from workers.train import RunEnd, TrainContext, run_training

pytestmark = pytest.mark.one_database

PEOPLE, LEARNED = 4, 2


@pytest.fixture
def context(database: Database, tmp_path: Path, test_data: Path) -> TrainContext:
    return make_context(database, Settings(home=tmp_path / "home", lease_s=30.0, weights=str(test_data / "weights")))


@pytest.fixture
def photos(context: TrainContext, tmp_path: Path, test_data: Path) -> list[Path]:
    """Labelled photos of a few people; each has one more for the figures."""
    files = []
    for person in sorted((test_data / "data" / "lfw_dev" / "known").iterdir())[:PEOPLE]:
        for number, file in enumerate(sorted(person.iterdir())[: LEARNED + 1]):
            folder = tmp_path / "people" / ("train" if number < LEARNED else "test") / person.name
            folder.mkdir(parents=True, exist_ok=True)
            files.append(Path(shutil.copy(file, folder)))
    report = import_people(context.database, context.settings, tmp_path / "people", None, "test")
    assert report.photos_added == len(files)
    return files


def train(context: TrainContext, recipe: str = "head", **options: object) -> Run:
    values = {"backbone": DEFAULT_EMBEDDER, "faces": "detect", "seed": 3, "tolerance": 1.0, **options}
    with context.database.write() as session:
        run = runs.create_run(session, recipe=recipe, options=values, now=utc_now())
    assert run_training(run.id, context) is RunEnd.ENDED
    with context.database.read() as session:
        return runs.get_run(session, run.public_id)


def artifact_of(context: TrainContext, run: Run) -> Artifact:
    with context.database.read() as session:
        model = registry.model_of_run(session, run.id)
    assert model is not None, run.reason
    return unpack_artifact(ModelStore.from_settings(context.settings).path(model.sha256).read_bytes())


def weights(artifact: Artifact) -> dict[str, bytes]:
    module = artifact.load_module(torch.device("cpu"))
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


def kept(context: TrainContext) -> list[PhotoEmbedding]:
    with context.database.read() as session:
        return list(session.scalars(select(PhotoEmbedding)).all())


def test_a_second_run_needs_no_photo_and_gives_the_same_weights(context: TrainContext, photos: list[Path]) -> None:
    first = train(context)
    assert (first.state, first.activated) == (RunState.SUCCEEDED, True), first.reason
    rows = kept(context)
    assert len(rows) == PEOPLE * (LEARNED + 1)
    assert {len(row.vector or b"") for row in rows} == {4 * 256}

    for photo in photos:
        photo.unlink()
    again = train(context)
    assert (again.state, again.activated) == (RunState.SUCCEEDED, True), again.reason
    before, after = artifact_of(context, first), artifact_of(context, again)
    assert weights(before) == weights(after)
    assert before.gallery.tobytes() == after.gallery.tobytes()
    assert before.manifest.rule == after.manifest.rule
    assert before.manifest.metrics == after.manifest.metrics
    assert kept(context) and len(kept(context)) == len(rows)


def test_a_photo_in_another_way_or_with_another_face_is_read_again(context: TrainContext, photos: list[Path]) -> None:
    train(context)
    with context.database.write() as session:
        photo = session.scalars(select(Photo).where(Photo.uri.endswith(photos[0].name))).one()
        label = session.scalars(select(Label).where(Label.photo_id == photo.id)).one()
        label.box_xyxy_px = [70.0, 70.0, 180.0, 180.0]
    train(context)
    assert len(kept(context)) == len(photos) + 1

    for file in photos:
        file.unlink()
    boxes = train(context)
    assert boxes.state == RunState.SUCCEEDED
    whole = train(context, faces="crop")
    assert whole.state == RunState.FAILED, "photos that are taken whole were not seen yet"
    tuned = train(context, "finetune")
    assert tuned.state == RunState.FAILED, "a backbone that is trained sees photos anew"


@pytest.mark.long  # two more runs like those before
def test_a_file_that_was_exchanged_is_not_taken_for_the_photo_that_was_labelled(
    context: TrainContext, photos: list[Path]
) -> None:
    original = photos[0].read_bytes()
    shutil.copy(photos[LEARNED + 1], photos[0])
    train(context)
    assert len(kept(context)) == len(photos) - 1
    photos[0].write_bytes(original)
    train(context)
    assert len(kept(context)) == len(photos)


def test_what_a_trainer_adds_is_there_whole_or_not_at_all(context: TrainContext, photos: list[Path]) -> None:
    with context.database.read() as session:
        shas = session.scalars(select(Photo.sha256)).all()
    cache = LedgerFaces(context.database, "a" * 64, lambda example: False, utc_now)
    good = LearnedFace(vector=os.urandom(1024))
    broken = LearnedFace(vector=None, error=ErrorRecord(code="no_face", message=object()))  # type: ignore[arg-type]
    faces = [(Example(uri="x", class_index=0, sha256=sha), good) for sha in shas]
    with pytest.raises(Exception, match="object"):
        cache.add([*faces[:-1], (faces[-1][0], broken)])
    assert kept(context) == []
    cache.add(faces)
    assert len(kept(context)) == len(shas)


@pytest.mark.long  # a run more, for what tests/integration/db/test_photo_embeddings.py holds without one
def test_what_no_run_sees_any_more_is_collected_and_what_the_last_one_saw_stays(
    context: TrainContext, photos: list[Path]
) -> None:
    old = replace(context, clock=lambda: utc_now() - timedelta(days=40))
    with context.database.read() as session:
        shas = session.scalars(select(Photo.sha256)).all()
    faces = [(Example(uri="x", class_index=0, sha256=sha), LearnedFace(vector=os.urandom(64))) for sha in shas]
    for way in "ab":
        LedgerFaces(context.database, way * 64, lambda example: False, old.clock).add(faces)
    assert collect_embeddings(context.database, utc_now()) == len(shas)
    with context.database.read() as session:
        assert [way[0] for way in session.scalars(select(EmbeddingWay.digest))] == ["b"]
    train(context)
    assert collect_embeddings(context.database, utc_now()) == len(shas)
    assert {len(row.vector or b"") for row in kept(context)} == {4 * 256}
    assert collect_embeddings(context.database, utc_now() + timedelta(days=400)) == 0
