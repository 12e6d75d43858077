"""Turns what a user submits (files, folders, globs, archives, manifests, fsspec URIs) into photo URIs, lazily.

Reads no photo. A member of an archive with an unsafe name, or that is a link, is given out like any other: reading it
gives the item's error outcome, so that each submitted photo has exactly one.
"""

import difflib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from core.errors import ArchiveError, EmptySourceError, SourceNotFoundError
from core.images.archives import open_archive
from core.images.folders import Pattern, has_magic, walk_folder
from core.images.manifests import MANIFEST_SUFFIXES, read_manifest
from core.images.members import ARCHIVE_FAULTS, Archive
from core.images.skips import why_member_skipped
from core.images.stores import StorePlace
from core.images.uris import ArchiveKind, LocalUri, MemberUri, StoreUri, local_uri, member_uri, parse_uri
from core.records import SkipLog

_ARCHIVE_SUFFIXES = {
    ".zip": ArchiveKind.ZIP,
    **dict.fromkeys((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"), ArchiveKind.TAR),
}

_Walk = Callable[[SkipLog], Iterator[str]]
_Open = Callable[[], BinaryIO]


def walk_sources(specs: Sequence[str], skipped: SkipLog) -> Iterator[str]:
    """Find the photos of several sources.

    All sources are checked before this returns, so a slip in the last one cannot leave half a job behind. The walk
    itself is lazy and in a stable order: sources as given; in a folder its files, then its folders, in natural order
    (2.jpg before 10.jpg); archives and manifests in their own order.

    Args:
        specs: files, folders, globs, zip and tar archives, CSV and JSONL manifests, fsspec URIs.
        skipped: told of every file that is passed over as no photo.

    Returns:
        The URIs, as `PhotoReader.read` takes them.

    Raises:
        SourceNotFoundError, ArchiveError, ManifestError, SourceUnreachableError: at once, for a source that cannot be
            used; while walking, for an archive that breaks off or a manifest with a bad line.
        EmptySourceError: while walking, when all sources together hold no photo.
    """
    return _walk_all(specs, [_resolve(spec) for spec in specs], skipped)


def check_sources(specs: Sequence[str]) -> None:
    """Raise what `walk_sources` would raise at once, without walking."""
    for spec in specs:
        _resolve(spec)


def _walk_all(specs: Sequence[str], walks: Sequence[_Walk], skipped: SkipLog) -> Iterator[str]:
    empty = True
    for uri in chain.from_iterable(walk(skipped) for walk in walks):
        empty = False
        yield uri
    if empty:
        passed = f" {skipped.count} files were passed over as no photos." if skipped.count else ""
        raise EmptySourceError(
            f"There is no photo in {', '.join(specs) or 'the sources: none was given'}.{passed} Nothing was submitted. "
            "Name a folder, archive or manifest that holds photos."
        )


def _resolve(spec: str) -> _Walk:
    """Look at what a source is, and give the way to walk it."""
    parsed = parse_uri(spec)
    if isinstance(parsed, MemberUri):
        _resolve_archive_of(parsed, spec)
        return lambda _: iter((spec,))
    if isinstance(parsed, StoreUri):
        return _resolve_store(parsed.uri)
    return _resolve_local(os.path.abspath(os.path.expanduser(parsed.path)), spec)  # noqa: PTH100, PTH111 - `..` textually, as a shell does


def _resolve_local(path: str, spec: str) -> _Walk:
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as error:
        if has_magic(path):
            return _resolve_glob(path, spec)
        raise _not_found(path, spec, error) from error
    if stat.S_ISDIR(mode):
        _check_readable(path, spec, os.R_OK | os.X_OK)
        return lambda skipped: map(local_uri, walk_folder(path, skipped))
    if not stat.S_ISREG(mode):
        raise SourceNotFoundError(f"{spec} is a pipe, socket or device, not a file or folder. Nothing was submitted.")
    _check_readable(path, spec, os.R_OK)
    return _resolve_file(path, partial(_open_local, path), local_uri(path), os.path.dirname(path))  # noqa: PTH120


def _resolve_glob(path: str, spec: str) -> _Walk:
    pattern = Pattern(path)

    def walk(skipped: SkipLog) -> Iterator[str]:
        return map(local_uri, walk_folder(pattern.base, skipped, pattern))

    if not Path(pattern.base).is_dir():
        raise _not_found(pattern.base, spec, None)
    if next(walk(SkipLog()), None) is None:
        raise SourceNotFoundError(
            f"No photo matches {spec}. Nothing was submitted. A glob matches files: use ** for folders below, or name "
            "the folder itself."
        )
    return walk


def _resolve_store(uri: str) -> _Walk:
    place = StorePlace(uri)
    if place.is_glob:
        return place.glob
    if place.is_folder:
        return place.walk
    return _resolve_file(uri, place.open, uri, uri.rsplit("/", 1)[0])


def _resolve_file(name: str, open_it: _Open, uri: str, base: str) -> _Walk:
    """Look at what a file is by its suffix; anything but an archive or a manifest is taken as a photo."""
    lowered = name.lower()
    kind = next((kind for suffix, kind in _ARCHIVE_SUFFIXES.items() if lowered.endswith(suffix)), None)
    if kind is not None:
        _open_source_archive(kind, name, open_it).close()
        return lambda skipped: _walk_archive(kind, name, open_it, skipped)
    if lowered.endswith(MANIFEST_SUFFIXES):
        next(_walk_manifest(name, open_it, base), None)
        return lambda _: _walk_manifest(name, open_it, base)
    return lambda _: iter((uri,))


def _resolve_archive_of(uri: MemberUri, spec: str) -> None:
    """Check that the archive of a member that is named is there; the member is looked for when it is read."""
    if isinstance(uri.archive, LocalUri):
        path = uri.archive.path
        if not Path(path).is_file():
            raise _not_found(path, spec, None)
        _open_source_archive(uri.kind, path, partial(_open_local, path)).close()
    else:
        _open_source_archive(uri.kind, uri.archive.uri, StorePlace(uri.archive.uri).open).close()


def _walk_manifest(name: str, open_it: _Open, base: str) -> Iterator[str]:
    with open_it() as stream:
        yield from read_manifest(stream, name, base)


def _walk_archive(kind: ArchiveKind, name: str, open_it: _Open, skipped: SkipLog) -> Iterator[str]:
    with closing(_open_source_archive(kind, name, open_it)) as archive:
        members = archive.members()
        while True:
            try:
                member = next(members, None)
            except (OSError, *ARCHIVE_FAULTS) as error:
                raise _broken(name, error) from error
            if member is None:
                return
            uri = member_uri(kind, member.name, name)
            why = "replaced by a later member of the same name" if member.shadowed else why_member_skipped(member.name)
            if why:
                skipped.add(uri, why)
            else:
                yield uri


def _open_source_archive(kind: ArchiveKind, name: str, open_it: _Open) -> Archive:
    try:
        return open_archive(kind, open_it(), max_bytes=0)
    except (OSError, *ARCHIVE_FAULTS) as error:
        raise _broken(name, error) from error


def _open_local(path: str) -> BinaryIO:
    return Path(path).open("rb")


def _check_readable(path: str, spec: str, access: int) -> None:
    if not os.access(path, access):
        raise SourceNotFoundError(
            f"{spec} may not be read by your user. Nothing was submitted. Change its permissions."
        )


def _broken(name: str, error: Exception) -> ArchiveError:
    return ArchiveError(
        f"The archive {name} cannot be read: {error or type(error).__name__}. It is damaged, cut off, or not what its "
        "name says. "
        "Copy or pack it again, and submit it anew."
    )


def _not_found(path: str, spec: str, error: Exception | None) -> SourceNotFoundError:
    """Say what is there instead: the nearest folder that exists, and the names in it that look alike."""
    if isinstance(error, PermissionError):
        return SourceNotFoundError(
            f"{spec} may not be read by your user. Nothing was submitted. Change its permissions."
        )
    missing = Path(path.replace("\0", ""))
    while not missing.parent.is_dir() and missing != missing.parent:
        missing = missing.parent
    near = _names_like(missing)
    hint = "Did you mean " + " or ".join(near) + "?" if near else f"The nearest folder that exists is {missing.parent}."
    return SourceNotFoundError(f"There is no {spec}. Nothing was submitted. {hint}")


def _names_like(missing: Path) -> list[str]:
    try:
        names = {name.casefold(): name for name in os.listdir(missing.parent)}  # noqa: PTH208
    except OSError:
        return []
    close = difflib.get_close_matches(missing.name.casefold(), list(names)[:10_000], n=3)
    return [str(missing.parent / names[name]) for name in close]
