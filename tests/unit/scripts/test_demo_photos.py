import os
from pathlib import Path

import pytest

from core.errors import EmptySourceError, InputError, SourceNotFoundError
from scripts.demo_photos import sort_photos


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def numbered(person: str, count: int) -> list[str]:
    return [f"{person}/{number}.jpg" for number in range(1, count + 1)]


def learned(staging: Path) -> dict[str, list[str]]:
    """What was linked to learn from: person -> the names inside the files, in order."""
    return {
        person.name: [photo.read_bytes().decode() for photo in sorted(person.iterdir())]
        for person in sorted(staging.iterdir())
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "given"


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    return tmp_path / "staging"


def test_the_first_half_in_natural_order_is_learned_from_and_the_rest_tried(folder: Path, staging: Path) -> None:
    put(folder, *numbered("ada", 10), *numbered("bob", 10))
    photos = sort_photos(folder, staging)
    assert learned(staging)["ada"] == [f"ada/{number}.jpg" for number in (1, 2, 3, 4, 5)]
    assert [Path(uri).name for uri, person in photos.probes.items() if person == "ada"] == [
        f"{number}.jpg" for number in (6, 7, 8, 9, 10)
    ]
    assert photos.train_count == 10


@pytest.mark.parametrize(("count", "train"), [(1, 1), (2, 1), (3, 2), (7, 4)])
def test_the_first_half_is_rounded_up(folder: Path, staging: Path, count: int, train: int) -> None:
    put(folder, *numbered("ada", count), *numbered("bob", 4))
    sort_photos(folder, staging)
    assert len(learned(staging)["ada"]) == train


def test_nothing_is_learned_from_that_is_tried(folder: Path, staging: Path) -> None:
    put(folder, *numbered("ada", 5), *numbered("bob", 4), "strangers/x.jpg")
    photos = sort_photos(folder, staging)
    assert not set(photos.originals.values()) & {*photos.probes, *photos.strangers}
    assert len(photos.originals) + photos.tried == 10


def test_a_folder_called_strangers_holds_nobody_to_learn(folder: Path, staging: Path) -> None:
    put(folder, *numbered("ada", 2), *numbered("bob", 2), "strangers/x.jpg", "strangers/cat/y.jpg")
    photos = sort_photos(folder, staging)
    assert set(learned(staging)) == {"ada", "bob"}
    assert [os.path.relpath(uri, folder) for uri in photos.strangers] == ["strangers/x.jpg", "strangers/cat/y.jpg"]


def test_train_and_test_are_taken_as_they_are(folder: Path, staging: Path) -> None:
    put(folder, "train/ada/9.jpg", "train/bob/9.jpg", "test/ada/1.jpg", "strangers/x.jpg")
    photos = sort_photos(folder, staging)
    assert photos.train_folder == folder / "train"
    assert photos.probes == {str(folder / "test/ada/1.jpg"): "ada"}
    assert photos.strangers == (str(folder / "strangers/x.jpg"),)
    assert not staging.exists()


def test_people_of_test_whom_train_does_not_hold_are_strangers(folder: Path, staging: Path) -> None:
    put(folder, "train/ada/9.jpg", "train/bob/9.jpg", "test/ada/1.jpg", "test/eve/1.jpg")
    photos = sort_photos(folder, staging)
    assert photos.strangers == (str(folder / "test/eve/1.jpg"),)


def test_names_are_shown_as_they_will_be_imported(folder: Path, staging: Path) -> None:
    put(folder, *numbered("Ada  Lovelace", 2), *numbered("Zoe\u0308", 2))
    assert set(sort_photos(folder, staging).probes.values()) == {"Ada Lovelace", "Zo\u00eb"}


def test_a_path_with_dots_gives_the_uris_that_a_job_will_have(
    folder: Path, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, *numbered("ada", 2), *numbered("bob", 2))
    monkeypatch.chdir(folder / "ada")
    assert str(folder / "bob/2.jpg") in sort_photos(Path("..") / "bob" / "..", staging).probes


def test_what_is_no_photo_of_anybody_is_listed(folder: Path, staging: Path) -> None:
    put(folder, *numbered("ada", 2), *numbered("bob", 2), "readme.txt", "ada/notes.xmp", ".cache/x.jpg")
    (folder / "empty").mkdir()
    skipped = {os.path.relpath(entry.name, folder): entry.reason for entry in sort_photos(folder, staging).skipped}
    assert set(skipped) == {"readme.txt", "ada/notes.xmp", ".cache", "empty"}


def test_a_missing_folder_is_refused(folder: Path, staging: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="does not exist"):
        sort_photos(folder, staging)


def test_a_file_is_refused(folder: Path, staging: Path) -> None:
    put(folder, "photos.zip")
    with pytest.raises(SourceNotFoundError, match="is a file, not a folder"):
        sort_photos(folder / "photos.zip", staging)


def test_an_empty_folder_is_refused(folder: Path, staging: Path) -> None:
    folder.mkdir()
    with pytest.raises(EmptySourceError, match="no photo of a person"):
        sort_photos(folder, staging)


def test_photos_in_no_persons_folder_are_not_enough(folder: Path, staging: Path) -> None:
    put(folder, "1.jpg", "2.jpg")
    with pytest.raises(EmptySourceError, match="DIR/<person>/<image>"):
        sort_photos(folder, staging)


def test_one_person_is_refused(folder: Path, staging: Path) -> None:
    put(folder, *numbered("ada", 4))
    with pytest.raises(InputError, match="one person only"):
        sort_photos(folder, staging)


def test_one_photo_a_person_is_refused(folder: Path, staging: Path) -> None:
    put(folder, "ada/1.jpg", "bob/1.jpg")
    with pytest.raises(InputError, match="everybody has one photo only"):
        sort_photos(folder, staging)


def test_somebody_with_one_photo_is_learned_and_not_tried(folder: Path, staging: Path) -> None:
    put(folder, "ada/1.jpg", *numbered("bob", 2))
    photos = sort_photos(folder, staging)
    assert set(learned(staging)) == {"ada", "bob"}
    assert set(photos.probes.values()) == {"bob"}


def test_a_photo_whose_name_is_no_text_can_be_learned_from(folder: Path, staging: Path) -> None:
    put(folder, *numbered("bob", 2), "ada/2.jpg")
    strange = os.fsencode(folder / "ada") + b"/1\xff.jpg"
    try:
        os.close(os.open(strange, os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system takes no such name")
    photos = sort_photos(folder, staging)
    assert all(link.exists() for link in (staging / "ada").iterdir())
    assert photos.train_count == 2
