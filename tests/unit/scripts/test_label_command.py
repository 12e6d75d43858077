"""Saying whom a photo shows, and which of its faces, on the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.records import Split
from db import people
from db.engine import Database
from scripts.common import current_user
from tests import labelled as labelled_faces
from tests import ledger
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
        "verdict": "is",
        "person": "Ada Lovelace",
        "added": 1,
        "faces": [],
        "photos": [{"photo": str(photo), "face": None, "box": None}],
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
    assert ran.document["photos"][0]["box"] == pytest.approx(found.box_xyxy_px, abs=0.01)
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


@pytest.fixture
def faces(database: Database) -> tuple[str, str]:
    """The ids of two faces: the model took the first for Ada before Bob, and the second for nobody."""
    ada, bob = ledger.add_people(database, "Ada", "Bob")
    photos = [
        ledger.result(0, labelled_faces.ranked((ada, 0.9), (bob, 0.7))),
        ledger.result(1, labelled_faces.ranked((bob, 0.3))),
    ]
    job_id = labelled_faces.store(database, labelled_faces.add_model(database), *photos)
    public = ledger.get_job(database, job_id).public_id
    return f"{public}-0-0", f"{public}-1-0"


def named(run: Run) -> list[str | None]:
    return [row["person"] for row in run("results", "--json").document["results"]]


def test_a_correction_of_a_face_shows_at_once_and_is_undone(run: Run, faces: tuple[str, str]) -> None:
    one, _ = faces
    assert run("label", one, "--is-not", "ada").out == f"{one}: is not Ada.\n  {one} is now identified as Bob\n"
    assert named(run) == ["Bob", None]
    row = run("results", "--json").document["results"][0]
    assert row["label"]["verdict"] == "is_not"
    assert row["label"]["author"] == current_user()
    ran = run("label", one, "--undo", "--json")
    assert ran.document["undone"] == 1
    assert ran.document["faces"] == [{"face": one, "outcome": "identified", "person": "Ada", "reasons": []}]
    assert named(run) == ["Ada", None]


def test_several_faces_are_labelled_at_once(run: Run, faces: tuple[str, str]) -> None:
    assert run("label", *faces, "--is", "Carl").out.startswith("2 faces: is Carl.\n")
    assert named(run) == ["Carl", "Carl"]
    rows = run("results", "--person", "Carl", "--min-confidence", "0.99", "--json").document["results"]
    assert [(row["confidence"], row["candidate"]) for row in rows] == [(1.0, "Ada"), (1.0, "Bob")]
    assert "was known already" in run("label", faces[0], "--is", "Carl").out


@pytest.mark.parametrize(
    ("option", "words", "decided"),
    [
        ("--stranger", "is none of the people", "unknown"),
        ("--not-a-face", "is no face", "low quality"),
        ("--ignore", "is to be ignored", "low quality"),
    ],
)
def test_what_takes_a_name_away_says_so(
    run: Run, faces: tuple[str, str], option: str, words: str, decided: str
) -> None:
    assert run("label", faces[0], option).out == f"{faces[0]}: {words}.\n  {faces[0]} is now {decided}\n"
    assert named(run) == [None, None]


def test_the_history_of_a_face_is_shown(run: Run, faces: tuple[str, str]) -> None:
    run("label", faces[0], "--is-not", "Ada")
    run("label", faces[0], "--is", "Carl")
    run("label", faces[0], "--undo")
    (history,) = run("label", faces[0], "--history", "--json").document["history"]
    said = [(each["verdict"], each["person"], each["holds"], each["undone"]) for each in history["labels"]]
    assert said == [("is_not", "Ada", True, False), ("is", "Carl", False, True), ("is", "Carl", False, False)]
    assert history["labels"][2]["undoes"] == history["labels"][1]["label"]
    text = run("label", faces[0], "--history").out
    assert "is not Ada" in text and "takes back: is Carl" in text and "holds" in text and "undone" in text
    assert "Nobody has said anything" in run("label", faces[1], "--history").out


@pytest.mark.parametrize("said", [(), ("--is", "Ada", "--ignore"), ("--undo", "--history")])
def test_exactly_one_thing_is_said(run: Run, faces: tuple[str, str], said: tuple[str, ...]) -> None:
    ran = run("label", faces[0], *said, "--json")
    assert (ran.code, ran.document["error"]["code"]) == (2, "usage")
    assert "exactly one" in ran.document["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("j0000000000000-0-0", "--ignore"), "unknown_id"),
        (("FACE", "--is-not", "Nobody"), "unknown_id"),
        (("FACE", "--undo"), "nothing_to_undo"),
        (("FACE", "--is", "a/b"), "bad_person_name"),
        (("FACE", "--is", "Ada", "--face", "1"), "usage"),
        (("FACE", "--is", "Ada", "--split", "test"), "usage"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    run: Run, database: Database, faces: tuple[str, str], arguments: tuple[str, ...], code: str
) -> None:
    ran = run("label", *[faces[0] if argument == "FACE" else argument for argument in arguments], "--json")
    assert (ran.code, ran.document["error"]["code"]) == (2, code)
    assert labelled_faces.label_ids(database) == []
    assert named(run) == ["Ada", None]


def test_a_photo_is_corrected_by_its_file(run: Run, database: Database, photo: Path) -> None:
    run("label", photo, "--is", "Ada")
    run("label", photo, "--ignore")
    assert labelled(database) == []
    assert run("label", photo, "--undo").code == 0
    assert [found.person for found in labelled(database)] == ["Ada"]
    run("label", photo, "--undo")
    assert run("label", photo, "--undo").code == 2


def test_a_photo_stays_for_what_it_was(run: Run, database: Database, photo: Path) -> None:
    run("label", photo, "--is", "Ada", "--split", "test")
    run("label", photo, "--is", "Grace")
    assert [(found.person, found.split) for found in labelled(database)] == [("Grace", Split.TEST)]
