"""The URIs of photos: what forms there are, how each is made and taken apart. Reads nothing.

Local photos are plain absolute paths (or `file://`, percent-encoded as in RFC 8089), archive members are fsspec's
chained form `zip://inner/name.jpg::/abs/archive.zip`, everything else is an fsspec URI (`s3://`, `memory://`,
`https://`, ...).
"""

import os
import posixpath
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote, unquote_to_bytes

from core.errors import UnsafeMemberError

_LOCAL_SCHEMES = ("file://", "local://")
_DRIVE = re.compile(r"[A-Za-z]:")


class ArchiveKind(StrEnum):
    """The archives whose members can be named; the value is the URI's scheme."""

    ZIP = "zip"  # random access
    TAR = "tar"  # plain or compressed by gzip, bzip2 or xz; read forward


@dataclass(frozen=True, kw_only=True)
class LocalUri:
    """A file of this machine."""

    path: str


@dataclass(frozen=True, kw_only=True)
class StoreUri:
    """A file that fsspec reads."""

    uri: str


@dataclass(frozen=True, kw_only=True)
class MemberUri:
    """A member of an archive."""

    kind: ArchiveKind
    member: str
    """The member's name as the archive has it."""
    archive: LocalUri | StoreUri


PhotoUri = LocalUri | StoreUri | MemberUri


def parse_uri(uri: str) -> PhotoUri:
    """Take a photo's URI apart; a relative path is returned as it is, for the caller to refuse."""
    for kind in ArchiveKind:
        prefix = f"{kind}://"
        if uri.startswith(prefix) and "::" in uri:
            member, _, archive = uri.removeprefix(prefix).rpartition("::")
            return MemberUri(kind=kind, member=member, archive=_parse_plain(archive))
    return _parse_plain(uri)


def has_scheme(text: str) -> bool:
    """Say whether a text is a URI with a scheme, and so no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*(://|::)", text) is not None


def local_uri(path: str) -> str:
    """Give the URI of a local file: its path, or `file://` where the path's bytes are no UTF-8 text.

    Args:
        path: absolute, as `os` gives it (surrogates stand for bytes that are no UTF-8).
    """
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return "file://" + quote(os.fsencode(path))
    return path


def member_uri(kind: ArchiveKind, member: str, archive: str) -> str:
    """Give the URI of a member of the archive at the path or URI `archive`."""
    if "::" in archive and not has_scheme(archive):
        archive = "file://" + quote(os.fsencode(archive))
    elif not has_scheme(archive):
        archive = local_uri(archive)
    return f"{kind}://{member}::{archive}"


def check_member_name(name: str, archive: str) -> None:
    r"""Refuse a member name that would leave a folder it were unpacked to; `\` counts as a separator too.

    Nothing is ever unpacked, but an archive with such names was made to attack, and tools that read the results may
    unpack it.

    Raises:
        UnsafeMemberError: the name is empty or absolute, has a drive letter, or has `..` in it.
    """
    parts = re.split(r"[/\\]", name)
    if not name or parts[0] == "" or _DRIVE.match(name) or ".." in parts or "\0" in name:
        raise UnsafeMemberError(
            f"The member {name!r} of {archive} has a name that points outside the archive. It was not read. "
            "Repack the archive with relative names if you trust where it comes from."
        )


def photo_name(uri: str) -> str:
    """Return the name that the photo's own file has, for people to know it by; not safe as a path, perhaps empty."""
    parsed = parse_uri(uri)
    if isinstance(parsed, MemberUri):
        return posixpath.basename(parsed.member)
    if isinstance(parsed, LocalUri):
        return posixpath.basename(parsed.path)
    return posixpath.basename(unquote(parsed.uri.partition("?")[0]))


def join_uri(base: str, relative: str) -> str:
    """Resolve a path relative to a folder that is an absolute path or a URI."""
    if has_scheme(relative) or relative.startswith("/"):
        return relative
    if has_scheme(base):
        return base.rstrip("/") + "/" + posixpath.normpath(relative)
    return os.path.normpath(os.path.join(base, relative))  # noqa: PTH118 - text in, text out


def _parse_plain(uri: str) -> LocalUri | StoreUri:
    if uri.startswith(_LOCAL_SCHEMES):
        quoted = uri.split("://", 1)[1].removeprefix("localhost")
        return LocalUri(path=os.fsdecode(unquote_to_bytes(os.fsencode(quoted))))
    if has_scheme(uri):
        return StoreUri(uri=uri)
    return LocalUri(path=uri)
