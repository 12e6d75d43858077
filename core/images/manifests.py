"""Reads CSV and JSONL manifests: files that list one photo a row. Yields URIs; looks at none of the photos."""

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeVar

from core.errors import ManifestError
from core.images.uris import join_uri

COLUMNS = ("uri", "path", "file", "filename")
"""The columns (CSV) or keys (JSONL) that may hold the photo, the first one present counts."""

MANIFEST_SUFFIXES = (".csv", ".jsonl", ".ndjson")

_LINE_BYTES = 2**20
_Read = TypeVar("_Read")


def read_manifest(stream: BinaryIO, name: str, base: str) -> Iterator[str]:
    """Yield the photos that a manifest lists, in its order.

    Args:
        stream: at the manifest's start; UTF-8, with or without a byte order mark.
        name: the manifest's path or URI; its suffix says CSV or JSONL.
        base: the folder (path or URI) that relative paths start from.

    Raises:
        ManifestError: the header (at the first `next`) or a line (when it is reached) cannot be used.
    """
    lines = _lines(stream, name)
    read = _read_csv if name.lower().endswith(".csv") else _read_jsonl
    for line, value in read(lines, name):
        if not isinstance(value, str) or not value.strip():
            raise _bad_line(name, line, f"it names no photo (found {value!r})")
        if "\0" in value:
            raise _bad_line(name, line, "the photo's name holds a NUL character")
        yield join_uri(base, value.strip())


def _lines(stream: BinaryIO, name: str) -> Iterator[str]:
    """Decode line by line, so that an error can say in which."""
    number = 0
    while raw := stream.readline(_LINE_BYTES):
        number += 1
        if len(raw) == _LINE_BYTES:
            raise _bad_line(name, number, f"it is longer than {_LINE_BYTES:,} bytes")
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise _bad_line(name, number, "it is not UTF-8 text; save the manifest as UTF-8") from error


def _read_csv(lines: Iterator[str], name: str) -> Iterator[tuple[int, Any]]:
    header = next(lines, "")
    delimiter = max(",;\t", key=header.count)
    columns = [
        column.strip() for column in _checked(lambda: next(csv.reader([header], delimiter=delimiter), []), name, 1)
    ]
    index = _column(columns, name)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while (row := _checked(lambda: next(reader, None), name, reader.line_num + 2)) is not None:
        line = reader.line_num + 1
        if not row:
            continue
        if len(row) != len(columns):
            raise _bad_line(
                name,
                line,
                f"it has {len(row)} fields and the header {len(columns)}; put values that hold {delimiter!r} in "
                "double quotes",
            )
        yield line, row[index]


def _checked(read: Callable[[], _Read], name: str, line: int) -> _Read:
    try:
        return read()
    except csv.Error as error:
        raise _bad_line(name, line, f"it is no CSV ({error})") from error


def _column(columns: list[str], name: str) -> int:
    """Find the column that holds the photo."""
    lowered = [column.lower() for column in columns]
    for wanted in COLUMNS:
        if wanted in lowered:
            return lowered.index(wanted)
    found = ", ".join(repr(column) for column in columns) or "none"
    raise ManifestError(
        f"The manifest {name} has no column {_or(COLUMNS)} in its first line; its columns are {found}. Nothing was "
        "submitted. "
        "Name the column that holds the photos `uri`."
    )


def _read_jsonl(lines: Iterator[str], name: str) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _bad_line(name, line, f"it is no JSON ({error})") from error
        if not isinstance(row, dict):
            raise _bad_line(name, line, f"it is no JSON object with a key {_or(COLUMNS)}")
        key = next((key for key in COLUMNS if key in row), None)
        if key is None:
            keys = ", ".join(repr(key) for key in row) or "none"
            raise _bad_line(name, line, f"it has no key {_or(COLUMNS)}; its keys are {keys}")
        yield line, row[key]


def _bad_line(name: str, line: int, what: str) -> ManifestError:
    return ManifestError(
        f"Line {line} of the manifest {name} cannot be used: {what}. Correct the line and submit again."
    )


def _or(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words[:-1]) + f" or `{words[-1]}`"
