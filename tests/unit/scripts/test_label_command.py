"""Saying whom a photo shows, and which of its faces, on the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.records import Split
from db import people
from db.engine import Database
from tests.factories import make_photo
from tests.unit.scripts.runner import Run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "ada.png"
    file.write_bytes(make_photo(0))
    return file


@pytest.fixture
def pair(tmp_path: Path, test_data: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """Two people side by side, and the detector's weights."""
    monkeypatch.setenv("FACEFLEET_WEIGHTS", str(test_data / "weights"))
    known = sorted((test_data / "data" / "lfw_dev" / "known").iterdir())[:2]
    faces = [np.asarray(Image.open(sorted(person.iterdir())[0]))[40:220, 40:220] for person in known]
    file = tmp_path / "pair.png"
    Image.fromarray(np.concatenate(faces, axis=1)).save(file)
    return file


def labelled(database: Database) -> list[people.LabelledPhoto]:
    with database.read() as session:
        return list(people.labelled_photos(session))


def test_a_photo_shows_a_person(run: Run, database: Database, photo: Path) -> None:
    ran = run("label", photo, "--is", "Ada Lovelace", "--json")
    assert ran.code == 0
    assert ran.document == {
        "photo": str(photo),
        "person": "Ada Lovelace",
        "face": None,
        "box": None,
        "added": True,
    }
    (found,) = labelled(database)
    assert (found.person, found.uri, found.split, found.box_xyxy_px) == ("Ada Lovelace", str(photo), Split.TRAIN, None)
    assert "known already" in run("label", photo, "--is", "Ada Lovelace").out


def test_one_face_of_several_is_meant(run: Run, database: Database, pair: Path) -> None:
    ran = run("label", pair, "--face", "1", "--is", "Grace", "--split", "test", "--json")
    assert ran.code == 0
    (found,) = labelled(database)
    assert found.box_xyxy_px is not None
    assert found.box_xyxy_px[0] > 180  # the right one
    assert ran.document["box"] == pytest.approx(found.box_xyxy_px, abs=0.01)
    assert found.split is Split.TEST
    run("label", pair, "--face", "0", "--is", "Ada")
    run("label", pair, "--is", "Ada")  # says nothing new
    ada, grace = sorted(labelled(database), key=lambda face: face.person)
    assert ada.box_xyxy_px is not None and ada.box_xyxy_px[2] < 180
    assert (ada.person, grace.person, grace.box_xyxy_px) == ("Ada", "Grace", found.box_xyxy_px)


def test_a_face_that_is_not_there_is_wrong_usage(run: Run, database: Database, pair: Path) -> None:
    ran = run("label", pair, "--face", "9", "--is", "Ada")
    assert ran.code == 2
    assert "has no face 9: 2 faces found" in ran.err
    assert labelled(database) == []


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_that_cannot_be_adds_nobody(run: Run, database: Database, photo: Path, name: str) -> None:
    assert run("label", photo, "--is", name).code == 2
    assert labelled(database) == []


def test_a_face_without_the_detectors_weights_says_how_to_get_them(run: Run, database: Database, photo: Path) -> None:
    ran = run("label", photo, "--face", "0", "--is", "Ada")
    assert ran.code == 1
    assert "facefleet weights pull yunet" in ran.err
    assert labelled(database) == []


def test_a_file_that_is_no_photo_is_not_labelled(run: Run, database: Database, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    assert run("label", tmp_path / "notes.txt", "--is", "Ada").code == 1
    assert run("label", tmp_path / "missing.jpg", "--is", "Ada").code == 2
    assert labelled(database) == []
