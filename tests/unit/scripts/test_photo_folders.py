"""Whom photos show, by where they lie."""

from pathlib import Path

import pytest

from core.errors import InputError
from scripts.photo_folders import find_strangers


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_strangers_of_one_folder_are_one_person_and_loose_files_one_each(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "amy/1.jpg", "amy/2.jpg", "deep/er/1.jpg")

    found = find_strangers(tmp_path)

    assert {name: [Path(uri).name for uri in uris] for name, uris in found.items()} == {
        "a.jpg": ["a.jpg"],
        "b.jpg": ["b.jpg"],
        "amy": ["1.jpg", "2.jpg"],
        "deep/er": ["1.jpg"],
    }


def test_a_folder_given_relative_to_here_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "others/amy/1.jpg", "others/x.jpg")
    monkeypatch.chdir(tmp_path)

    assert list(find_strangers(Path("others"))) == list(find_strangers(tmp_path / "others")) == ["x.jpg", "amy"]


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Nothing was measured"):
        find_strangers(tmp_path)
