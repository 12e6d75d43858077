import shutil
from pathlib import Path

import pytest
from PIL import Image

from db.engine import Database
from tests.unit.scripts.runner import Run


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Two photos each of two people."""
    for number, name in enumerate(("Ada Lovelace", "Zoë")):
        for shade in range(2):
            draw(tmp_path / "album" / name / f"{shade}.png", 60 * number + 20 * shade)
    return tmp_path / "album"


def test_an_import_says_what_went_in(run: Run, database: Database, album: Path) -> None:
    ran = run("people", "import", album, "--json")

    assert ran.code == 0
    counts = {"people": 2, "photos_added": 4, "photos_known": 0, "photos_kept": 0}
    assert ran.document == {**counts, "failed": [], "skipped": []}
    assert "4 were known already" in run("people", "import", album).out


def test_what_was_left_out_is_named_with_its_remedy(run: Run, database: Database, album: Path) -> None:
    (album / "Zoë" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (album / "beside.png").write_bytes(b"")

    ran = run("people", "import", album, "--json")

    assert ran.code == 1
    (failed,) = ran.document["failed"]
    assert failed["path"].endswith("Zoë/broken.jpg")
    assert failed["code"] == "photo_broken"
    assert [Path(skipped["path"]).name for skipped in ran.document["skipped"]] == ["beside.png"]
    text = run("people", "import", album).out
    assert f"  {failed['path']}\n    photo_broken: {failed['message']}\n" in text
    assert "beside.png: not in a person's folder" in text


@pytest.mark.parametrize(("split", "counts"), [("train", (2, 0)), ("test", (0, 2))])
def test_photos_are_imported_for_what_was_asked(
    run: Run, database: Database, album: Path, split: str, counts: tuple[int, int]
) -> None:
    run("people", "import", album, "--split", split)

    people = run("people", "list", "--json").document["people"]
    assert [person["name"] for person in people] == ["Ada Lovelace", "Zoë"]
    assert {(person["train_photos"], person["test_photos"]) for person in people} == {counts}


def test_a_folder_of_two_halves_is_imported_as_both(run: Run, database: Database, album: Path, tmp_path: Path) -> None:
    shutil.copytree(album, tmp_path / "set" / "train")
    draw(tmp_path / "set" / "test" / "Zoë" / "9.png", 200)

    run("people", "import", tmp_path / "set")

    people = run("people", "list", "--json").document["people"]
    assert [(person["train_photos"], person["test_photos"]) for person in people] == [(2, 0), (2, 1)]


def test_a_person_is_shown_whatever_the_case_and_accents(run: Run, database: Database, album: Path) -> None:
    run("people", "import", album)

    document = run("people", "show", "ZOE", "--json").document
    assert document["name"] == "Zoë"
    assert [Path(photo["uri"]).name for photo in document["photos"]] == ["0.png", "1.png"]
    assert {photo["split"] for photo in document["photos"]} == {"train"}
    assert "Zoë/1.png" in run("people", "show", "Zoë").out


def test_nobody_is_shown_as_nobody(run: Run, database: Database) -> None:
    assert "facefleet people import" in run("people", "list").out
    assert run("people", "list", "--json").document == {"people": []}
    ran = run("people", "show", "Ada", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (2, "unknown_id")


def test_a_missing_folder_is_wrong_usage(run: Run, database: Database, tmp_path: Path) -> None:
    ran = run("people", "import", tmp_path / "nowhere", "--json")

    assert ran.code == 2
    assert "Nothing was imported" in ran.document["error"]["message"]


def test_people_are_merged_renamed_and_back(run: Run, database: Database, album: Path) -> None:
    run("people", "import", album)
    merged = run("people", "merge", "Zoe", "Ada Lovelace")
    assert merged.out == "Zoë counts as Ada Lovelace. Take it back: facefleet people undo 'Zoë'\n"
    assert run("people", "list", "--json").document["people"] == [
        {"name": "Ada Lovelace", "also_called": ["Zoë"], "train_photos": 4, "test_photos": 0}
    ]
    assert "Ada Lovelace, also Zoë" in run("people", "list").out
    shown = run("people", "show", "Zoë", "--json").document
    assert (shown["name"], shown["also_called"], len(shown["photos"])) == ("Ada Lovelace", ["Zoë"], 4)
    assert "Also called  Zoë" in run("people", "show", "Ada Lovelace").out
    again = run("people", "import", album, "--json").document
    assert (again["photos_added"], again["photos_known"], again["failed"]) == (0, 4, [])
    assert run("people", "undo", "Zoë", "--json").document == {
        "undone": "merge",
        "name": "Zoë",
        "other": "Ada Lovelace",
    }
    assert run("people", "rename", "Zoë", "Zoe Quinn", "--json").document == {"before": "Zoë", "name": "Zoe Quinn"}
    again = run("people", "import", album, "--json").document
    assert (again["photos_added"], again["photos_known"], again["failed"]) == (0, 4, [])
    assert run("people", "undo", "Zoe Quinn").out == "Zoe Quinn is called Zoë again.\n"
    ran = run("people", "undo", "Zoë", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (2, "nothing_to_undo")


def test_strangers_are_imported_without_a_name(run: Run, database: Database, tmp_path: Path) -> None:
    draw(tmp_path / "passers_by" / "1.png", 10)
    draw(tmp_path / "passers_by" / "street" / "2.png", 70)
    ran = run("people", "import", tmp_path / "passers_by", "--strangers")
    assert ran.out.startswith("Imported 2 photos of strangers.")
    assert run("people", "list", "--json").document == {"people": []}
    again = run("people", "import", tmp_path / "passers_by", "--strangers", "--json").document
    assert (again["photos_added"], again["photos_known"]) == (0, 2)
    assert run("people", "import", tmp_path / "nowhere", "--strangers").code == 2


def test_an_import_does_not_undo_a_correction(run: Run, database: Database, album: Path) -> None:
    run("people", "import", album)
    run("label", album / "Zoë" / "0.png", "--is", "Ada Lovelace")
    run("label", album / "Zoë" / "1.png", "--is-not", "Zoë")
    run("label", album / "Ada Lovelace" / "0.png", "--undo")
    again = run("people", "import", album, "--json").document
    assert (again["photos_added"], again["photos_known"], again["photos_kept"], again["failed"]) == (0, 1, 3, [])
    assert "3 were corrected since and stay so" in run("people", "import", album).out
    people = run("people", "list", "--json").document["people"]
    assert [(person["name"], person["train_photos"]) for person in people] == [("Ada Lovelace", 2), ("Zoë", 0)]


def draw(file: Path, shade: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 40), (shade, 90, 255 - shade)).save(file)
