"""Merging and renaming people, and taking either back. What was said and decided of a person stays theirs throughout.

The audit trail says who did what, and holds what is needed to take it back.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import InputError, NothingToUndoError, PersonConflictError
from core.records import Verdict
from db import audit
from db.corrections import Corrections, hold_outcomes, read_corrections
from db.merges import MERGE, RENAME, UNDO, load_merges, people_counted_as, person_subject, subject_person
from db.people import clean_name, find_person, name_key
from db.redecide import load_bound, redecide
from db.tables import AuditEntry, Label, Person, Photo


@dataclass(frozen=True, kw_only=True)
class Undone:
    """What was taken back."""

    action: str
    """MERGE or RENAME."""
    name: str
    """Whose: the name that they bear again."""
    other: str
    """Whom they were merged into, or the name that they bore."""


def merge_people(session: Session, name: str, into: str, *, who: str, now: datetime) -> tuple[Person, Person]:
    """Let one person count as another from now on; return both.

    Args:
        session: a write session. Nothing that workers write may be locked in it.
        name: who turned out to be somebody else.
        into: whom.
        who: who says so.
        now: aware time.

    Raises:
        UnknownIdError: nobody bears one of the names.
        PersonConflictError: the first counts as somebody else already, or both are one person.
    """
    hold_outcomes(session)
    person, other = find_person(session, name), find_person(session, into)
    merges = load_merges(session)
    if merges.get(other.id, other.id) == merges.get(person.id, person.id):
        raise PersonConflictError(f"{person.name!r} and {other.name!r} are one person already. Nothing was changed.")
    if person.merged_into_id is not None:
        end = session.get_one(Person, merges[person.id]).name
        raise PersonConflictError(
            f"{person.name!r} counts as {end!r} already. Nothing was changed. Merge {end!r}, or take that back first: "
            f"`facefleet people undo '{person.name}'`."
        )
    _set_merge(session, person, other.id)
    names = {"name": person.name, "into": other.name}
    audit.record(session, who=who, action=MERGE, subject=person_subject(person.id), now=now, after=other.id, **names)
    return person, other


def rename_person(session: Session, name: str, new_name: str, *, who: str, now: datetime) -> tuple[str, Person]:
    """Give a person another name; return the name before and the person.

    Args:
        session: a write session. Nothing that workers write may be locked in it.
        name: of a person.
        new_name: what they are called from now on.
        who: who says so.
        now: aware time.

    Raises:
        UnknownIdError: nobody bears the name.
        PersonNameError: nobody can bear the new one.
        PersonConflictError: somebody else bears it.
        InputError: it is their name already.
    """
    hold_outcomes(session)  # a new name locks the person's row, which workers refer to
    person = find_person(session, name)
    before, after = person.name, clean_name(new_name)
    if after == before:
        raise InputError(f"{before!r} is called so already. Nothing was changed.")
    _set_name(session, person, after)
    audit.record(
        session, who=who, action=RENAME, subject=person_subject(person.id), now=now, before=before, after=after
    )
    return before, person


def undo_people(session: Session, name: str, *, who: str, now: datetime) -> Undone:
    """Take back the last merge or rename of a person that was not taken back, or the last merge into them.

    Args:
        session: a write session. Nothing that workers write may be locked in it.
        name: of a person.
        who: who says so.
        now: aware time.

    Raises:
        UnknownIdError: nobody bears the name.
        NothingToUndoError: there is none.
        PersonConflictError: somebody else bears the name by now that they would bear again.
    """
    hold_outcomes(session)
    person = find_person(session, name)
    entry = _last_change(session, person)
    if entry is None:
        raise NothingToUndoError(
            f"{person.name!r} was neither merged nor renamed, or all of it was taken back. Nothing was changed."
        )
    changed = session.get_one(Person, subject_person(entry.subject))
    if entry.action == MERGE:
        undone = Undone(action=MERGE, name=changed.name, other=session.get_one(Person, entry.detail["after"]).name)
        _set_merge(session, changed, None)
    else:
        undone = Undone(action=RENAME, name=entry.detail["before"], other=changed.name)
        _set_name(session, changed, entry.detail["before"])
    audit.record(session, who=who, action=UNDO, subject=entry.subject, now=now, undoes=entry.id)
    return undone


def _last_change(session: Session, person: Person) -> AuditEntry | None:
    """Return the entry of the last change of a person that holds."""
    merged_into_them = select(Person.id).where(Person.merged_into_id == person.id)
    theirs = person_subject(person.id)
    others = [person_subject(person_id) for person_id in session.scalars(merged_into_them)]
    entries = session.scalars(
        select(AuditEntry)
        .where(AuditEntry.subject.in_([theirs, *others]), AuditEntry.action.in_([MERGE, RENAME, UNDO]))
        .order_by(AuditEntry.id.desc())
    ).all()
    undone = {entry.detail["undoes"] for entry in entries if entry.action == UNDO}
    for entry in entries:
        if entry.action != UNDO and entry.id not in undone and (entry.subject == theirs or entry.action == MERGE):
            return entry
    return None


def _set_merge(session: Session, person: Person, into_id: int | None) -> None:
    """Let a person count as another or as themselves, and bring in line what was said of them not to be somebody."""
    merges = load_merges(session)
    both = [person.id, *([] if into_id is None else [into_id])]
    group = {member for one in both for member in people_counted_as(merges, one)}
    refused = select(Label.photo_id).where(Label.person_id.in_(group), Label.verdict == Verdict.IS_NOT)
    sha256s = list(session.scalars(select(Photo.sha256).where(Photo.id.in_(refused))))
    before = read_corrections(session, sha256s)
    person.merged_into_id = into_id
    session.flush()
    after: Corrections = read_corrections(session, sha256s)
    redecide(session, load_bound(session, sha256s), before, after)


def _set_name(session: Session, person: Person, name: str) -> None:
    """Give a person a name.

    Raises:
        PersonConflictError: somebody else bears it.
    """
    key = name_key(name)
    bearer = session.scalar(select(Person).where(Person.name_key == key, Person.id != person.id))
    if bearer is not None:
        raise PersonConflictError(
            f"{bearer.name!r} is somebody else's name. Nothing was changed. "
            f"If both are one person: `facefleet people merge '{person.name}' '{bearer.name}'`."
        )
    person.name, person.name_key = name, key
    session.flush()
