"""Reading one photo by its URI: limits, roots, archives, stores, and what is no file."""

import bz2
import io
import os
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import psutil
import pytest

from core.errors import (
    NotAPhotoError,
    PhotoBrokenError,
    PhotoEmptyError,
    PhotoForbiddenError,
    PhotoMissingError,
    PhotoTooManyBytesError,
    SourceUnreachableError,
    UnsafeMemberError,
)
from core.images.read import PhotoReader
from core.images.uris import ArchiveKind, local_uri, member_uri
from core.settings import Settings


@pytest.fixture
def reader() -> Iterator[PhotoReader]:
    with PhotoReader(max_bytes=10_000) as reader:
        yield reader


def pack_tar(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def pack_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def in_zip(name: str, path: Path) -> str:
    return member_uri(ArchiveKind.ZIP, name, str(path))


def in_tar(name: str, path: Path) -> str:
    return member_uri(ArchiveKind.TAR, name, str(path))


def open_files() -> set[str]:
    """The files that this process holds open."""
    return {file.path for file in psutil.Process().open_files()}


def test_a_file_is_read_by_its_path(tmp_path: Path, reader: PhotoReader) -> None:
    (tmp_path / "a photo.jpg").write_bytes(b"bytes")
    assert reader.read(str(tmp_path / "a photo.jpg")) == b"bytes"
    assert reader.read(f"file://{tmp_path}/a%20photo.jpg") == b"bytes"


def test_a_file_whose_name_is_no_utf8_is_read_by_a_uri_that_is(tmp_path: Path, reader: PhotoReader) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(raw)).write_bytes(b"bytes")
    uri = local_uri(os.fsdecode(raw))
    assert uri.encode("utf-8").endswith(b"caf%E9.jpg")
    assert reader.read(uri) == b"bytes"


def test_a_missing_file_is_missing(tmp_path: Path, reader: PhotoReader) -> None:
    for path in (tmp_path / "no.jpg", tmp_path / "no" / "no.jpg", tmp_path / ("x" * 300)):
        with pytest.raises(PhotoMissingError, match="There is no file"):
            reader.read(str(path))


@pytest.mark.parametrize("uri", ["photos/a.jpg", "a.jpg", "", "/a\0b.jpg", "file://host/a.jpg"])
def test_a_path_that_is_not_absolute_is_missing(uri: str, reader: PhotoReader) -> None:
    with pytest.raises(PhotoMissingError):
        reader.read(uri)


def test_a_file_without_bytes_is_empty(tmp_path: Path, reader: PhotoReader) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(PhotoEmptyError):
        reader.read(str(tmp_path / "a.jpg"))


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_not(tmp_path: Path, reader: PhotoReader) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x" * 10_000)
    assert len(reader.read(str(tmp_path / "a.jpg"))) == 10_000
    (tmp_path / "a.jpg").write_bytes(b"x" * 10_001)
    with pytest.raises(PhotoTooManyBytesError, match="10,000"):
        reader.read(str(tmp_path / "a.jpg"))


def test_a_file_of_a_terabyte_is_not_read_to_its_end(tmp_path: Path, reader: PhotoReader) -> None:
    with (tmp_path / "sparse.jpg").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(PhotoTooManyBytesError):
        reader.read(str(tmp_path / "sparse.jpg"))


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, reader: PhotoReader) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s.jpg"))
    with listener:
        for path in (tmp_path / "pipe.jpg", tmp_path / "s.jpg", tmp_path, Path("/dev/zero")):
            with pytest.raises(NotAPhotoError, match="not a file"):
                reader.read(str(path))


def test_a_file_that_may_not_be_read_is_forbidden(tmp_path: Path, reader: PhotoReader) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "a.jpg").chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything, and nobody may not
        os.seteuid(65534)
    try:
        with pytest.raises(PhotoForbiddenError, match="permissions"):
            reader.read(str(tmp_path / "a.jpg"))
    finally:
        os.seteuid(user)


