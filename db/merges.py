"""Who counts as whom: people who were merged into others. The one column that says so is read here."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Person

_MERGED = select(Person.id, Person.merged_into_id).where(Person.merged_into_id.is_not(None))


def load_merges(session: Session) -> dict[int, int]:
    """Return whom merged people count as, by person; whoever is missing counts as themselves."""
    into: dict[int, int] = dict(session.execute(_MERGED).all())  # type: ignore[arg-type]
    return {person_id: _end(into, person_id) for person_id in into}


def people_counted_as(merges: Mapping[int, int], person_id: int) -> list[int]:
    """Return everybody who counts as the same person as this one, that person first."""
    end = merges.get(person_id, person_id)
    return [end, *sorted(merged for merged, into in merges.items() if into == end)]


def _end(into: Mapping[int, int], person_id: int) -> int:
    """Follow merges to their end; nobody is merged into themselves (db/renames.py)."""
    while person_id in into:
        person_id = into[person_id]
    return person_id
