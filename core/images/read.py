"""Reads the bytes of one photo by its URI, within limits. Decodes nothing and finds nothing."""

import errno
import os
import stat
from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from core.errors import (
    FacefleetError,
    NotAPhotoError,
    PhotoBrokenError,
    PhotoEmptyError,
    PhotoForbiddenError,
    PhotoMissingError,
    SourceUnreachableError,
)
from core.images.archives import ArchiveCache, open_archive
from core.images.members import ARCHIVE_FAULTS, Archive, read_limited
from core.images.uris import LocalUri, MemberUri, StoreUri, check_member_name, parse_uri

if TYPE_CHECKING:
    from core.settings import Settings

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class PhotoReader:
    """Reads photos. Safe for many threads; keeps the archives it used last open until it is closed."""

    def __init__(self, *, max_bytes: int = 64 * 2**20, roots: Sequence[Path] = (), open_archives: int = 4) -> None:
        """Set the limits.

        Args:
            max_bytes: the largest photo that is read.
            roots: folders that may be read from, links resolved. With any given, nothing outside them is read, and no
                URI of another store either; with none, whatever the process can read.
            open_archives: how many archives stay open.
        """
        self._max_bytes = max_bytes
        self._roots = tuple(Path(root).resolve() for root in roots)
        self._archives = ArchiveCache(open_archives)

    @classmethod
    def from_settings(cls, settings: "Settings") -> Self:
        """Make a reader with the limits that the settings say."""
        return cls(max_bytes=settings.max_photo_bytes, roots=settings.image_roots)

    def read(self, uri: str) -> bytes:
        """Read one photo.

        Args:
            uri: an absolute path, `file://...`, `zip://member::archive`, `tar://member::archive`, or another fsspec
                URI.

        Returns:
            The file's bytes, at least 1 and at most `max_bytes`.

        Raises:
            PhotoError: the photo cannot be read; the leaf says why.
            SourceUnreachableError: the store it lies in did not answer, or this machine lacks the store's driver.
        """
        parsed = parse_uri(uri)
        if isinstance(parsed, MemberUri):
            data = self._read_member(parsed)
        else:
            with self._open(parsed) as stream:
                data = _read_all(stream, self._max_bytes, uri)
        if not data:
            raise PhotoEmptyError(f"{uri} holds no bytes. Copy the photo there again and submit it anew.")
        return data

    def close(self) -> None:
        """Close the archives that are open."""
        self._archives.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_member(self, uri: MemberUri) -> bytes:
        place = uri.archive.path if isinstance(uri.archive, LocalUri) else uri.archive.uri
        check_member_name(uri.member, place)
        try:
            return self._archives.read(self._key(uri), partial(self._open_archive, uri), uri.member)
        except FacefleetError:
            raise
        except ARCHIVE_FAULTS as error:
            raise _broken_member(uri.member, place, error) from error
        except (
            Exception
        ) as error:  # of the disk or the store's driver; gzip and bzip2 say OSError without errno for bad data
            if isinstance(uri.archive, LocalUri) and isinstance(error, OSError) and error.errno is None:
                raise _broken_member(uri.member, place, error) from error
            raise _translated(error, place) from error

    def _key(self, uri: MemberUri) -> Hashable:
        """Name an archive so that a replaced file is another archive."""
        if isinstance(uri.archive, StoreUri):
            return uri.kind, uri.archive.uri
        path = self._allowed(uri.archive.path)
        status = _stat(path)
        return uri.kind, path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _open_archive(self, uri: MemberUri) -> Archive:
        return open_archive(uri.kind, self._open(uri.archive), self._max_bytes)

    def _open(self, uri: LocalUri | StoreUri) -> BinaryIO:
        if isinstance(uri, LocalUri):
            return _open_file(self._allowed(uri.path))
        if self._roots:
            raise PhotoForbiddenError(
                f"{uri.uri} is not a file in the folders that FACEFLEET_IMAGE_ROOTS allows, so it was not read. "
                "Copy the photo into one of them, or unset FACEFLEET_IMAGE_ROOTS on the workers."
            )
        return _open_in_store(uri.uri)

    def _allowed(self, path: str) -> str:
        """Return the path to open, links resolved where roots are set, or refuse it."""
        if not path.startswith("/") or "\0" in path:
            raise PhotoMissingError(
                f"{path!r} is not an absolute path, so no worker can find it. Submit the photo again by its full path."
            )
        if not self._roots:
            return path
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(root) for root in self._roots):
            raise PhotoForbiddenError(
                f"{path} lies outside the folders that FACEFLEET_IMAGE_ROOTS allows, so it was not read. "
                "Move the photo into one of them, or add its folder to FACEFLEET_IMAGE_ROOTS on the workers."
            )
        return str(real)


def _stat(path: str) -> os.stat_result:
    try:
        return Path(path).stat()
    except OSError as error:
        raise _translated(error, path) from error


def _open_file(path: str) -> BinaryIO:
    """Open a regular file. Looks before it opens, as opening alone can block (a pipe) or act (a tape)."""
    _check_regular(_stat(path), path)
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        raise _translated(error, path) from error
    stream = open(descriptor, "rb")  # noqa: PTH123, SIM115 - a descriptor; the caller closes it
    try:
        _check_regular(os.fstat(descriptor), path)
    except BaseException:
        stream.close()
        raise
    return stream


def _check_regular(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise NotAPhotoError(
            f"{path} is {what}, not a file, so there is no photo to read. Submit the photo's own file."
        )


def _open_in_store(uri: str) -> BinaryIO:
    """Open a file of another store through fsspec."""
    import fsspec  # here, as most jobs never need it and it is slow to import

    try:
        stream: BinaryIO = fsspec.open(uri, "rb").open()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise PhotoMissingError(f"There is no file {uri}. Submit it again from where it is now.") from error
    except PermissionError as error:
        raise PhotoForbiddenError(
            f"{uri} may not be read with the worker's credentials. Grant them access to it."
        ) from error
    except ImportError as error:
        raise SourceUnreachableError(
            f"{uri} cannot be read on this machine: {error}. Install that package beside facefleet."
        ) from error
    except Exception as error:  # every driver has errors of its own, and none of them says that the photo is bad
        raise _unreachable(uri, error) from error
    return stream


def _read_all(stream: BinaryIO, max_bytes: int, uri: str) -> bytes:
    try:
        return read_limited(stream, max_bytes, uri)
    except FacefleetError:
        raise
    except Exception as error:  # a disk or a network that fails in the middle, under whatever name its driver gives it
        raise _unreachable(uri, error) from error


def _translated(error: Exception, place: str) -> FacefleetError:
    """Say what a failed system call or driver means for the photo."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _MISSING:
        return PhotoMissingError(f"There is no file {place}. Put it back, or submit it again from where it is now.")
    if number in _FORBIDDEN:
        return PhotoForbiddenError(
            f"The worker's user may not read {place}. Change the file's permissions and retry the job."
        )
    return _unreachable(place, error)


def _unreachable(place: str, error: Exception) -> SourceUnreachableError:
    reason = str(error) or type(error).__name__
    return SourceUnreachableError(
        f"{place} could not be read: {reason}. The photo itself may be good; it is worth another try."
    )


def _broken_member(member: str, place: str, error: Exception) -> PhotoBrokenError:
    return PhotoBrokenError(
        f"The member {member!r} of {place} cannot be read: {error or type(error).__name__}. "
        "The archive is damaged, or was cut off while it was copied. Copy it again and submit it anew."
    )
