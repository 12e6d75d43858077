"""Puts a set of weights into the home folder: each file whole, with the pinned sha256 and on the disk for good, or not.

Fetches over HTTP (core/weights/download.py) or out of a folder. Several pulls at once wait for each other.
"""

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.disk import disk_full, is_disk_full, sync_file, sync_folder
from core.errors import SourceNotFoundError, WeightsAlteredError, WeightsDownloadError, WeightsStoreError
from core.weights.download import Download, Patience
from core.weights.spec import WeightsFile, WeightsSpec
from core.weights.store import WeightsState, WeightsStore, hash_file, pull_command

_PARTIAL = ".partial"
_LOCK = ".lock"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What a pull did."""

    folder: Path
    """Where the weights lie now."""
    fetched: bool
    """Whether anything was fetched; False when all of it was there, byte for byte."""


class Puller:
    """Pulls weights into a store.

    Args:
        store: where they go.
        source: a folder that holds the files, or one folder a set; None to fetch them from where they are published.
        patience: how long a server is tried.
        on_wait: called when another pull of the same set is under way, before waiting for it.
    """

    def __init__(
        self,
        store: WeightsStore,
        *,
        source: Path | None = None,
        patience: Patience | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._source = source
        self._patience = patience or Patience()
        self._on_wait = on_wait

    def pull(self, spec: WeightsSpec, on_progress: Callable[[int], None] = lambda done: None) -> Pulled:
        """Make sure that a set is there, byte for byte.

        Args:
            spec: the set.
            on_progress: called with the bytes of the set that are there.

        Raises:
            SourceNotFoundError: the folder holds no such file.
            WeightsAlteredError: the folder holds it with other bytes.
            WeightsMissingError: it is published nowhere, and no folder is given.
            WeightsUnreachableError: the server did not answer; what came is kept and the next pull goes on there.
            WeightsDownloadError: the server sent something else; nothing of it is kept.
            WeightsStoreError: the folder cannot be written.
            DiskFullError: its disk is full; nothing of the file that was being written is kept.
        """
        look = self._store.look(spec, verify=True)
        if look.state is WeightsState.PRESENT and look.folder is not None:
            return Pulled(folder=look.folder, fetched=False)
        if self._source is None and not all(file.url for file in spec.files):
            raise self._store.refusal(look)
        folder = self._store.own / spec.name
        with _told(folder):
            self._store.own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder / _LOCK, self._on_wait):
                return Pulled(folder=folder, fetched=self._fill(folder, spec, on_progress))

    def _fill(self, folder: Path, spec: WeightsSpec, on_progress: Callable[[int], None]) -> bool:
        """Bring what is missing into the folder; return whether anything was."""
        before, fetched = 0, False
        for file in spec.files:
            if not _is_right(folder / file.name, file):
                self._bring(folder, spec, file, _shifted(on_progress, before))
                fetched = True
            before += file.size_bytes
            on_progress(before)
        return fetched

    def _bring(self, folder: Path, spec: WeightsSpec, file: WeightsFile, on_progress: Callable[[int], None]) -> None:
        """Bring one file; it appears under its name when it is right and on the disk, not before."""
        partial = folder / f"{file.name}{_PARTIAL}"
        try:
            if self._source is None:
                self._fetch(spec, file, partial, on_progress)
            else:
                _copy(_find_source(self._source, spec, file), file, partial)
            with partial.open("rb") as done:
                sync_file(done)
        except OSError as error:
            if is_disk_full(error):  # the database may need the room
                partial.unlink(missing_ok=True)
            raise
        partial.replace(folder / file.name)
        sync_folder(folder)

    def _fetch(self, spec: WeightsSpec, file: WeightsFile, partial: Path, on_progress: Callable[[int], None]) -> None:
        """Download a file. One that went on where another pull ended gets a second try from its beginning."""
        command = pull_command(spec)
        fetching = Download(file, partial, command=command, patience=self._patience)
        for resumed in (partial.exists(), False):
            fetching.run(on_progress)
            found = hash_file(partial)
            if found == file.sha256:
                return
            partial.unlink()
            if not resumed:
                break
        raise WeightsDownloadError(
            f"{file.url} gave a file with other bytes than it should have (sha256 {found}). Nothing of it was kept. "
            "It was replaced at its source or changed on the way: do not use it. Fetch the right one in another way "
            f"and take it in with `{command} --from DIR`."
        )


def _shifted(on_progress: Callable[[int], None], before: int) -> Callable[[int], None]:
    """Count the bytes of the files before this one too."""
    return lambda done: on_progress(before + done)


def _is_right(path: Path, file: WeightsFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size_bytes and hash_file(path) == file.sha256


def _find_source(source: Path, spec: WeightsSpec, file: WeightsFile) -> Path:
    """Return where a folder holds a file: NAME/FILE or FILE.

    Raises:
        SourceNotFoundError: it does not.
    """
    places = (source / spec.name / file.name, source / file.name)
    for place in places:
        if place.is_file():
            return place
    raise SourceNotFoundError(
        f"{source} holds neither {spec.name}/{file.name} nor {file.name}. Nothing was changed. "
        f"Fetch it from {file.url or spec.source} and put it there."
    )


def _copy(source: Path, file: WeightsFile, partial: Path) -> None:
    """Copy a file while its bytes are looked at.

    Raises:
        WeightsAlteredError: they are not the ones that are pinned; no copy is left.
    """
    digest = hashlib.sha256()
    try:
        with source.open("rb") as read, partial.open("wb") as write:
            size_bytes = source.stat().st_size
            while size_bytes == file.size_bytes and (block := read.read(_BLOCK_BYTES)):
                digest.update(block)
                write.write(block)
        if digest.hexdigest() != file.sha256:
            fact = "other bytes" if size_bytes == file.size_bytes else f"{size_bytes:,} bytes, not {file.size_bytes:,}"
            raise WeightsAlteredError(
                f"{source} is not the file that is pinned: it has {fact}. It was not taken, and what was there before "
                f"is whole. Fetch it anew from {file.url or 'where it was published'}."
            )
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def _alone(lock: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock while the block runs; it goes with the process."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what the system says of a folder that cannot be written into our words."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(folder) from error
        where = f" ({error.filename})" if error.filename else ""
        raise WeightsStoreError(
            f"The weights could not be stored in {folder}: {error.strerror or error}{where}. What was there "
            "before is whole. Make the folder writable for this user, or look at its disk, and pull again."
        ) from error
