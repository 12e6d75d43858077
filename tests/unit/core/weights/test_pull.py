"""Pulls: a file stands under its name when it is right and whole, and never before."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import (
    DiskFullError,
    SourceNotFoundError,
    WeightsAlteredError,
    WeightsDownloadError,
    WeightsMissingError,
    WeightsStoreError,
    WeightsUnreachableError,
)
from core.weights.download import Patience
from core.weights.pull import Pulled, Puller
from core.weights.store import WeightsState, WeightsStore
from tests import file_server as web
from tests.disks import fill, tiny_disk
from tests.pretrained import FILES, describe, lay

ONE = {"net.onnx": FILES["net.onnx"]}
DATA = ONE["net.onnx"]
QUICK = Patience(pauses_s=(0.0, 0.0), timeout_s=10)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(own=tmp_path / "home" / "weights", given=tmp_path / "given")


@pytest.fixture
def server() -> Iterator[web.FileServer]:
    with web.serve(DATA) as server:
        yield server


def publish(store: WeightsStore, server: web.FileServer) -> Puller:
    assert store.given is not None
    describe(store.given, "mine", ONE, server.url)
    return Puller(store, patience=QUICK)


def names(store: WeightsStore) -> list[str]:
    """What stands in the set's own folder, apart from its lock."""
    folder = store.own / "mine"
    return sorted(file.name for file in folder.glob("[!.]*")) if folder.is_dir() else []


def test_a_pull_puts_the_files_where_they_are_found(store: WeightsStore, server: web.FileServer) -> None:
    puller, seen = publish(store, server), list[int]()

    pulled = puller.pull(store.get_spec("mine"), seen.append)

    assert pulled == Pulled(folder=store.own / "mine", fetched=True)
    assert store.find("mine").folder == pulled.folder
    assert (names(store), seen[-1]) == (["net.onnx"], len(DATA))
    assert (store.own.parent.stat().st_mode & 0o777) == 0o700


def test_what_is_there_is_not_fetched_again(store: WeightsStore, server: web.FileServer) -> None:
    puller = publish(store, server)
    puller.pull(store.get_spec("mine"))

    assert puller.pull(store.get_spec("mine")).fetched is False
    assert len(server.ranges) == 1


def test_what_lies_in_the_given_folder_is_not_fetched(store: WeightsStore, server: web.FileServer) -> None:
    puller = publish(store, server)
    assert store.given is not None
    folder = lay(store.given / "mine", ONE)

    assert puller.pull(store.get_spec("mine")) == Pulled(folder=folder, fetched=False)
    assert server.ranges == []
    assert not store.own.exists()


def test_an_altered_file_is_replaced(store: WeightsStore, server: web.FileServer) -> None:
    puller = publish(store, server)
    lay(store.own / "mine", {"net.onnx": bytes(len(DATA))})

    assert puller.pull(store.get_spec("mine")).fetched is True
    assert store.look(store.get_spec("mine"), verify=True).state is WeightsState.PRESENT


def test_an_altered_file_in_the_given_folder_is_mended_by_a_pull_and_not_touched(
    store: WeightsStore, server: web.FileServer
) -> None:
    puller = publish(store, server)
    assert store.given is not None
    folder = lay(store.given / "mine", {"net.onnx": bytes(len(DATA))})
    puller.pull(store.get_spec("mine"))

    spec = store.get_spec("mine")
    assert store.read_verified(spec, spec.files[0]) == DATA
    assert (folder / "net.onnx").read_bytes() == bytes(len(DATA))


def test_other_bytes_of_the_right_length_are_refused(store: WeightsStore) -> None:
    with web.serve(DATA, web.altered) as server:
        puller = publish(store, server)
        with pytest.raises(WeightsDownloadError, match=r"other bytes.*do not use it.*weights pull mine --from DIR"):
            puller.pull(store.get_spec("mine"))
    assert (names(store), len(server.ranges)) == ([], 1)


def test_a_refused_download_leaves_the_file_that_was_there(store: WeightsStore) -> None:
    lay(store.own / "mine", {"net.onnx": b"old"})
    with web.serve(DATA, web.other(web.WEB_PAGE, Content_Type="text/html")) as server:
        puller = publish(store, server)
        with pytest.raises(WeightsDownloadError, match="web page"):
            puller.pull(store.get_spec("mine"))
    assert (store.own / "mine" / "net.onnx").read_bytes() == b"old"
    assert names(store) == ["net.onnx"]


