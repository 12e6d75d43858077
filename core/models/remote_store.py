"""A model store on another machine, through fsspec: each machine keeps what it has fetched in a folder of its own.

What lies in the store is complete or not there, as in a folder; what was fetched is compared with its name each time.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from core.disk import sync_folder, told_when_full
from core.errors import ArtifactStoreError, ArtifactsUnreachableError, FacefleetError, SettingError
from core.models.store import PARTIAL, SUFFIX, ModelStore, StoredArtifact, copy_durably, is_sha256

_Answer = TypeVar("_Answer")
_KEPT = 8
"""Artifacts that a machine keeps of those it fetched: those that serve and stand beside, and some to go back to."""
_PASSWORD = re.compile(r"(?<=//)([^/@:]*):[^/@]*@")


class RemoteModelStore(ModelStore):
    """Artifacts by their sha256, in a store that fsspec speaks to.

    Args:
        uri: the place, such as `s3://bucket/models`.
        root: the folder of this machine for what is fetched; made when it is needed.

    Raises:
        SettingError: nothing here can speak to that place.
    """

    def __init__(self, uri: str, root: Path) -> None:
        super().__init__(root)
        self._uri = uri
        self._fs, path = _connect(uri)
        self._folder = path.rstrip("/")

    @property
    def place(self) -> str:
        """The URI without its password."""
        return _shown(self._uri)

    def put(self, staged: Path) -> str:
        """Store a copy of a finished file, and keep one on this machine.

        Raises:
            ArtifactStoreError: the store, or the folder of this machine, cannot be written; nothing is left behind.
            ArtifactsUnreachableError: the store did not answer.
            DiskFullError: the disk of this machine is full.
        """
        sha256 = super().put(staged)
        partial = f"{self._folder}/.{secrets.token_hex(8)}{PARTIAL}"
        self._ask(lambda: self._upload(staged, partial, self._name(sha256)))
        self._forget_oldest(self._file(sha256))
        return sha256

    def path(self, sha256: str) -> Path:
        """Return where an artifact lies on this machine, fetching it when it is not there whole.

        Raises:
            ArtifactMissingError: the store holds none of this name.
            ArtifactCorruptError: its bytes in the store have changed.
            ArtifactsUnreachableError: the store did not answer.
            ArtifactStoreError: the folder of this machine cannot be written.
            DiskFullError: its disk is full.
        """
        path = self._file(sha256)
        if not _is_whole(path, sha256):
            self._fetch(sha256, path)
            self._forget_oldest(path)
        with suppress(OSError):  # another user's folder, whose oldest are kept by when they were fetched
            path.touch()
        return path

    def verify(self, sha256: str) -> None:
        """Read an artifact whole, out of the store, and compare it with its name.

        Raises:
            ArtifactMissingError: the store holds none of this name.
            ArtifactCorruptError: its bytes have changed.
            ArtifactsUnreachableError: the store did not answer.
        """
        self._file(sha256)

        def digest() -> str:
            with self._fs.open(self._name(sha256), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

        try:
            found = self._ask(digest)
        except FileNotFoundError as error:
            raise self._missing(sha256) from error
        self._check(sha256, found)

    def list_artifacts(self) -> list[StoredArtifact]:
        """Return every complete artifact of the store, sorted by sha256.

        Raises:
            ArtifactsUnreachableError: the store did not answer.
        """
        found = [
            StoredArtifact(sha256=name.removesuffix(SUFFIX), size_bytes=size, stored_at=self._stored_at(name))
            for name, size in self._entries().items()
            if name.endswith(SUFFIX) and is_sha256(name.removesuffix(SUFFIX))
        ]
        return sorted(found, key=lambda each: each.sha256)

    def remove(self, artifact: StoredArtifact) -> bool:
        """Remove an artifact from the store and from this machine, unless it was stored again since."""
        self._file(artifact.sha256).unlink(missing_ok=True)
        name = f"{artifact.sha256}{SUFFIX}"
        self._fs.invalidate_cache()
        try:
            if self._stored_at(name) != artifact.stored_at:
                return False
            self._ask(lambda: self._fs.rm_file(f"{self._folder}/{name}"))
        except FileNotFoundError:
            return False
        return True

    def remove_partials(self, *, stored_before: datetime) -> None:
        """Remove what interrupted writers left, in the store and on this machine."""
        super().remove_partials(stored_before=stored_before)
        for name in self._entries():
            if name.startswith(".") and name.endswith(PARTIAL) and self._stored_at(name) < stored_before:
                self._ask(lambda name=name: self._fs.rm_file(f"{self._folder}/{name}"))  # type: ignore[misc]

    def _name(self, sha256: str) -> str:
        return f"{self._folder}/{sha256}{SUFFIX}"

    def _upload(self, staged: Path, partial: str, final: str) -> None:
        """Write beside, compare the size, and rename."""
        self._fs.makedirs(self._folder, exist_ok=True)
        try:
            self._fs.put_file(str(staged), partial)
            self._fs.invalidate_cache()
            arrived, sent = self._fs.info(partial)["size"], staged.stat().st_size
            if arrived != sent:
                raise ArtifactStoreError(
                    f"Of the model's {sent} bytes {arrived} arrived in {self.place}. No model was changed. Look at "
                    "the store, and start again."
                )
            self._fs.mv(partial, final)
        except BaseException:
            if self._fs.exists(partial):
                self._fs.rm_file(partial)
            raise
        self._fs.invalidate_cache()

    def _fetch(self, sha256: str, path: Path) -> None:
        """Copy an artifact to this machine: beside, through to the disk, compared with its name, and renamed."""
        partial = self.root / f".{secrets.token_hex(8)}{PARTIAL}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)

            def copy() -> str:
                with told_when_full(self.root), self._fs.open(self._name(sha256), "rb") as source:
                    return copy_durably(source, partial)

            self._check(sha256, self._ask(copy))
            partial.replace(path)
            sync_folder(self.root)
        except FileNotFoundError as error:
            raise self._missing(sha256) from error
        except OSError as error:
            raise ArtifactStoreError(
                f"The model could not be kept in {self.root}: {error.strerror or error}. The model that serves goes on "
                "serving. Make the folder writable for this user."
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def _forget_oldest(self, newest: Path) -> None:
        """Remove what was not used for longest of what this machine keeps; the store still has it."""
        kept = [each for each in super().list_artifacts() if each.sha256 != newest.stem]
        for each in sorted(kept, key=lambda each: each.stored_at, reverse=True)[_KEPT - 1 :]:
            self._file(each.sha256).unlink(missing_ok=True)

    def _entries(self) -> dict[str, int]:
        """Return the names and sizes of what lies in the store's folder; nothing when there is no folder yet."""
        self._fs.invalidate_cache()
        try:
            entries = self._ask(lambda: self._fs.ls(self._folder, detail=True))
        except FileNotFoundError:
            return {}
        return {each["name"].rsplit("/", 1)[-1]: int(each["size"] or 0) for each in entries if each["type"] == "file"}

    def _stored_at(self, name: str) -> datetime:
        stored_at: datetime = self._ask(lambda: self._fs.modified(f"{self._folder}/{name}"))
        return stored_at if stored_at.tzinfo else stored_at.replace(tzinfo=UTC)

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        """Call the driver; every driver has errors of its own."""
        try:
            return question()
        except (FacefleetError, FileNotFoundError):
            raise
        except PermissionError as error:
            raise ArtifactStoreError(
                f"{self.place} may not be used with these credentials. No model was changed. Grant them the right to "
                "read and write there."
            ) from error
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ArtifactsUnreachableError(
                f"The model store {self.place} did not answer: {reason}. The model that serves goes on serving. Look "
                "at the store and at its credentials, and try again."
            ) from error


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _connect(uri: str) -> tuple[Any, str]:
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise SettingError(
            f"FACEFLEET_ARTIFACTS is {_shown(uri)}, which nothing on this machine can speak to: {error}. Install the "
            "fsspec package of that store on every machine of the fleet, or name a folder."
        ) from error
    except Exception as error:
        raise ArtifactsUnreachableError(
            f"The model store {_shown(uri)} did not answer: {error or type(error).__name__}. Look at it and at its "
            "credentials, and try again."
        ) from error
    return fs, str(path)


def _shown(uri: str) -> str:
    """Return a URI without its password."""
    return _PASSWORD.sub(r"\1:***@", uri)
