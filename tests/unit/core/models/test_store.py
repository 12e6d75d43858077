"""The store shows whole artifacts or none, whatever happens to the one who writes them."""

import hashlib
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import ArtifactCorruptError, ArtifactMissingError, ArtifactStoreError
from core.models.store import ModelStore
from tests.factories import put_bytes


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "artifacts")


def test_an_artifact_is_found_under_the_sha256_of_its_bytes(store: ModelStore) -> None:
    sha256 = put_bytes(store, b"model")
    assert sha256 == hashlib.sha256(b"model").hexdigest()
    assert store.path(sha256).read_bytes() == b"model"
    assert names(store) == [sha256]
    store.verify(sha256)


def test_storing_the_same_bytes_twice_gives_one_artifact(store: ModelStore) -> None:
    assert put_bytes(store, b"model") == put_bytes(store, b"model")
    assert len(list(store.root.iterdir())) == 1


def test_the_staged_file_stays_with_its_owner(store: ModelStore, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.write_bytes(b"model")
    store.put(staged)
    assert staged.read_bytes() == b"model"


def test_an_artifact_cannot_be_written_to(store: ModelStore) -> None:
    assert store.path(put_bytes(store, b"model")).stat().st_mode & 0o222 == 0


def test_storing_again_heals_an_artifact_that_changed_on_disk(store: ModelStore) -> None:
    sha256 = put_bytes(store, b"model")
    _overwrite(store.path(sha256), b"mode1")
    with pytest.raises(ArtifactCorruptError, match=sha256):
        store.verify(sha256)
    put_bytes(store, b"model")
    store.verify(sha256)


@pytest.mark.parametrize("sha256", ["0" * 64, "../../etc/passwd", "", "A" * 64, "0" * 63 + "\n"])
def test_what_is_not_in_the_store_is_missing(store: ModelStore, sha256: str) -> None:
    put_bytes(store, b"model")
    with pytest.raises(ArtifactMissingError):
        store.path(sha256)
    with pytest.raises(ArtifactMissingError):
        store.verify(sha256)


def test_an_empty_store_lists_nothing(store: ModelStore) -> None:
    assert store.list_artifacts() == []


def test_what_a_killed_writer_left_is_invisible(store: ModelStore) -> None:
    sha256 = put_bytes(store, b"model")
    (store.root / ".0123456789abcdef.partial").write_bytes(b"mod")
    (store.root / "notes.pt").write_bytes(b"no sha256")
    assert names(store) == [sha256]


def test_a_write_that_breaks_off_leaves_nothing_behind_and_says_what_to_do(store: ModelStore, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.write_bytes(bytes(100_000))
    with _largest_file(10_000), pytest.raises(ArtifactStoreError, match="Make the folder writable"):
        store.put(staged)
    assert list(store.root.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_clean_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(ArtifactStoreError, match="No model was changed"):
        put_bytes(ModelStore(tmp_path / "file" / "artifacts"), b"model")


def test_a_staged_file_that_is_not_there_is_a_clean_error(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactStoreError):
        store.put(tmp_path / "nothing")
    assert store.list_artifacts() == []


def test_what_interrupted_writers_left_is_removed_when_it_is_old(store: ModelStore) -> None:
    put_bytes(store, b"model")
    old, young = (store.root / f".{number:016x}.partial" for number in (1, 2))
    for partial in (old, young):
        partial.write_bytes(b"mod")
    os.utime(old, (0, 0))
    store.remove_partials(stored_before=datetime.now(UTC) - timedelta(days=1))
    assert (old.exists(), young.exists()) == (False, True)


def test_an_artifact_is_removed_unless_it_was_stored_again_since_it_was_looked_at(store: ModelStore) -> None:
    sha256 = put_bytes(store, b"model")
    os.utime(store.path(sha256), (0, 0))
    (old,) = store.list_artifacts()
    assert (old.size_bytes, old.stored_at) == (5, datetime(1970, 1, 1, tzinfo=UTC))
    put_bytes(store, b"model")
    assert not store.remove(old)
    (young,) = store.list_artifacts()
    assert store.remove(young)
    assert not store.remove(young)
    assert store.list_artifacts() == []


def names(store: ModelStore) -> list[str]:
    return [each.sha256 for each in store.list_artifacts()]


def _overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
