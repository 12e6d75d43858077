"""Importing labelled photos: everything usable goes in, everything else is named."""

from pathlib import Path

import pytest
from PIL import Image

from core.errors import SourceNotFoundError
from core.records import Split
from core.settings import Settings
from db import people
from db.engine import Database
from tests.factories import make_face
from workers.enrolment import ImportReport, import_people


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