def test_outside_the_roots_nothing_is_read(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "inside-not"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.jpg").write_bytes(b"bytes")
        pack_zip(folder / "a.zip", {"a.jpg": b"bytes"})
    (inside / "link.jpg").symlink_to(outside / "a.jpg")
    (inside / "door").symlink_to(outside)
    reader = PhotoReader.from_settings(Settings.from_env({"FACEFLEET_IMAGE_ROOTS": str(inside)}))
    assert reader.read(str(inside / "a.jpg")) == b"bytes"
    assert reader.read(in_zip("a.jpg", inside / "a.zip")) == b"bytes"
    for uri in (
        str(outside / "a.jpg"),
        str(inside / "link.jpg"),
        str(inside / "door" / "a.jpg"),
        str(inside / ".." / "inside-not" / "a.jpg"),
        in_zip("a.jpg", outside / "a.zip"),
        in_zip("a.jpg", inside / "door" / "a.zip"),
        f"file://{outside}/a.jpg",
        f"local://{outside}/a.jpg",
        f"simplecache::file://{outside}/a.jpg",
        f"zip://a.jpg::simplecache::file://{outside}/a.zip",
        "memory://a.jpg",
        str(outside / "does-not-exist.jpg"),
    ):
        with pytest.raises(PhotoForbiddenError, match="FACEFLEET_IMAGE_ROOTS"):
            reader.read(uri)
    reader.close()


def test_a_root_that_is_a_link_holds_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(b"bytes")
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert PhotoReader(roots=[tmp_path / "root"]).read(str(tmp_path / "root" / "a.jpg")) == b"bytes"


def test_a_zip_member_is_read(tmp_path: Path, reader: PhotoReader) -> None:
    path = pack_zip(tmp_path / "a::b é.zip", {"in/1.jpg": b"one", "in/weird::name.jpg": b"two"})
    assert reader.read(in_zip("in/1.jpg", path)) == b"one"
    assert reader.read(in_zip("in/weird::name.jpg", path)) == b"two"
    with pytest.raises(PhotoMissingError):
        reader.read(in_zip("in/2.jpg", path))
    with pytest.raises(PhotoMissingError):
        reader.read(in_zip("in/1.jpg", tmp_path / "gone.zip"))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_members_are_read_in_any_order(mode: str, tmp_path: Path, reader: PhotoReader) -> None:
    members = {f"in/{number}.jpg": f"photo {number}".encode() * number for number in range(1, 30)}
    path = pack_tar(tmp_path / "a.tar", members, mode)
    for name in [*members, *reversed(members), *list(members)[::3]]:
        assert reader.read(in_tar(name, path)) == members[name]
    with pytest.raises(PhotoMissingError):
        reader.read(in_tar("in/99.jpg", path))


@pytest.mark.parametrize("pack", [pack_zip, pack_tar])
def test_many_threads_read_one_archive(pack: object, tmp_path: Path, reader: PhotoReader) -> None:
    members = {f"{number}.jpg": os.urandom(500) for number in range(200)}
    path = pack(tmp_path / "a", members)  # type: ignore[operator]
    in_archive = in_zip if pack is pack_zip else in_tar
    wrong: list[str] = []

    def read_every_fourth(first: int) -> None:
        wrong.extend(name for name in list(members)[first::4] if reader.read(in_archive(name, path)) != members[name])

    threads = [threading.Thread(target=read_every_fourth, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_more_archives_than_stay_open_are_read_in_turn(tmp_path: Path) -> None:
    paths = [pack_zip(tmp_path / f"{number}.zip", {"a.jpg": str(number).encode()}) for number in range(6)]
    with PhotoReader(open_archives=2) as reader:
        for _ in range(2):
            assert [reader.read(in_zip("a.jpg", path)) for path in paths] == [b"0", b"1", b"2", b"3", b"4", b"5"]
        assert len(open_files() & set(map(str, paths))) == 2


def test_a_closed_reader_holds_no_archive_open(tmp_path: Path) -> None:
    path = pack_tar(tmp_path / "a.tar.gz", {"a.jpg": b"x"})
    reader = PhotoReader()
    reader.read(in_tar("a.jpg", path))
    assert str(path) in open_files()
    reader.close()
    assert str(path) not in open_files()


def test_an_archive_that_was_replaced_is_opened_anew(tmp_path: Path, reader: PhotoReader) -> None:
    path = pack_zip(tmp_path / "a.zip", {"a.jpg": b"old"})
    assert reader.read(in_zip("a.jpg", path)) == b"old"
    pack_zip(tmp_path / "b.zip", {"a.jpg": b"new"}).replace(path)
    assert reader.read(in_zip("a.jpg", path)) == b"new"


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/etc/a.jpg", "in/../../a.jpg", r"..\a.jpg", r"in\..\..\a.jpg", r"C:\a.jpg", r"\a.jpg", ""]
)
def test_a_member_with_an_unsafe_name_is_not_read(name: str, tmp_path: Path, reader: PhotoReader) -> None:
    for kind, path in (
        (ArchiveKind.ZIP, pack_zip(tmp_path / "a.zip", {name or "x": b"x"})),
        (ArchiveKind.TAR, pack_tar(tmp_path / "a.tar.gz", {name or "x": b"x"})),
    ):
        with pytest.raises(UnsafeMemberError):
            reader.read(member_uri(kind, name, str(path)))


def test_a_windows_separator_alone_is_not_unsafe(tmp_path: Path, reader: PhotoReader) -> None:
    assert reader.read(in_zip(r"in\a.jpg", pack_zip(tmp_path / "a.zip", {r"in\a.jpg": b"x"}))) == b"x"


def test_links_and_devices_in_archives_are_not_read(tmp_path: Path, reader: PhotoReader) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.type = kind
            info.linkname = "/etc/passwd"
            archive.addfile(info)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        link = zipfile.ZipInfo("0.jpg")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, "/etc/passwd")
    for uri in (
        *(in_tar(f"{number}.jpg", tmp_path / "a.tar") for number in range(4)),
        in_zip("0.jpg", tmp_path / "a.zip"),
    ):
        with pytest.raises(UnsafeMemberError):
            reader.read(uri)


def test_a_bomb_stops_at_the_limit(tmp_path: Path, reader: PhotoReader) -> None:
    zeros = b"\0" * 50_000_000
    bomb = pack_zip(tmp_path / "a.zip", {"a.jpg": zeros})
    assert bomb.stat().st_size < 60_000
    with pytest.raises(PhotoTooManyBytesError):
        reader.read(in_zip("a.jpg", bomb))
    with pytest.raises(PhotoTooManyBytesError):
        reader.read(in_tar("a.jpg", pack_tar(tmp_path / "a.tar.gz", {"a.jpg": zeros})))


def test_a_zip_whose_directory_lies_about_the_size_stops_at_the_limit(tmp_path: Path, reader: PhotoReader) -> None:
    path = pack_zip(tmp_path / "a.zip", {"a.jpg": b"\0" * 1_000_000})
    true_size = (1_000_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(true_size, (100).to_bytes(4, "little")))
    with pytest.raises(PhotoBrokenError):
        reader.read(in_zip("a.jpg", path))


def test_zip_methods_that_cannot_be_bounded_are_not_read(tmp_path: Path, reader: PhotoReader) -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(PhotoBrokenError, match="deflate"):
            reader.read(in_zip("a.jpg", pack_zip(tmp_path / "a.zip", {"a.jpg": b"x" * 100}, method)))


def test_an_encrypted_member_is_broken(tmp_path: Path, reader: PhotoReader) -> None:
    path = pack_zip(tmp_path / "a.zip", {"a.jpg": b"bytes"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(PhotoBrokenError, match="encrypted"):
        reader.read(in_zip("a.jpg", path))


def test_a_member_that_fails_its_checksum_is_broken_and_its_neighbour_is_not(
    tmp_path: Path, reader: PhotoReader
) -> None:
    path = pack_zip(tmp_path / "a.zip", {"a.jpg": b"first photo", "b.jpg": b"second photo"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"first photo", b"f1rst photo"))
    with pytest.raises(PhotoBrokenError, match="CRC"):
        reader.read(in_zip("a.jpg", path))
    assert reader.read(in_zip("b.jpg", path)) == b"second photo"


@pytest.mark.parametrize(
    "data", [b"", b"PK\x05\x06", b"no archive at all" * 100, b"\x1f\x8b" + b"\xff" * 50, b"BZh9" + b"\xff" * 50]
)
def test_what_is_no_archive_is_broken(data: bytes, tmp_path: Path, reader: PhotoReader) -> None:
    (tmp_path / "a").write_bytes(data)
    for kind in ArchiveKind:
        with pytest.raises(PhotoBrokenError):
            reader.read(member_uri(kind, "a.jpg", str(tmp_path / "a")))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_that_breaks_off_gives_the_photos_before_the_break(
    mode: str, tmp_path: Path, reader: PhotoReader
) -> None:
    members = {f"{number}.jpg": os.urandom(3000) for number in range(20)}
    path = pack_tar(tmp_path / "a.tar", members, mode)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    good = broken = 0
    for name in members:
        try:
            assert reader.read(in_tar(name, path)) == members[name]
            good += 1
        except PhotoBrokenError:
            broken += 1
    assert good + broken == 20
    assert broken >= 9
    assert good >= 1 or mode == "w:bz2"  # bzip2 gives nothing of a block that is cut


def test_a_broken_header_in_the_middle_of_a_tar_is_not_taken_for_its_end(tmp_path: Path, reader: PhotoReader) -> None:
    path = pack_tar(tmp_path / "a.tar", {"a.jpg": b"a", "b.jpg": b"b"}, "w")
    data = bytearray(path.read_bytes())
    data[1024 + 148 : 1024 + 156] = b"garbage!"
    path.write_bytes(data)
    assert reader.read(in_tar("a.jpg", path)) == b"a"
    with pytest.raises(PhotoBrokenError):
        reader.read(in_tar("b.jpg", path))


def test_a_tar_header_that_leads_backwards_ends_the_reading(tmp_path: Path, reader: PhotoReader) -> None:
    info = tarfile.TarInfo("a.jpg")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"  # base-256: minus 1024
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + b"\0" * 2048)
    with pytest.raises(PhotoBrokenError):
        reader.read(in_tar("b.jpg", tmp_path / "a.tar"))


def test_a_tar_header_that_asks_for_gigabytes_of_memory_is_broken(tmp_path: Path, reader: PhotoReader) -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2 * 2**30
    bomb = bz2.compress(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 50_000_000)
    (tmp_path / "a.tar.bz2").write_bytes(bomb)
    with pytest.raises(PhotoBrokenError):
        reader.read(in_tar("b.jpg", tmp_path / "a.tar.bz2"))


def test_a_photo_of_another_store_is_read(reader: PhotoReader) -> None:
    fsspec.filesystem("memory").pipe(
        {"/reading/a.jpg": b"bytes", "/reading/big.jpg": b"x" * 10_001, "/reading/0.jpg": b""}
    )
    assert reader.read("memory://reading/a.jpg") == b"bytes"
    with pytest.raises(PhotoMissingError):
        reader.read("memory://reading/none.jpg")
    with pytest.raises(PhotoTooManyBytesError):
        reader.read("memory://reading/big.jpg")
    with pytest.raises(PhotoEmptyError):
        reader.read("memory://reading/0.jpg")


def test_an_archive_of_another_store_is_read(tmp_path: Path, reader: PhotoReader) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/reading/a.zip", pack_zip(tmp_path / "a.zip", {"a.jpg": b"zipped", "../b.jpg": b"x"}).read_bytes())
    store.pipe("/reading/a.tar.gz", pack_tar(tmp_path / "a.tgz", {"a.jpg": b"tarred"}).read_bytes())
    assert reader.read("zip://a.jpg::memory://reading/a.zip") == b"zipped"
    assert reader.read("tar://a.jpg::memory://reading/a.tar.gz") == b"tarred"
    with pytest.raises(UnsafeMemberError):
        reader.read("zip://../b.jpg::memory://reading/a.zip")
    with pytest.raises(PhotoMissingError):
        reader.read("zip://a.jpg::memory://reading/none.zip")


def test_a_store_whose_driver_is_missing_names_the_package(reader: PhotoReader) -> None:
    with pytest.raises(SourceUnreachableError, match="s3fs"):
        reader.read("s3://bucket/a.jpg")


def test_a_store_that_fails_is_worth_another_try(reader: PhotoReader) -> None:
    class BrokenStore(fsspec.AbstractFileSystem):
        protocol = "brokenstore"

        def _open(self, path: str, **options: object) -> object:
            raise ConnectionResetError("the line is dead")

    fsspec.register_implementation("brokenstore", BrokenStore, clobber=True)
    with pytest.raises(SourceUnreachableError, match="the line is dead") as caught:
        reader.read("brokenstore://a.jpg")
    assert caught.value.retry
    with pytest.raises(SourceUnreachableError):
        reader.read("zip://a.jpg::brokenstore://a.zip")
