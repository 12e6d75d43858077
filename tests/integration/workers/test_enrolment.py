"""Importing labelled photos: everything usable goes in, everything else is named."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from core.clock import utc_now
from core.errors import SourceNotFoundError
from core.records import Split, Verdict
from core.settings import Settings
from db import labels, people
from db.engine import Database
from tests.factories import make_face
from workers.enrolment import ImportReport, import_people, import_strangers


def write_photo(file: Path, person: int, shade: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(make_face(person, 32, shade=shade)).save(file)
    return file


def run_import(database: Database, folder: Path, split: Split | None = None) -> ImportReport:
    return import_people(database, Settings(home=folder), folder, split, "test")


def codes(report: ImportReport, folder: Path) -> dict[str, str]:
    return {str(Path(failure.path).relative_to(folder)): failure.code for failure in report.failed}


def summaries(database: Database) -> dict[str, tuple[int, int]]:
    with database.read() as session:
        return {row.name: (row.train_photos, row.test_photos) for row in people.list_people(session)}


def test_folders_become_people_and_the_bad_photo_is_named(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "people"
    for person, name in enumerate(["Ada", "Grace"]):
        for number in range(3):
            write_photo(folder / name / f"{number}.png", person, number)
    (folder / "Ada" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "Ada" / "Thumbs.db").write_text("x")
    (folder / "beside.png").write_bytes(b"x")
    seen: list[int] = []
    report = import_people(database, Settings(home=folder), folder, None, "test", on_progress=seen.append)
    assert (report.people, report.photos_added, report.photos_known) == (2, 6, 0)
    assert codes(report, folder) == {"Ada/broken.png": "photo_broken"}
    assert {Path(entry.name).name for entry in report.skipped} == {"beside.png", "Thumbs.db"}
    assert seen == list(range(1, 8))
    assert summaries(database) == {"Ada": (3, 0), "Grace": (3, 0)}


def test_importing_again_adds_only_what_is_new(database: Database, tmp_path: Path) -> None:
    write_photo(tmp_path / "Ada" / "0.png", 0)
    run_import(database, tmp_path)
    write_photo(tmp_path / "Ada" / "1.png", 0, 5)
    report = run_import(database, tmp_path)
    assert (report.photos_added, report.photos_known) == (1, 1)
    assert summaries(database) == {"Ada": (2, 0)}


def test_train_and_test_folders_are_both_imported(database: Database, tmp_path: Path) -> None:
    write_photo(tmp_path / "train" / "Ada" / "0.png", 0)
    write_photo(tmp_path / "test" / "Ada" / "1.png", 0, 5)
    write_photo(tmp_path / "test" / "Grace" / "0.png", 1)
    assert run_import(database, tmp_path).people == 2
    assert summaries(database) == {"Ada": (1, 1), "Grace": (0, 1)}


def test_one_photo_under_two_names_keeps_the_first_and_is_reported(database: Database, tmp_path: Path) -> None:
    write_photo(tmp_path / "Ada" / "0.png", 0)
    write_photo(tmp_path / "Bob" / "same.png", 0)
    write_photo(tmp_path / "Bob" / "own.png", 1)
    report = run_import(database, tmp_path)
    assert codes(report, tmp_path) == {"Bob/same.png": "label_conflict"}
    assert "'Ada'" in report.failed[0].message
    assert summaries(database) == {"Ada": (1, 0), "Bob": (1, 0)}


def test_one_photo_for_training_and_testing_is_reported(database: Database, tmp_path: Path) -> None:
    write_photo(tmp_path / "train" / "Ada" / "0.png", 0)
    write_photo(tmp_path / "test" / "Ada" / "copy.png", 0)
    report = run_import(database, tmp_path)
    assert codes(report, tmp_path) == {"test/Ada/copy.png": "label_conflict"}
    assert summaries(database) == {"Ada": (1, 0)}


def test_names_that_differ_in_accents_alone_are_reported_and_the_rest_goes_in(
    database: Database, tmp_path: Path
) -> None:
    for person, name in enumerate(["Zoe", "Zoé", "Max"]):
        write_photo(tmp_path / name / "0.png", person)
    report = run_import(database, tmp_path)
    assert codes(report, tmp_path) == {"Zoé": "person_conflict"}
    assert summaries(database) == {"Max": (1, 0), "Zoe": (1, 0)}


def test_a_photo_that_moved_is_known_under_its_new_place(database: Database, tmp_path: Path) -> None:
    old = write_photo(tmp_path / "a" / "Ada" / "0.png", 0)
    run_import(database, tmp_path / "a")
    new = tmp_path / "b" / "Ada" / "0.png"
    new.parent.mkdir(parents=True)
    old.rename(new)
    report = run_import(database, tmp_path / "b")
    assert (report.photos_added, report.photos_known) == (0, 1)
    with database.read() as session:
        assert [photo.uri for photo in people.labelled_photos(session)] == [str(new)]


def test_a_folder_that_is_missing_or_holds_nobody_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no folder"):
        run_import(database, tmp_path / "nowhere")
    write_photo(tmp_path / "0.png", 0)
    with pytest.raises(SourceNotFoundError, match="holds no folder"):
        run_import(database, tmp_path)


def test_strangers_are_imported_from_any_folders(database: Database, tmp_path: Path) -> None:
    write_photo(tmp_path / "people" / "Ada" / "0.png", 0)
    write_photo(tmp_path / "passers_by" / "0.png", 1)
    write_photo(tmp_path / "passers_by" / "street" / "1.png", 2)
    write_photo(tmp_path / "passers_by" / "street" / "ada.png", 0)
    (tmp_path / "passers_by" / "broken.png").write_bytes(b"")
    run_import(database, tmp_path / "people")
    settings = Settings(home=tmp_path)
    report = import_strangers(database, settings, tmp_path / "passers_by", None, "test")
    assert (report.people, report.photos_added) == (0, 2)
    assert codes(report, tmp_path) == {
        "passers_by/broken.png": "photo_empty",
        "passers_by/street/ada.png": "label_conflict",
    }
    with database.read() as session:
        _, train, _ = people.training_set(session)
    assert [(Path(example.uri).name, example.class_index, example.not_classes) for example in train] == [
        ("0.png", 0, ()),
        ("0.png", -1, ()),
        ("1.png", -1, ()),
    ]
    again = import_strangers(database, settings, tmp_path / "passers_by", None, "test")
    assert (again.photos_added, again.photos_known) == (0, 2)
    named = run_import(database, tmp_path)  # the folders as people: what is a stranger stays one
    assert (named.photos_added, named.photos_kept) == (0, 2)


def test_an_import_keeps_what_was_corrected(database: Database, tmp_path: Path) -> None:
    photos = [write_photo(tmp_path / "Ada" / f"{number}.png", 0, number) for number in range(4)]
    run_import(database, tmp_path)
    with database.write() as session:
        bob = people.get_or_add_person(session, "Bob", utc_now())
        ada = people.find_person(session, "Ada")
        for photo, verdict, person in zip(
            photos, (Verdict.IS, Verdict.IS_NOT, Verdict.IGNORE), (bob, ada, None), strict=False
        ):
            labels.label_photo(
                session,
                person=person,
                verdict=verdict,
                sha256=hashlib.sha256(photo.read_bytes()).hexdigest(),
                uri=str(photo),
                split=None,
                author="eve",
                now=utc_now(),
            )
    report = run_import(database, tmp_path)
    assert (report.photos_added, report.photos_known, report.photos_kept, report.failed) == (0, 1, 3, [])
    assert summaries(database) == {"Ada": (1, 0), "Bob": (1, 0)}
