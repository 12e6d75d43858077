"""A store on another machine: what is fetched is kept, compared with its name each time, and the store may be away."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from core.errors import (
    ArtifactCorruptError,
    ArtifactMissingError,
    ArtifactStoreError,
    ArtifactsUnreachableError,
    SettingError,
)
from core.models.remote_store import RemoteModelStore
from core.models.store import ModelStore
from core.settings import Settings
from tests import stores
from tests.factories import put_bytes
from tests.stores import AWAY, LOSES, SCHEME, ShelfFileSystem


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Path]:
    """The folder that plays the other machine."""
    stores.register()
    ShelfFileSystem.opened.clear()
    folder = tmp_path / "shelf" / "models"
    folder.mkdir(parents=True)
    yield folder


def machine(shelf: Path, name: str = "one") -> RemoteModelStore:
    """The store as one machine sees it."""
    return RemoteModelStore(f"{SCHEME}://{shelf}", shelf.parents[1] / name)


def test_what_one_machine_stores_another_fetches_once(shelf: Path) -> None:
    sha256 = put_bytes(machine(shelf), b"model")
    other = machine(shelf, "other")
    first, second = other.path(sha256), other.path(sha256)
    assert first == second == other.root / f"{sha256}.pt"
    assert first.read_bytes() == b"model"
    assert ShelfFileSystem.opened == [f"{sha256}.pt"]
    assert [file.name for file in shelf.iterdir()] == [f"{sha256}.pt"]


def test_the_machine_that_stored_it_fetches_nothing(shelf: Path) -> None:
    store = machine(shelf)
    store.path(put_bytes(store, b"model"))
    assert ShelfFileSystem.opened == []


def test_a_place_in_memory_is_a_store_too(tmp_path: Path) -> None:
    store = RemoteModelStore("memory://bucket/models", tmp_path / "here")
    sha256 = put_bytes(store, b"model")
    other = RemoteModelStore("memory://bucket/models", tmp_path / "there")
    assert [each.sha256 for each in other.list_artifacts()] == [sha256]
    assert other.path(sha256).read_bytes() == b"model"
    other.verify(sha256)
    (artifact,) = other.list_artifacts()
    assert other.remove(artifact)
    assert other.list_artifacts() == []
    assert fsspec.filesystem("memory").ls("/bucket/models") == []


def test_what_was_fetched_and_has_changed_since_is_fetched_again(shelf: Path) -> None:
    sha256 = put_bytes(machine(shelf), b"model")
    other = machine(shelf, "other")
    kept = other.path(sha256)
    kept.chmod(0o644)
    kept.write_bytes(b"mode1")
    assert other.path(sha256).read_bytes() == b"model"


def test_bytes_that_are_not_those_of_the_name_are_never_kept(shelf: Path) -> None:
    sha256 = put_bytes(machine(shelf), b"model")
    stored = shelf / f"{sha256}.pt"
    stored.write_bytes(b"mode1")
    other = machine(shelf, "other")
    for ask in (other.path, other.verify):
        with pytest.raises(ArtifactCorruptError, match=sha256):
            ask(sha256)
    assert list(other.root.iterdir()) == []


def test_verifying_asks_the_store_and_not_what_was_kept(shelf: Path) -> None:
    store = machine(shelf)
    sha256 = put_bytes(store, b"model")
    store.verify(sha256)
    (shelf / f"{sha256}.pt").unlink()
    assert store.path(sha256).is_file()
    with pytest.raises(ArtifactMissingError):
        store.verify(sha256)


@pytest.mark.parametrize("sha256", ["0" * 64, "../../etc/passwd", ""])
def test_what_is_not_in_the_store_is_missing(shelf: Path, sha256: str) -> None:
    for ask in (machine(shelf).path, machine(shelf).verify):
        with pytest.raises(ArtifactMissingError):
            ask(sha256)


def test_a_store_that_is_away_is_said_to_be_and_what_was_fetched_still_serves(shelf: Path) -> None:
    store = machine(shelf)
    sha256 = put_bytes(store, b"model")
    (shelf / AWAY).touch()
    assert store.path(sha256).read_bytes() == b"model"
    other = machine(shelf, "other")
    for ask in (lambda: other.path(sha256), lambda: other.verify(sha256), other.list_artifacts):
        with pytest.raises(ArtifactsUnreachableError, match=r"connection refused.*goes on serving"):
            ask()
    with pytest.raises(ArtifactsUnreachableError):
        put_bytes(other, b"another")
    (shelf / AWAY).unlink()
    assert other.path(sha256).read_bytes() == b"model"


def test_an_upload_that_lost_bytes_is_never_visible(shelf: Path) -> None:
    (shelf / LOSES).touch()
    with pytest.raises(ArtifactStoreError, match="Of the model's 5 bytes 2 arrived"):
        put_bytes(machine(shelf), b"model")
    assert [file.name for file in shelf.iterdir()] == [LOSES]


def test_a_machine_keeps_what_it_used_last(shelf: Path) -> None:
    store, other = machine(shelf), machine(shelf, "other")
    names = [put_bytes(store, f"model {number}".encode()) for number in range(10)]
    for age, sha256 in enumerate(names[:9]):
        path = other.path(sha256)
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    other.path(names[0])  # used again
    other.path(names[9])
    kept = {path.stem for path in other.root.iterdir()}
    assert len(kept) == 8
    assert names[0] in kept and names[9] in kept and names[1] not in kept
    assert len(list(store.root.iterdir())) == 8, "nor does the one that stored them keep them all"
    assert len(store.list_artifacts()) == 10


def test_what_interrupted_writers_left_is_removed_when_it_is_old(shelf: Path) -> None:
    old, young = (shelf / f".{number:016x}.partial" for number in (1, 2))
    for partial in (old, young):
        partial.write_bytes(b"mod")
    os.utime(old, (0, 0))
    machine(shelf).remove_partials(stored_before=datetime.now(UTC) - timedelta(days=1))
    assert (old.exists(), young.exists()) == (False, True)


def test_an_artifact_that_was_stored_again_since_it_was_looked_at_stays(shelf: Path) -> None:
    store = machine(shelf)
    sha256 = put_bytes(store, b"model")
    os.utime(shelf / f"{sha256}.pt", (0, 0))
    (old,) = store.list_artifacts()
    put_bytes(store, b"model")
    assert not store.remove(old)
    assert (shelf / f"{sha256}.pt").exists()


def test_the_settings_say_which_store_it_is(tmp_path: Path) -> None:
    stores.register()
    folder, by_uri, far = (
        ModelStore.from_settings(Settings(home=tmp_path, artifacts=artifacts))
        for artifacts in ("", f"file://{tmp_path}/my%20models", f"{SCHEME}://{tmp_path}/shelf")
    )
    assert (type(folder), folder.root) == (ModelStore, tmp_path / "artifacts")
    assert (type(by_uri), by_uri.root) == (ModelStore, tmp_path / "my models")
    assert (type(far), far.root, far.place) == (
        RemoteModelStore,
        tmp_path / "artifacts",
        f"{SCHEME}://{tmp_path}/shelf",
    )


def test_a_place_that_nothing_speaks_to_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"nowhere://x, which nothing on this machine can speak to"):
        ModelStore.from_settings(Settings(home=tmp_path, artifacts="nowhere://x"))


def test_no_password_is_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        ModelStore.from_settings(Settings(home=tmp_path, artifacts="nowhere://me:secret@host/models"))
    assert "secret" not in str(caught.value)
    assert "nowhere://me:***@host/models" in str(caught.value)
