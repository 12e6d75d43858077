"""Records: frozen, and made by name only."""

import dataclasses
import inspect
from enum import StrEnum

import pytest

import core.records
from core.records import PhotoTask, SkipLog

RECORDS = [
    value
    for _, value in inspect.getmembers(core.records, inspect.isclass)
    if dataclasses.is_dataclass(value) and value is not SkipLog
]
ENUMS = [value for _, value in inspect.getmembers(core.records, inspect.isclass) if issubclass(value, StrEnum)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_records_are_frozen_and_made_by_name(record: type) -> None:
    parameters = record.__dataclass_params__  # type: ignore[attr-defined]
    assert parameters.frozen
    assert all(field.kw_only for field in dataclasses.fields(record))


def test_a_record_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PhotoTask(ordinal=1, uri="a").ordinal = 2  # type: ignore[misc]


@pytest.mark.parametrize("enum", [enum for enum in ENUMS if enum is not StrEnum], ids=lambda enum: enum.__name__)
def test_the_words_of_closed_sets_are_the_names_in_lower_case(enum: type[StrEnum]) -> None:
    """They are stored: renaming a member must not rename what stands in databases."""
    assert [member.value for member in enum] == [member.name.lower() for member in enum]


def test_a_skip_log_counts_all_and_keeps_the_first() -> None:
    log = SkipLog(keep=2)
    for name in ("a.txt", "b.txt", "c.txt"):
        log.add(name, "no image")
    assert log.count == 3
    assert [skipped.name for skipped in log.first] == ["a.txt", "b.txt"]
