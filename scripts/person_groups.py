"""The groups that a CSV file puts people into, so that figures can be told for each."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from core.errors import InputError

PERSON = "person"
_MOST_GROUPS = 50  # a table of more tells nobody anything
_NAMED = 3
_NOTHING = "Nothing was measured."


@dataclass(frozen=True, kw_only=True)
class PersonGroups:
    """Who is in which group."""

    column: str | None = None
    """What the groups are of, as the file calls it; None without a file."""
    by_person: dict[str, str] = field(default_factory=dict)
    """Groups by name key."""
    spelled: dict[str, str] = field(default_factory=dict)
    """Names as the file has them, by name key."""
    names: tuple[str, ...] = ()
    """The groups, in alphabetical order."""

    def find(self, *called: str) -> int | None:
        """Return the number of the group of somebody who may be called any of these; None where the file has none."""
        from db.people import name_key

        groups = (self.by_person.get(name_key(name)) for name in called)
        found = next((group for group in groups if group is not None), None)
        return None if found is None else self.names.index(found)

    def check_people(self, known: Iterable[str], file: Path) -> None:
        """Refuse a file that names people whom nobody else does: a slip there would go unnoticed.

        Args:
            known: every name that a person may have in the file.
            file: as it was given.

        Raises:
            InputError: it names others.
        """
        from db.people import name_key

        keys = {name_key(name) for name in known}
        strange = [name for key, name in self.spelled.items() if key not in keys]
        if strange:
            shown = ", ".join(f"'{name}'" for name in strange[:_NAMED])
            more = f" and {len(strange) - _NAMED:,} more" if len(strange) > _NAMED else ""
            raise InputError(
                f"{file} puts people into groups who are neither known to the model nor in the folders: {shown}{more}. "
                f"{_NOTHING} Name them as their folders are named, or remove those lines."
            )


def stranger_names(stranger: str) -> tuple[str, ...]:
    """Return what a stranger may be called in the file: the path of their folder or file, its last part, that without
    its suffix.
    """
    path = PurePosixPath(stranger)
    return stranger, path.name, path.stem


def read_groups(file: Path, column: str | None) -> PersonGroups:
    """Read a CSV file with a heading.

    Args:
        file: in UTF-8, with a column `person`.
        column: the heading of the groups; None for the only other column.

    Raises:
        InputError: it cannot be read, has no such column, puts a person into two groups, or has more than 50 groups.
    """
    from db.people import name_key

    headings, rows = _read_rows(file)
    column = _choose_column(file, headings, column)
    by_person: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for row in rows:
        name, group = (row[PERSON] or "").strip(), (row[column] or "").strip()
        if not name or not group:
            continue
        spelled.setdefault(name_key(name), name)
        if by_person.setdefault(name_key(name), group) != group:
            raise InputError(
                f"{file} puts '{name}' into two groups, '{by_person[name_key(name)]}' and '{group}'. {_NOTHING} "
                "Keep one line for each person."
            )
    names = tuple(sorted(set(by_person.values())))
    if not names or len(names) > _MOST_GROUPS:
        raise InputError(
            f"The column '{column}' of {file} holds {len(names):,} groups. {_NOTHING} "
            f"Choose one that has between 1 and {_MOST_GROUPS}, such as age bands instead of ages."
        )
    return PersonGroups(column=column, by_person=by_person, spelled=spelled, names=names)


def _read_rows(file: Path) -> tuple[list[str], list[dict[str, str | None]]]:
    """Return the headings, and a row a line.

    Raises:
        InputError: it cannot be read, or is no CSV file in UTF-8.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="", strict=True)
            rows = list(reader)
            return [heading.strip() for heading in reader.fieldnames or []], _stripped(rows)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}. {_NOTHING} Check its path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{file} is no CSV file in UTF-8: {error}. {_NOTHING} Save it as CSV with the columns person and one more."
        ) from error


def _stripped(rows: list[dict[str, str]]) -> list[dict[str, str | None]]:
    return [{heading.strip(): cell for heading, cell in row.items() if isinstance(heading, str)} for row in rows]


def _choose_column(file: Path, headings: list[str], column: str | None) -> str:
    """Return the heading of the groups.

    Raises:
        InputError: there is no column of people, none of this name, or several to choose from.
    """
    shown = ", ".join(headings) or "none"
    if PERSON not in headings:
        raise InputError(f"{file} has no column '{PERSON}' (its columns: {shown}). {_NOTHING} Add that heading.")
    others = [heading for heading in headings if heading != PERSON]
    if column is None and len(others) != 1:
        raise InputError(
            f"{file} has {len(others)} columns beside '{PERSON}' ({', '.join(others) or 'none'}). {_NOTHING} "
            "Say which holds the groups: --group-by COLUMN."
        )
    if column is not None and column not in others:
        raise InputError(f"{file} has no column '{column}' (its columns: {shown}). {_NOTHING} Name one of them.")
    return column or others[0]
