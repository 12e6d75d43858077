"""Forms of photo URIs."""

import pytest

from core.images.uris import ArchiveKind, LocalUri, MemberUri, StoreUri, local_uri, member_uri, parse_uri, photo_name


@pytest.mark.parametrize(
    "path", ["/a.jpg", "/a b.jpg", "/100%.jpg", "/a::b.jpg", "/é.jpg", "/caf\udce9.jpg", "/#?&.jpg", "/line\nbreak"]
)
def test_a_local_path_comes_back_from_its_uri(path: str) -> None:
    uri = local_uri(path)
    uri.encode("utf-8")
    assert parse_uri(uri) == LocalUri(path=path)


@pytest.mark.parametrize("archive", ["/a.zip", "/a::b.zip", "/100% é.zip", "/caf\udce9.zip", "/a::b%41.zip"])
@pytest.mark.parametrize("member", ["in/a.jpg", "a::b.jpg", "100%.jpg", "zip://x", ""])
def test_a_member_comes_back_from_its_uri(member: str, archive: str) -> None:
    parsed = parse_uri(member_uri(ArchiveKind.TAR, member, archive))
    assert parsed == MemberUri(kind=ArchiveKind.TAR, member=member, archive=LocalUri(path=archive))


def test_a_member_of_a_remote_archive_comes_back_from_its_uri() -> None:
    parsed = parse_uri(member_uri(ArchiveKind.ZIP, "a.jpg", "s3://bucket/a.zip"))
    assert parsed == MemberUri(kind=ArchiveKind.ZIP, member="a.jpg", archive=StoreUri(uri="s3://bucket/a.zip"))


def test_file_uris_are_percent_encoded() -> None:
    for uri in ("file:///a%20b.jpg", "file://localhost/a%20b.jpg", "file:///a b.jpg", "local:///a b.jpg"):
        assert parse_uri(uri) == LocalUri(path="/a b.jpg")


def test_other_schemes_are_left_to_their_store() -> None:
    for uri in ("memory://a/b", "https://host/a?b=1", "simplecache::s3://b/c"):
        assert parse_uri(uri) == StoreUri(uri=uri)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/album/Ada 1.jpg", "Ada 1.jpg"),
        ("file:///album/Zo%C3%AB.jpg", "Zoë.jpg"),
        ("zip://box/1.png::/album/a.zip", "1.png"),
        ("s3://bucket/a/b%20c.jpg?version=2", "b c.jpg"),
        ("https://[host", "[host"),
        ("/", ""),
    ],
)
def test_a_photo_is_known_by_the_name_of_its_own_file(uri: str, name: str) -> None:
    assert photo_name(uri) == name