def test_a_pull_goes_on_where_the_one_before_broke_off(store: WeightsStore) -> None:
    with web.serve(DATA, *[web.cut_after(3000)] * 3, web.pieces) as server:
        puller = publish(store, server)
        with pytest.raises(WeightsUnreachableError, match="The 9,000 of 18,000 bytes that came are kept"):
            puller.pull(store.get_spec("mine"))
        assert names(store) == ["net.onnx.partial"]
        with pytest.raises(WeightsMissingError):
            store.find("mine")

        puller.pull(store.get_spec("mine"))
    assert server.ranges[-1] == "bytes=9000-"
    assert names(store) == ["net.onnx"]


def test_a_left_over_with_other_bytes_costs_one_more_download(store: WeightsStore, server: web.FileServer) -> None:
    puller = publish(store, server)
    lay(store.own / "mine", {"net.onnx.partial": b"x" * 100})

    assert puller.pull(store.get_spec("mine")).fetched is True
    assert server.ranges == ["bytes=100-", None]


def test_two_pulls_at_once_fetch_once_and_both_have_it(store: WeightsStore) -> None:
    waits = threading.Event()
    with web.serve(DATA, web.held) as server:
        first = publish(store, server)
        second = Puller(store, patience=QUICK, on_wait=waits.set)
        spec, ended = store.get_spec("mine"), list[Pulled]()
        threads = []
        for puller in (first, second):
            threads.append(threading.Thread(target=lambda puller=puller: ended.append(puller.pull(spec))))
            threads[-1].start()
            while not server.ranges:
                threads[0].join(0.01)
        assert waits.wait(30)
        server.released.set()
        for thread in threads:
            thread.join(30)
    assert sorted(pulled.fetched for pulled in ended) == [False, True]
    assert len(server.ranges) == 1
    assert names(store) == ["net.onnx"]


@pytest.mark.parametrize("folder", ["", "mine"])
def test_files_can_be_taken_out_of_a_folder(store: WeightsStore, folder: str, tmp_path: Path) -> None:
    assert store.given is not None
    describe(store.given)
    lay(tmp_path / "stick" / folder)

    pulled = Puller(store, source=tmp_path / "stick").pull(store.get_spec("mine"))

    assert pulled == Pulled(folder=store.own / "mine", fetched=True)
    assert store.look(store.get_spec("mine"), verify=True).folder == pulled.folder


def test_a_folder_without_the_file_says_where_it_is_published(
    store: WeightsStore, server: web.FileServer, tmp_path: Path
) -> None:
    publish(store, server)
    with pytest.raises(SourceNotFoundError, match=f"holds neither mine/net.onnx nor net.onnx.*{server.url}"):
        Puller(store, source=tmp_path).pull(store.get_spec("mine"))


@pytest.mark.parametrize(("data", "fact"), [(bytes(len(DATA)), "other bytes"), (b"short", "5 bytes, not 18,000")])
def test_a_folder_with_another_file_is_refused(store: WeightsStore, tmp_path: Path, data: bytes, fact: str) -> None:
    assert store.given is not None
    describe(store.given)
    lay(tmp_path / "stick", {**FILES, "net.onnx": data})
    with pytest.raises(WeightsAlteredError, match=f"it has {fact}.*Fetch it anew"):
        Puller(store, source=tmp_path / "stick").pull(store.get_spec("mine"))
    assert names(store) == []


def test_weights_that_are_published_nowhere_are_asked_for_with_a_folder(store: WeightsStore) -> None:
    assert store.given is not None
    describe(store.given)
    with pytest.raises(WeightsMissingError, match=r"`facefleet weights pull mine --from DIR`"):
        Puller(store).pull(store.get_spec("mine"))
    assert not store.own.exists()


def test_a_home_that_cannot_be_written_is_told(store: WeightsStore, server: web.FileServer) -> None:
    puller = publish(store, server)
    store.own.parent.write_bytes(b"a file in the place of the folder")
    with pytest.raises(WeightsStoreError, match=f"could not be stored in {store.own}"):
        puller.pull(store.get_spec("mine"))


def test_a_full_disk_is_told_and_given_back_what_was_taken(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", kibibytes=64) as disk:
        store = WeightsStore(own=disk / "weights", given=tmp_path / "given")
        lay(store.own / "mine", {"net.onnx": b"old"})
        with web.serve(DATA) as server:
            puller = publish(store, server)
            (disk / ".room").write_bytes(bytes(8192))
            ballast = fill(disk)
            (disk / ".room").unlink()
            with pytest.raises(DiskFullError, match="Free space there"):
                puller.pull(store.get_spec("mine"))
            assert names(store) == ["net.onnx"]
            ballast.unlink()
            puller.pull(store.get_spec("mine"))
        assert store.look(store.get_spec("mine"), verify=True).state is WeightsState.PRESENT
