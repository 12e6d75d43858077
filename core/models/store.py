"""The model store: a folder of artifacts, each named by the sha256 of its bytes, complete or not there at all.

Knows bytes, not models; the database says which of them are registered. A store on another machine is in
core/models/remote_store.py.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from core.disk import sync_file, sync_folder, told_when_full
from core.errors import ArtifactCorruptError, ArtifactMissingError, ArtifactStoreError
from core.settings import Settings

SUFFIX = ".pt"
PARTIAL = ".partial"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class StoredArtifact:
    """A complete artifact, as it lies in the store."""

    sha256: str
    size_bytes: int
    stored_at: datetime
    """Aware, by the clock of the store; storing it again makes it young."""


class ModelStore:
    """Artifacts by their sha256. Any number of processes and machines may share the folder.

    Args:
        root: the folder; made by the first `put`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @staticmethod
    def from_settings(settings: Settings) -> "ModelStore":
        """Take the store that the settings name: a folder, or a place that fsspec knows.

        Raises:
            SettingError: nothing here can speak to that place.
        """
        if settings.artifacts_uri is None:
            return ModelStore(settings.artifacts_dir)
        from core.models.remote_store import RemoteModelStore  # here, as fsspec is slow to import

        return RemoteModelStore(settings.artifacts_uri, settings.artifacts_dir)

    @property
    def place(self) -> str:
        """Where the artifacts lie, for people."""
        return str(self.root)

    def put(self, staged: Path) -> str:
        """Take a copy of a finished file. It becomes visible whole, on disk for good, or not at all.

        Args:
            staged: the file; it stays where it is and belongs to the caller.

        Returns:
            The sha256 of the bytes that are stored. Storing the same bytes again changes nothing.

        Raises:
            ArtifactStoreError: the folder cannot be written; nothing is left behind.
            DiskFullError: the disk is full; nothing is left behind.
        """
        partial = self.root / f".{secrets.token_hex(8)}{PARTIAL}"
        try:
            with told_when_full(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
                try:
                    with staged.open("rb") as source:
                        sha256 = copy_durably(source, partial)
                    partial.replace(self._file(sha256))
                    sync_folder(self.root)
                finally:
                    partial.unlink(missing_ok=True)
        except OSError as error:
            raise ArtifactStoreError(
                f"The model could not be stored in {self.root}: {error.strerror or error}. No model was changed. "
                "Make the folder writable for this user, or look at its disk, and start again."
            ) from error
        return sha256

    def path(self, sha256: str) -> Path:
        """Return where an artifact lies.

        Raises:
            ArtifactMissingError: the store holds none of this name.
        """
        path = self._file(sha256)
        if not path.is_file():
            raise self._missing(sha256)
        return path

    def verify(self, sha256: str) -> None:
        """Read an artifact whole and compare it with its name.

        Raises:
            ArtifactMissingError: the store holds none of this name.
            ArtifactCorruptError: its bytes have changed.
        """
        with self.path(sha256).open("rb") as file:
            self._check(sha256, hashlib.file_digest(file, "sha256").hexdigest())

    def list_artifacts(self) -> list[StoredArtifact]:
        """Return every complete artifact, sorted by sha256."""
        found = (_look(path) for path in self.root.glob(f"*{SUFFIX}") if is_sha256(path.stem))
        return sorted((each for each in found if each is not None), key=lambda each: each.sha256)

    def remove(self, artifact: StoredArtifact) -> bool:
        """Remove an artifact unless it was stored again since it was looked at; return whether it was removed here."""
        path = self._file(artifact.sha256)
        return _look(path) == artifact and _unlink(path)

    def remove_partials(self, *, stored_before: datetime) -> None:
        """Remove what interrupted writers left."""
        for partial in self.root.glob(f".*{PARTIAL}"):
            if (written_at := _written_at(partial)) is not None and written_at < stored_before:
                _unlink(partial)

    def _check(self, sha256: str, found: str) -> None:
        """Compare the sha256 of an artifact's bytes with its name."""
        if found != sha256:
            raise ArtifactCorruptError(
                f"The artifact {sha256} in {self.place} has changed (its bytes are now {found}). It is not used; put "
                "it back from a backup, activate another model version, or train again."
            )

    def _missing(self, sha256: str) -> ArtifactMissingError:
        return ArtifactMissingError(
            f"The model store {self.place} holds no artifact {sha256}. The model that serves goes on serving. "
            "Check that every machine has the same FACEFLEET_ARTIFACTS, or activate another version."
        )

    def _file(self, sha256: str) -> Path:
        if not is_sha256(sha256):
            raise ArtifactMissingError(
                f"{sha256!r} is not a sha256, so no artifact has this name. Look it up with `model list`."
            )
        return self.root / f"{sha256}{SUFFIX}"


def is_sha256(text: str) -> bool:
    """Say whether an artifact may have this name."""
    return _SHA256.fullmatch(text) is not None


def copy_durably(source: BinaryIO, target: Path) -> str:
    """Copy a stream to the new file `target` and through to the disk; return the sha256 of what was written."""
    digest = hashlib.sha256()
    with target.open("xb") as write:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            write.write(block)
        sync_file(write)
    target.chmod(0o444)
    return digest.hexdigest()


def _look(path: Path) -> StoredArtifact | None:
    """Return what lies at a path; None when another process has removed it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    stored_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return StoredArtifact(sha256=path.stem, size_bytes=status.st_size, stored_at=stored_at)


def _written_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def _unlink(path: Path) -> bool:
    """Remove a file; another process may have done so already."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
