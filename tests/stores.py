"""A store of artifacts on another machine, played by a folder: it can be away and lose bytes, and counts reads."""

from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

SCHEME = "shelf"
AWAY, LOSES = "away.mark", "loses.mark"
"""Files in the store's folder: while they are there, it does not answer, or keeps half of what it is given."""


class ShelfFileSystem(LocalFileSystem):  # type: ignore[misc]
    """Local files that are reached like those of another machine."""

    protocol = SCHEME
    cachable = False
    opened: list[str] = []  # noqa: RUF012 - of all instances, as fsspec makes them

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return LocalFileSystem._strip_protocol(str(path).removeprefix(f"{SCHEME}://"))

    def unstrip_protocol(self, name: str) -> str:
        return f"{SCHEME}://{name}"

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self._answer(path)
        ShelfFileSystem.opened.append(Path(path).name)
        return super().open(path, mode, **options)

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        self._answer(f"{path}/x")
        return [each for each in super().ls(path, detail=detail, **options) if not _is_mark(each)]

    def put_file(self, lpath: str, rpath: str, *_: Any, **__: Any) -> None:
        self._answer(rpath)
        data = Path(lpath).read_bytes()
        kept = len(data) // 2 if (Path(rpath).parent / LOSES).exists() else len(data)
        Path(rpath).write_bytes(data[:kept])

    def _answer(self, path: str) -> None:
        if (Path(path).parent / AWAY).exists():
            raise ConnectionError("connection refused")


def _is_mark(entry: Any) -> bool:
    name = entry["name"] if isinstance(entry, dict) else entry
    return str(name).endswith(".mark")


def register() -> None:
    """Make `shelf://` known to fsspec in this process."""
    fsspec.register_implementation(SCHEME, ShelfFileSystem, clobber=True)
