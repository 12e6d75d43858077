"""Finds photos in the stores that fsspec reads (s3://, memory://, https://, ...). Reads no photo, and no local disk."""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeVar

from core.errors import FacefleetError, SourceNotFoundError, SourceUnreachableError
from core.images.folders import has_magic, natural_key
from core.images.skips import why_folder_skipped, why_skipped
from core.records import SkipLog

_Answer = TypeVar("_Answer")


class StorePlace:
    """A file, folder or glob of a store. Everything that can fail is translated here."""

    def __init__(self, uri: str) -> None:
        """Connect to the store, without looking at the place.

        Raises:
            SourceNotFoundError: the scheme is unknown, or its driver is not installed.
        """
        self.uri = uri
        self._fs, self._path = _connect(uri)

    @property
    def is_glob(self) -> bool:
        """Say whether the place is a glob."""
        return has_magic(self._path) and not self._ask(lambda: self._fs.exists(self._path))

    @property
    def is_folder(self) -> bool:
        """Say whether the place is a folder.

        Raises:
            SourceNotFoundError: nothing is there.
        """
        return bool(self._ask(lambda: self._fs.info(self._path))["type"] == "directory")

    def open(self) -> BinaryIO:
        """Open the file."""
        stream: BinaryIO = self._ask(lambda: self._fs.open(self._path, "rb"))
        return stream

    def walk(self, skipped: SkipLog) -> Iterator[str]:
        """Yield the photos below the folder: each folder's files first, then its folders, in natural order."""
        pending = [self._path]
        while pending:
            here = pending.pop()
            entries = self._ask(lambda here=here: self._fs.ls(here, detail=True))  # type: ignore[misc]
            names = {entry["name"].rstrip("/"): entry["type"] == "directory" for entry in entries}
            names.pop(here.rstrip("/"), None)  # object stores list a folder's own marker
            ordered = sorted(names, key=natural_key)
            yield from self._taken((name for name in ordered if not names[name]), skipped)
            folders = [name for name in ordered if names[name]]
            pending.extend(reversed([name for name in folders if self._entered(name, skipped)]))

    def glob(self, skipped: SkipLog) -> Iterator[str]:
        """Yield the files that the glob matches, in natural order."""
        found = self._ask(lambda: self._fs.glob(self._path, detail=True))
        files = (name for name, entry in found.items() if entry["type"] != "directory")
        yield from self._taken(sorted(files, key=natural_key), skipped)

    def _taken(self, names: Any, skipped: SkipLog) -> Iterator[str]:
        for name in names:
            uri = str(self._fs.unstrip_protocol(name))
            if why := why_skipped(name.rsplit("/", 1)[-1]):
                skipped.add(uri, why)
            else:
                yield uri

    def _entered(self, name: str, skipped: SkipLog) -> bool:
        why = why_folder_skipped(name.rsplit("/", 1)[-1])
        if why:
            skipped.add(str(self._fs.unstrip_protocol(name)), why)
        return why is None

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        """Call the driver; every driver has errors of its own."""
        try:
            return question()
        except FacefleetError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceNotFoundError(
                f"There is nothing at {self.uri}. Nothing was submitted. Look for a typing slip in it."
            ) from error
        except PermissionError as error:
            raise SourceNotFoundError(
                f"{self.uri} may not be read with your credentials. Nothing was submitted. Grant them access, or log "
                "in to the store."
            ) from error
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise SourceUnreachableError(
                f"The store of {self.uri} did not answer: {reason}. Try again once it does."
            ) from error


def _connect(uri: str) -> tuple[Any, str]:
    import fsspec  # here, as most jobs never need it and it is slow to import

    try:
        fs, path = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        raise SourceNotFoundError(
            f"{uri} cannot be read on this machine: {error}. Nothing was submitted. Install that package beside "
            "facefleet, on the workers too."
        ) from error
    except ValueError as error:
        raise SourceNotFoundError(
            f"{uri} cannot be read: {error}. Nothing was submitted. Give a path, or a URI of a store that fsspec knows."
        ) from error
    except Exception as error:
        raise SourceUnreachableError(
            f"The store of {uri} did not answer: {error or type(error).__name__}. Try again once it does."
        ) from error
    return fs, path
