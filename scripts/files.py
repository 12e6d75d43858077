"""Writes files that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.disk import is_disk_full
from core.errors import InputError


@contextmanager
def replacing(output: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `output` that takes its place when the block ends well.

    Raises:
        InputError: it cannot be written there.
        OSError: the disk is full.
    """
    partial = output.with_name(f".{output.name}.partial")
    try:
        try:
            with partial.open("wb") as stream:
                yield stream
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if is_disk_full(error):
            raise
        raise InputError(
            f"{output} cannot be written: {error.strerror or error}. It was left as it was. "
            "Choose another place, or make room there."
        ) from error
