from pathlib import Path

import pytest

from core.errors import InputError
from scripts.files import replacing
from tests.disks import tiny_disk


def test_a_file_takes_the_place_of_the_old_one_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"old")

    with replacing(tmp_path / "rows") as stream:
        stream.write(b"new")
        assert (tmp_path / "rows").read_bytes() == b"old"

    assert (tmp_path / "rows").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / "rows"]


def test_what_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"old")

    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "rows") as stream:
        stream.write(bytes([1 // 0]))

    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_place_that_cannot_be_written_is_the_users_to_change(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"), replacing(tmp_path / "missing" / "rows"):
        pass


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", 64) as disk:
        with pytest.raises(OSError, match="No space left"), replacing(disk / "rows") as stream:
            stream.write(bytes(2**20))
        assert list(disk.iterdir()) == []
