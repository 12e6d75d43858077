"""A full disk is told in words that name it, whoever wrote; what was there before is whole."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.disk import is_disk_full, told_when_full
from core.errors import DiskFullError
from core.models.store import ModelStore
from tests.disks import fill, tiny_disk
from tests.factories import make_staged


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with tiny_disk(tmp_path / "disk", kibibytes=256) as folder:
        yield folder


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("no space"), False),
    ],
)
def test_a_full_disk_is_told_from_other_failures(error: Exception, full: bool) -> None:
    assert is_disk_full(error) is full


def test_a_checkpoint_that_finds_no_room_is_told_with_the_place(disk: Path) -> None:
    fill(disk)
    with pytest.raises(DiskFullError, match=f"The disk of {disk} is full.*Free space there"), told_when_full(disk):
        save_file({"weights": torch.zeros(100_000)}, disk / "checkpoint")


def test_a_store_without_room_keeps_what_it_has_and_leaves_nothing_behind(disk: Path, tmp_path: Path) -> None:
    store = ModelStore(disk / "artifacts")
    first = store.put(make_staged(tmp_path / "first"))
    ballast = fill(disk)
    second = make_staged(tmp_path / "second", seed=1)
    with pytest.raises(DiskFullError, match="no model is lost"):
        store.put(second)
    assert [file.stem for file in store.root.iterdir()] == [first]
    store.verify(first)
    ballast.unlink()
    assert store.put(second) in {each.sha256 for each in store.list_artifacts()}


def test_other_failures_are_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), told_when_full(tmp_path):
        (tmp_path / "none" / "file").write_bytes(b"x")
