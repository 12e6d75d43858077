"""Reads one table of a TOML file strictly: every key is asked for, has its type, and none is left over.

Knows nothing of weights; what breaks is told with the file, the table and the key.
"""

import math
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from core.errors import WeightsManifestError

E = TypeVar("E", bound=StrEnum)


class Table:
    """One table; each of its keys is taken once, and `finish` complains about the ones that nobody took.

    Args:
        values: what TOML gave.
        file: where it stands.
        place: what stands before a key in messages, such as `embedder.`; empty for the first level.
    """

    def __init__(self, values: object, file: Path, place: str = "") -> None:
        self._file = file
        self._place = place
        if not isinstance(values, dict):
            raise self._error(place.rstrip("."), "is no table")
        self._left: dict[str, Any] = dict(values)

    def text(self, key: str) -> str:
        """Take a text; it may be empty."""
        value = self._take(key)
        if not isinstance(value, str):
            raise self.refuse(key, f"is {value!r}, which is no text")
        return value

    def choice(self, key: str, kind: type[E]) -> E:
        """Take one of an enum's values."""
        value = self._take(key)
        if not isinstance(value, str) or value not in list(kind):
            raise self.refuse(key, f"is {value!r}, which is none of {', '.join(kind)}")
        return kind(value)

    def whole(self, key: str, low: int, high: int) -> int:
        """Take a whole number from `low` to `high`."""
        value = self._take(key)
        if type(value) is not int or not low <= value <= high:
            raise self.refuse(key, f"is {value!r}, which is no whole number from {low} to {high}")
        return value

    def numbers(self, key: str, count: int) -> list[float]:
        """Take exactly `count` finite numbers."""
        return self._numbers(key, self._take(key), count)

    def rows(self, key: str, rows: int, columns: int) -> list[list[float]]:
        """Take a matrix of finite numbers."""
        value = self._take(key)
        if not isinstance(value, list) or len(value) != rows:
            raise self.refuse(key, f"is no list of {rows} rows of {columns} numbers")
        return [self._numbers(key, row, columns) for row in value]

    def table(self, key: str) -> "Table":
        """Take a table inside this one."""
        return Table(self._take(key), self._file, f"{self._place}{key}.")

    def tables(self, key: str) -> "list[Table]":
        """Take a list of tables inside this one; at least one."""
        value = self._take(key)
        if not isinstance(value, list) or not value:
            raise self.refuse(key, "is no list of tables")
        return [Table(each, self._file, f"{self._place}{key}[{number}].") for number, each in enumerate(value)]

    def has(self, key: str) -> bool:
        """Whether a key is there and was not taken yet."""
        return key in self._left

    def finish(self) -> None:
        """Say that no other key is known.

        Raises:
            WeightsManifestError: there is one.
        """
        for key in self._left:
            raise self.refuse(key, "is no key that is known here")

    def refuse(self, key: str, fact: str) -> WeightsManifestError:
        """Return the error of a value that cannot be used."""
        return self._error(self._place + key, fact)

    def _take(self, key: str) -> Any:
        if key not in self._left:
            raise self.refuse(key, "is missing")
        return self._left.pop(key)

    def _numbers(self, key: str, value: object, count: int) -> list[float]:
        fits = isinstance(value, list) and len(value) == count and all(type(each) in (int, float) for each in value)
        if not fits or not all(map(math.isfinite, value)):  # type: ignore[call-overload]
            raise self.refuse(key, f"holds {value!r}, which is no list of {count} numbers")
        return [float(each) for each in value]  # type: ignore[attr-defined]

    def _error(self, key: str, fact: str) -> WeightsManifestError:
        return WeightsManifestError(
            f"{self._file}: {key} {fact}. These weights are not used. docs/weights.md shows what stands in such a file."
        )
