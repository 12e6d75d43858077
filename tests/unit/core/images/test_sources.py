"""From what a user submits to photo URIs: order, laziness, what is passed over, and what is refused at once."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest

from core.errors import (
    ArchiveError,
    EmptySourceError,
    ManifestError,
    SourceNotFoundError,
    UnsafeMemberError,
)
from core.images.read import PhotoReader
from core.images.sources import check_sources, walk_sources
from core.records import SkipLog


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def walk(*specs: object, skipped: SkipLog | None = None) -> list[str]:
    return list(walk_sources([str(spec) for spec in specs], SkipLog() if skipped is None else skipped))


def below(folder: Path, uris: list[str]) -> list[str]:
    return [uri.removeprefix(f"{folder}/") for uri in uris]


def test_a_folder_gives_its_files_then_its_folders_in_natural_order(tmp_path: Path) -> None:
    touch(
        tmp_path, "10.jpg", "2.jpg", "1.jpg", "B.jpg", "a.jpg", "p10/1.jpg", "p9/07.jpg", "p9/7.png", "p9/deep/er/x.jpg"
    )
    assert below(tmp_path, walk(tmp_path)) == [
        "1.jpg",
        "2.jpg",
        "10.jpg",
        "a.jpg",
        "B.jpg",
        "p9/07.jpg",
        "p9/7.png",
        "p9/deep/er/x.jpg",
        "p10/1.jpg",
    ]


def test_a_file_with_an_odd_extension_or_none_is_a_photo_to_be_given_an_outcome(tmp_path: Path) -> None:
    touch(tmp_path, "photo", "photo.xyz", "photo.jpeg_large", "scan.pdf", "raw.NEF", "notes.txt", "old.zip")
    assert len(walk(tmp_path)) == 7


def test_what_is_no_photo_is_passed_over_with_a_reason(tmp_path: Path) -> None:
    names = [
        "a.jpg",
        ".hidden.jpg",
        ".git/x.jpg",
        "Thumbs.db",
        "a.XMP",
        "a.jpg.json",
        "clip.MOV",
        "@eaDir/a.jpg",
    ]
    touch(tmp_path, *names)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "gone")
    skipped = SkipLog()
    assert below(tmp_path, walk(tmp_path, skipped=skipped)) == ["a.jpg"]
    reasons = {Path(entry.name).name: entry.reason for entry in skipped.first}
    assert skipped.count == 9
    assert reasons[".hidden.jpg"] == reasons[".git"] == "hidden"
    assert reasons["a.XMP"] == "a sidecar file"
    assert reasons["clip.MOV"] == "a video"
    assert reasons["pipe.jpg"] == "a pipe"
    assert reasons["nowhere.jpg"] == "a link that leads nowhere"


def test_a_named_file_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    touch(tmp_path, "notes.json", ".hidden")
    assert below(tmp_path, walk(tmp_path / "notes.json", tmp_path / ".hidden")) == ["notes.json", ".hidden"]


def test_sources_are_given_out_in_the_order_they_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "z/1.jpg", "a/1.jpg", "m.jpg")
    assert below(tmp_path, walk(tmp_path / "z", tmp_path / "m.jpg", tmp_path / "a")) == ["z/1.jpg", "m.jpg", "a/1.jpg"]


def test_a_relative_source_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "in/1.jpg")
    monkeypatch.chdir(tmp_path)
    assert walk("in/../in") == [str(tmp_path / "in" / "1.jpg")]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert walk("~/in") == [str(tmp_path / "in" / "1.jpg")]


def test_a_folder_is_listed_only_when_its_turn_comes(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg")
    uris = walk_sources([str(tmp_path)], SkipLog())
    assert next(uris).endswith("a/1.jpg")
    touch(tmp_path, "b/0.jpg")  # after the walk began, before it came to b
    assert below(tmp_path, list(uris)) == ["a/2.jpg", "b/0.jpg", "b/1.jpg"]


def test_links_to_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "elsewhere/2.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    skipped = SkipLog()
    assert sorted(Path(uri).name for uri in walk(tmp_path / "a", skipped=skipped)) == ["1.jpg", "2.jpg"]
    assert skipped.count == 3


def test_names_that_are_no_utf8_are_given_out_as_uris_that_are(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).write_bytes(b"bytes")
    (uri,) = walk(tmp_path)
    uri.encode("utf-8")
    with PhotoReader() as reader:
        assert reader.read(uri) == b"bytes"


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.jpg", ["1.jpg", "10.jpg"]),
        ("?.jpg", ["1.jpg"]),
        ("p[12]/*", ["p1/1.jpg", "p1/2.png", "p2/1.jpg"]),
        ("**/*.jpg", ["1.jpg", "10.jpg", "p1/1.jpg", "p1/deep/1.jpg", "p2/1.jpg", "p3/1.jpg"]),
        ("p1/**", ["p1/1.jpg", "p1/2.png", "p1/deep/1.jpg"]),
        ("*/1.jpg", ["p1/1.jpg", "p2/1.jpg", "p3/1.jpg"]),
        ("**/deep/*", ["p1/deep/1.jpg"]),
    ],
)
def test_a_glob_gives_the_files_it_matches_in_natural_order(glob: str, found: list[str], tmp_path: Path) -> None:
    touch(tmp_path, "10.jpg", "1.jpg", "p1/1.jpg", "p1/2.png", "p1/notes.json", "p1/deep/1.jpg", "p2/1.jpg", "p3/1.jpg")
    assert below(tmp_path, walk(tmp_path / glob)) == found


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "photos [2019]/1.jpg")
    assert len(walk(tmp_path / "photos [2019]")) == 1


def test_a_glob_that_matches_nothing_is_not_found(tmp_path: Path) -> None:
    touch(tmp_path, "p/1.jpg")
    for glob in ("*.png", "*", "no/*.jpg"):
        with pytest.raises(SourceNotFoundError, match="Nothing was submitted"):
            check_sources([str(tmp_path / glob)])


def pack_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def pack_tar(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name.encode())
            archive.addfile(info, io.BytesIO(name.encode()))
    return path


@pytest.mark.parametrize(("pack", "name"), [(pack_zip, "a.ZIP"), (pack_tar, "a.tar.gz"), (pack_tar, "a.tgz")])
def test_an_archive_gives_its_members_which_can_be_read(pack: object, name: str, tmp_path: Path) -> None:
    members = ["in/2.jpg", "in/1.jpg", "in/::odd.jpg", "in/é", "__MACOSX/in/._2.jpg", "in/.DS_Store", "in/x.xmp"]
    skipped = SkipLog()
    uris = walk(pack(tmp_path / name, *members), skipped=skipped)  # type: ignore[operator]
    with PhotoReader() as reader:
        assert [reader.read(uri).decode() for uri in uris] == members[:4]
    assert skipped.count == 3


@pytest.mark.parametrize("pack", [pack_zip, pack_tar])
def test_a_member_with_an_unsafe_name_is_given_out_and_fails_when_it_is_read(pack: object, tmp_path: Path) -> None:
    path = pack(tmp_path / ("a.zip" if pack is pack_zip else "a.tar"), "../evil.jpg", "/evil.jpg", "good.jpg")  # type: ignore[operator]
    uris = walk(path)
    assert len(uris) == 3
    with PhotoReader() as reader:
        assert reader.read(uris[2]) == b"good.jpg"
        for uri in uris[:2]:
            with pytest.raises(UnsafeMemberError):
                reader.read(uri)


def test_of_two_members_of_one_name_the_later_one_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a.jpg", b"first")
        archive.writestr("a.jpg", b"second")
    skipped = SkipLog()
    (uri,) = walk(tmp_path / "a.zip", skipped=skipped)
    with PhotoReader() as reader:
        assert reader.read(uri) == b"second"
    assert skipped.count == 1


def test_one_member_can_be_named(tmp_path: Path) -> None:
    uri = f"zip://in/1.jpg::{pack_zip(tmp_path / 'a.zip', 'in/1.jpg', 'in/2.jpg')}"
    assert walk(uri) == [uri]
    with pytest.raises(SourceNotFoundError, match=r"Did you mean .*a\.zip"):
        check_sources([f"zip://in/1.jpg::{tmp_path}/b.zip"])


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.txz"])
@pytest.mark.parametrize("data", [b"", b"no archive" * 200])
def test_a_broken_archive_is_named_before_anything_starts(name: str, data: bytes, tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ArchiveError, match=str(tmp_path / name)):
        walk_sources([str(tmp_path / "1.jpg"), str(tmp_path / name)], SkipLog())


def test_an_archive_that_breaks_off_is_an_error_not_an_end(tmp_path: Path) -> None:
    path = pack_tar(tmp_path / "a.tar.gz", *(f"{number}-{'x' * 50}.jpg" for number in range(500)))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArchiveError, match="cut off"):
        walk(path)


def test_a_manifest_gives_the_photos_it_lists(tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("person,path\nAda,in/1.jpg\nBo,/abs/2.jpg\n,s3://bucket/3.jpg\n")
    assert walk(tmp_path / "photos.csv") == [str(tmp_path / "in/1.jpg"), "/abs/2.jpg", "s3://bucket/3.jpg"]


def test_a_manifest_without_the_column_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("person,picture\nAda,in/1.jpg\n")
    with pytest.raises(ManifestError, match=r"photos\.csv"):
        walk_sources([str(tmp_path / "photos.csv")], SkipLog())


def test_a_slip_in_the_last_source_is_found_before_the_first_is_walked(tmp_path: Path) -> None:
    touch(tmp_path, "photos/1.jpg")
    with pytest.raises(SourceNotFoundError) as caught:
        walk_sources([str(tmp_path / "photos"), str(tmp_path / "fotos" / "2019")], SkipLog())
    assert "Nothing was submitted" in str(caught.value)
    assert f"Did you mean {tmp_path}/photos?" in str(caught.value)


def test_a_missing_source_names_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    touch(tmp_path, "photos/1.jpg")
    with pytest.raises(SourceNotFoundError, match=f"nearest folder that exists is {tmp_path}/photos"):
        check_sources([str(tmp_path / "photos" / "quite" / "different")])


@pytest.mark.parametrize("spec", ["", "/no/such\0name", "nosuch://bucket/x", "s3://bucket/x"])
def test_a_source_that_cannot_be_is_not_found(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((SourceNotFoundError, EmptySourceError), match="Nothing was submitted"):
        walk(spec)


def test_a_pipe_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceNotFoundError, match="pipe"):
        check_sources([str(tmp_path / "pipe")])


def test_sources_that_hold_no_photo_are_empty(tmp_path: Path) -> None:
    touch(tmp_path, "in/notes.json")
    with pytest.raises(EmptySourceError, match="1 files were passed over"):
        walk(tmp_path / "in")
    with pytest.raises(EmptySourceError):
        walk()
    touch(tmp_path, "1.jpg")
    assert len(walk(tmp_path / "in", tmp_path / "1.jpg")) == 1


def test_another_store_is_walked_like_a_folder(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    names = ("10.jpg", "2.jpg", "p/1.jpg", "p/notes.json", ".hidden/1.jpg")
    store.pipe({f"/walking/{name}": b"x" for name in names})
    store.pipe("/archives/a.zip", pack_zip(tmp_path / "a.zip", "in/1.jpg").read_bytes())
    store.pipe("/archives/list.csv", b"uri\n1.jpg\nmemory://walking/2.jpg\n")
    skipped = SkipLog()
    root = "memory://walking"
    assert walk(root, skipped=skipped) == [
        "memory:///walking/2.jpg",
        "memory:///walking/10.jpg",
        "memory:///walking/p/1.jpg",
    ]
    assert skipped.count == 2
    assert walk(f"{root}/*.jpg") == ["memory:///walking/2.jpg", "memory:///walking/10.jpg"]
    assert walk(f"{root}/2.jpg") == [f"{root}/2.jpg"]
    assert walk("memory://archives/list.csv") == ["memory://archives/1.jpg", "memory://walking/2.jpg"]
    (member,) = walk("memory://archives/a.zip")
    with PhotoReader() as reader:
        assert reader.read(member) == b"in/1.jpg"
        assert reader.read(walk(root)[0]) == b"x"
    with pytest.raises(SourceNotFoundError):
        check_sources(["memory://walking/none"])


def test_a_store_whose_driver_is_missing_names_the_package() -> None:
    with pytest.raises(SourceNotFoundError, match="s3fs"):
        check_sources(["s3://bucket/photos"])
