"""Photographs through the whole fleet: faces are found, learned from, named, and stored with where they are.

On real photos with the real pretrained weights; both lie in the test data.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from sqlalchemy import select

from core.clock import utc_now
from core.records import FaceOutcome, FacesMode, ItemOutcome, RunState
from core.weights.spec import DEFAULT_EMBEDDER
from core.weights.store import WeightsStore
from db import people, registry, runs
from db.people import clean_name
from db.tables import Embedding, Face, Item, Label, Photo
from tests.integration.workers.fleet import SmallFleet
from tests.integration.workers.test_train_end_to_end import wait_ended
from workers.enrolment import import_people

PEOPLE, LEARNED = 8, 3


def copy_photos(fleet: SmallFleet, test_data: Path) -> tuple[list[str], Path]:
    """Sort photos into labelled ones and ones to identify; return the people and the folder of the latter."""
    known = sorted((test_data / "data" / "lfw_dev" / "known").iterdir())[:PEOPLE]
    album = fleet.folder / "album"
    album.mkdir()
    for person in known:
        files = sorted(person.iterdir())
        labelled = fleet.folder / "labelled" / person.name
        labelled.mkdir(parents=True)
        for file in files[:LEARNED]:
            (labelled / file.name).symlink_to(file)
        for file in files[LEARNED : LEARNED + 3]:
            (album / file.name).symlink_to(file)
    for file in sorted((test_data / "data" / "lfw_dev" / "strangers").rglob("*.jpg"))[:24]:
        (album / f"stranger_{file.name}").symlink_to(file)
    Image.new("RGB", (640, 480), (90, 120, 80)).save(album / "meadow.png")
    return [clean_name(person.name) for person in known], album


def label_two_faces(fleet: SmallFleet, files: list[Path], name: str) -> Path:
    """Put two people's photos side by side and label the picture as one of them, without saying which."""
    left, right = (np.asarray(Image.open(file)) for file in files)
    folder = fleet.folder / "pairs" / name
    folder.mkdir(parents=True)
    Image.fromarray(np.concatenate([left, right], axis=1)).save(folder / "pair.png")
    import_people(fleet.database, fleet.settings, folder.parent, None, "test")
    return folder / "pair.png"


def train(fleet: SmallFleet) -> runs.Run:
    options = {"backbone": DEFAULT_EMBEDDER, "faces": "detect", "seed": 0, "activate": True}
    with fleet.database.write() as session:
        run = runs.create_run(session, recipe="head", options=options, now=utc_now())
    fleet.doorbell.ring_run(run.id)
    return wait_ended(fleet, run)


def test_people_are_found_learned_and_named_in_photographs(sqlite_fleet: SmallFleet, test_data: Path) -> None:
    fleet = sqlite_fleet
    fleet.settings = replace(fleet.settings, weights=str(test_data / "weights"))
    names, album = copy_photos(fleet, test_data)
    import_people(fleet.database, fleet.settings, fleet.folder / "labelled", None, "test")
    labelled = [next((fleet.folder / "labelled" / name).iterdir()) for name in names[:2]]
    pair = label_two_faces(fleet, labelled, names[0])
    fleet.start("train")
    fleet.start("identify")

    ended = train(fleet)
    assert ended.state == RunState.SUCCEEDED, ended.reason
    with fleet.database.read() as session:
        serving = registry.require_serving_model(session)
        manifest = registry.get_model(session, serving.version).manifest
    assert manifest["backbone"] == DEFAULT_EMBEDDER
    assert manifest["faces"] == "detect"
    assert "Apache-2.0" in manifest["licence"] and "MIT" in manifest["licence"]
    spec = WeightsStore.from_settings(fleet.settings).get_spec(DEFAULT_EMBEDDER)
    assert manifest["backbone_sha256"] == spec.digest
    assert {"uri": str(pair), "code": "several_faces"} in manifest["metrics"]["photos_left_out"]["first"]

    job = fleet.wait_done(fleet.submit(album, faces_mode=FacesMode.DETECT))
    assert (job.total, job.items_error) == (PEOPLE * 3 + 25, 0)
    with fleet.database.read() as session:
        called = people.person_names(session, set(session.scalars(select(Face.person_id)).all()) - {None})
        items = {Path(item.uri).name: item for item in session.scalars(select(Item)).all()}
        faces = session.scalars(select(Face)).all()
        kept = session.scalars(select(Embedding)).all()
    assert items["meadow.png"].outcome == ItemOutcome.NO_FACE

    by_ordinal = {item.ordinal: name for name, item in items.items()}
    right = wrong = strangers = 0
    for face in faces:
        if face.outcome == FaceOutcome.IDENTIFIED:
            file = by_ordinal[face.ordinal]
            strangers += file.startswith("stranger_")
            right += file.startswith(called[face.person_id].replace(" ", "_"))
            wrong += not file.startswith((called[face.person_id].replace(" ", "_"), "stranger_"))
    assert right >= 0.9 * PEOPLE * 3
    assert wrong == 0
    assert strangers <= 1

    assert all(0 <= face.x1 < face.x2 <= 250 and 0 <= face.y1 < face.y2 <= 250 for face in faces)
    assert all(len(face.landmarks_px) == 5 and face.quality is not None for face in faces)
    assert all((face.outcome == FaceOutcome.LOW_QUALITY) == bool(face.quality_reasons) for face in faces)
    assert len(kept) == len(faces)
    assert {len(row.vector) for row in kept} == {2 * 256}
    assert {row.backbone_sha256.hex() for row in kept} == {spec.digest}

    crops = fleet.wait_done(fleet.submit(album, faces_mode=FacesMode.CROP))
    assert crops.items_error == crops.total  # each photo says that this model finds faces

    with fleet.database.write() as session:
        label = session.scalars(
            select(Label).join(Photo, Photo.id == Label.photo_id).where(Photo.uri == str(pair))
        ).one()
        label.box_xyxy_px = [60.0, 60.0, 190.0, 190.0]  # the left one
    train(fleet)
    with fleet.database.read() as session:
        again = registry.get_model(session, registry.require_serving_model(session).version).manifest
    skipped = [photo["uri"] for photo in again["metrics"]["photos_left_out"]["first"]]
    assert str(pair) not in skipped
    assert again["train_count"] == manifest["train_count"] + 1
