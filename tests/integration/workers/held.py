"""A store that hangs: a photo is not given out while a file named like it with `.held` lies beside it."""

import time
from pathlib import Path
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem

MARK = ".held"


class HeldFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Local files behind a gate."""

    protocol = "held"
    cachable = False

    def open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        file = Path(self._strip_protocol(path))
        while Path(f"{file}{MARK}").exists():
            time.sleep(0.01)
        return file.open("rb")


class HeldPhoto:
    """A photo of a folder that cannot be read until it is let go, and a manifest of it and its neighbours."""

    def __init__(self, photo: Path) -> None:
        self._mark = Path(f"{photo}{MARK}")
        self._mark.touch()
        lines = [f"held://{path}" if path == photo else str(path) for path in sorted(photo.parent.glob("*.png"))]
        self.manifest = photo.parent / "manifest.csv"
        self.manifest.write_text("\n".join(["uri", *lines]) + "\n")

    def let_go(self) -> None:
        """Let it be read."""
        self._mark.unlink()
