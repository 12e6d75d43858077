"""The model store: a folder of artifacts, each named by the sha256 of its bytes, complete or not there at all.

Knows bytes, not models; the database says which of them are registered.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Set as AbstractSet
from pathlib import Path

from core.disk import sync_file, sync_folder, told_when_full
from core.errors import ArtifactCorruptError, ArtifactMissingError, ArtifactStoreError

_SUFFIX = ".pt"
_PARTIAL = ".partial"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK_BYTES = 1 << 20


class ModelStore:
    """Artifacts by their sha256. Any number of processes and machines may share the folder.

    Args:
        root: the folder; made by the first `put`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

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
        partial = self.root / f".{secrets.token_hex(8)}{_PARTIAL}"
        try:
            with told_when_full(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
                try:
                    sha256 = _copy_durably(staged, partial)
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
            raise ArtifactMissingError(
                f"The model store {self.root} holds no artifact {sha256}. The model that serves goes on serving. "
                "Check that every worker sees the same FACEFLEET_ARTIFACTS folder, or activate another version."
            )
        return path

    def verify(self, sha256: str) -> None:
        """Read an artifact whole and compare it with its name.

        Raises:
            ArtifactMissingError: the store holds none of this name.
            ArtifactCorruptError: its bytes have changed.
        """
        with self.path(sha256).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise ArtifactCorruptError(
                f"The artifact {sha256} in {self.root} has changed on disk (its bytes are now {found}). It is not "
                "used; put it back from a backup, activate another model version, or train again."
            )

    def list_artifacts(self) -> list[str]:
        """Return the sha256 of every complete artifact, sorted."""
        return sorted(path.stem for path in self.root.glob(f"*{_SUFFIX}") if _SHA256.fullmatch(path.stem))

    def remove_unreferenced(self, keep: AbstractSet[str], *, older_than_s: float) -> list[str]:
        """Remove artifacts that nothing refers to, and what interrupted writers left.

        Args:
            keep: sha256 of every artifact that must stay.
            older_than_s: younger files stay: they may be about to be registered.

        Returns:
            The sha256 of the removed artifacts, sorted.
        """
        latest = time.time() - older_than_s
        removed = [
            sha256
            for sha256 in self.list_artifacts()
            if sha256 not in keep and _unlink_older(self._file(sha256), latest)
        ]
        for partial in self.root.glob(f".*{_PARTIAL}"):
            _unlink_older(partial, latest)
        return removed

    def _file(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise ArtifactMissingError(
                f"{sha256!r} is not a sha256, so no artifact has this name. Look it up with `model list`."
            )
        return self.root / f"{sha256}{_SUFFIX}"


def _copy_durably(source: Path, target: Path) -> str:
    """Copy a file to `target` and through to the disk; return the sha256 of what was written."""
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as write:
        while block := read.read(_BLOCK_BYTES):
            digest.update(block)
            write.write(block)
        sync_file(write)
    target.chmod(0o444)
    return digest.hexdigest()


def _unlink_older(path: Path, latest: float) -> bool:
    """Remove a file last written before `latest`; another process may have done so already."""
    try:
        if path.stat().st_mtime > latest:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True
