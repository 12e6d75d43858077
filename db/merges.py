"""Who counts as whom, and what people were called before: read here, changed in db/renames.py."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import AuditEntry

MERGE, RENAME, UNDO = "people.merge", "people.rename", "people.undo"
"""What is done to people, in the audit trail. A rename holds the name `before`, an undo the entry that it `undoes`."""

_MERGED = "SELECT id, merged_into_id FROM people WHERE merged_into_id IS NOT NULL"
_RENAMES = (
    select(AuditEntry.id, AuditEntry.action, AuditEntry.subject, AuditEntry.detail)
    .where(AuditEntry.action.in_([RENAME, UNDO]))
    .order_by(AuditEntry.id)
)


def load_merges(session: Session) -> dict[int, int]:
    """Return whom merged people count as, by person; whoever is missing counts as themselves."""
    found = session.connection().exec_driver_sql(_MERGED)  # asked with every chunk that is stored
    into = {int(person_id): int(into_id) for person_id, into_id in found}
    return {person_id: _end(into, person_id) for person_id in into}


def people_counted_as(merges: Mapping[int, int], person_id: int) -> list[int]:
    """Return everybody who counts as the same person as this one, the one that they count as first."""
    end = merges.get(person_id, person_id)
    return [end, *sorted(merged for merged, into in merges.items() if into == end)]


def former_names(session: Session) -> dict[str, int]:
    """Return the names that people had before they were renamed, oldest first, with whose each was last."""
    entries = session.execute(_RENAMES).all()
    undone = {entry.detail["undoes"] for entry in entries if entry.action == UNDO}
    names: dict[str, int] = {}
    for entry in entries:
        if entry.action == RENAME and entry.id not in undone:
            names[entry.detail["before"]] = subject_person(entry.subject)
    return names


def person_subject(person_id: int) -> str:
    """Return what a person is called in the audit trail, which no rename changes."""
    return f"person {person_id}"


def subject_person(subject: str) -> int:
    """Return the id of the person who is called so in the audit trail."""
    return int(subject.removeprefix("person "))


def _end(into: Mapping[int, int], person_id: int) -> int:
    """Follow merges to their end; nobody is merged into themselves (db/renames.py)."""
    while person_id in into:
        person_id = into[person_id]
    return person_id
