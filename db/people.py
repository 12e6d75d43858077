"""People, and the photos that are said to show them. Names cannot be confused; merged people are one person.

Labels are given in db/labels.py; people are merged and renamed in db/renames.py.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from core.errors import PersonConflictError, PersonNameError, UnknownIdError
from core.faces.corrections import Box, Held, faces_spoken_of
from core.records import Example, PersonClass, Split
from db.corrections import standing
from db.merges import former_names, load_merges, people_counted_as
from db.tables import Label, Person, Photo
from db.upsert import insert_if_absent

MAX_NAME_LENGTH = 200
# Zero-width joiner and non-joiner: invisible, and part of correct spelling in Persian and in Indic scripts.
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, kw_only=True)
class PersonSummary:
    """A person and how many photos say so."""

    person_id: int
    name: str
    also_called: tuple[str, ...]
    """Names of people who were merged into them, and names that they had."""
    train_photos: int
    test_photos: int
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class LabelledPhoto:
    """A face of a photo with whose it is said to be."""

    photo_id: int
    sha256: str
    uri: str
    split: Split
    person_id: int
    person: str
    box_xyxy_px: Box | None
    """Which of its faces is meant; None for its only one."""


def clean_name(name: str) -> str:
    """Return a name in the form it is stored in: NFC, single inner spaces.

    Raises:
        PersonNameError: it is empty, too long, or holds a slash or an invisible character.
    """
    cleaned = " ".join(part for part in unicodedata.normalize("NFC", name).split(" ") if part)
    shown = repr(name if len(name) <= 60 else name[:57] + "...")
    if not name_key(cleaned):
        raise PersonNameError(f"The name {shown} is empty. Nobody was added; give the person a name.")
    if max(len(cleaned), len(name_key(cleaned))) > MAX_NAME_LENGTH:
        raise PersonNameError(
            f"The name {shown} is longer than {MAX_NAME_LENGTH} characters. Nobody was added; shorten it."
        )
    bad = sorted({char for char in cleaned if char in "/\\" or _is_invisible(char)})
    if bad:
        raise PersonNameError(
            f"The name {shown} holds {', '.join(repr(char) for char in bad)}, which a name cannot hold. "
            f"Nobody was added; rename the person."
        )
    return cleaned


def name_key(name: str) -> str:
    """Return the part of a name that tells people apart: without case, accents, width and joiners."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    kept = (char for char in decomposed if not unicodedata.combining(char) and char not in _JOINERS)
    return " ".join(unicodedata.normalize("NFKC", "".join(kept)).split())


def get_or_add_person(session: Session, name: str, now: datetime) -> Person:
    """Return the person who bears that name, or bore it before a rename; who is added when new.

    Raises:
        PersonNameError: no person can bear that name.
        PersonConflictError: somebody bears a name that differs only in case or accents.
    """
    name = clean_name(name)
    key = name_key(name)
    person = _called(session, name)
    if person is None:
        insert_if_absent(session, Person, {"name": name, "name_key": key, "created_at": now})
        person = session.scalars(select(Person).where(Person.name_key == key)).one()
    if person.name_key == key and person.name != name:
        raise PersonConflictError(
            f"{name!r} differs from the known person {person.name!r} only in case or accents. Nothing of {name!r} was "
            f"imported. If they are one person, use the name {person.name!r}; if not, make the names tell them apart."
        )
    return person


def find_person(session: Session, name: str) -> Person:
    """Return the person who bears that name, or bore it before a rename, whatever its case and accents.

    Raises:
        UnknownIdError: nobody does.
    """
    person = _called(session, name)
    if person is None:
        raise UnknownIdError(f"Nobody is called {name!r}. List the people: `facefleet people list`.")
    return person


def _called(session: Session, name: str) -> Person | None:
    """Return the person who bears a name, or who last bore it before a rename."""
    key = name_key(name)
    person = session.scalar(select(Person).where(Person.name_key == key))
    if person is None:
        former = {name_key(former): person_id for former, person_id in former_names(session).items()}
        person = session.get(Person, former[key]) if key in former else None
    return person


def shown_id(session: Session, person: Person) -> int:
    """Return whom a person counts as: themselves, or whom they were merged into."""
    return load_merges(session).get(person.id, person.id)


def find_labelled(session: Session, sha256: str) -> list[LabelledPhoto]:
    """Return the faces of a photo that are said to be somebody's."""
    return list(_labelled(session, Photo.sha256 == sha256))


def list_people(session: Session) -> list[PersonSummary]:
    """Return everybody with their numbers of photos, by name; merged people as one."""
    return _summaries(session, labelled_photos(session))


def find_summary(session: Session, person: Person) -> PersonSummary:
    """Return a person with their numbers of photos; a merged one as whom they count as."""
    shown = shown_id(session, person)
    (summary,) = [
        summary for summary in _summaries(session, labelled_photos(session, shown)) if summary.person_id == shown
    ]
    return summary


def labelled_photos(session: Session, person_id: int | None = None) -> Iterator[LabelledPhoto]:
    """Yield the faces of photos that are somebody's, by person and photo; of one person when given.

    Merged people are one person, who bears the name that they are shown under.
    """
    of_them: list[ColumnElement[bool]] = []
    wanted = None
    if person_id is not None:
        wanted, *others = people_counted_as(load_merges(session), person_id)
        speaks_of_them = select(Label.photo_id).where(Label.person_id.in_([wanted, *others]))
        of_them = [Photo.id.in_(speaks_of_them)]
    found = [photo for photo in _labelled(session, *of_them) if wanted in {None, photo.person_id}]
    yield from sorted(found, key=lambda photo: (photo.person_id, photo.photo_id, photo.box_xyxy_px or ()))


def training_set(session: Session) -> tuple[list[PersonClass], list[Example], list[Example]]:
    """Return the classes in order of person id, and the training and test examples under the labels that hold now.

    One example a face. After the people's come the faces of nobody: strangers, and in the training part those that are
    only said not to be some of the people. What is no face or to be ignored is in neither part.
    """
    photos = list(labelled_photos(session))
    people = {photo.person_id: photo.person for photo in photos if photo.split is Split.TRAIN}
    classes = [PersonClass(person_id=person_id, name=name) for person_id, name in people.items()]
    index = {person.person_id: number for number, person in enumerate(classes)}
    examples: dict[Split, list[Example]] = {Split.TRAIN: [], Split.TEST: []}
    for photo in photos:
        # A test photo of somebody without training photos is a photo of a stranger to the model.
        number = index.get(photo.person_id, -1)
        examples[photo.split].append(
            Example(
                uri=photo.uri,
                class_index=number,
                sha256=photo.sha256,
                box_xyxy_px=photo.box_xyxy_px,
                shows=photo.person_id if number < 0 else None,
            )
        )
    for spoken in _faces_spoken_of(session):
        not_classes = tuple(sorted(index[person] for person in spoken.held.is_not if person in index))
        if spoken.held.is_stranger:
            not_classes = ()
        elif spoken.held.last_word is not None or not not_classes or spoken.split is Split.TEST:
            continue  # who it is not says of a test photo neither whom it shows nor that it shows a stranger
        examples[spoken.split].append(
            Example(
                uri=spoken.uri,
                class_index=-1,
                not_classes=not_classes,
                sha256=spoken.sha256,
                box_xyxy_px=spoken.box_xyxy_px,
            )
        )
    return classes, examples[Split.TRAIN], examples[Split.TEST]


def person_names(session: Session, person_ids: set[int]) -> dict[int, str]:
    """Return the names that people are shown under now: a merged person under the name of whom they count as."""
    merges = load_merges(session)
    ends = {person_id: merges.get(person_id, person_id) for person_id in person_ids}
    rows = session.execute(select(Person.id, Person.name).where(Person.id.in_(set(ends.values()))))
    names = {row.id: row.name for row in rows}
    return {person_id: names[end] for person_id, end in ends.items() if end in names}


def _summaries(session: Session, photos: Iterable[LabelledPhoto]) -> list[PersonSummary]:
    """Count photos for everybody who is not merged, by name."""
    counts = Counter((photo.person_id, photo.split) for photo in photos)
    merges = load_merges(session)
    everybody = session.execute(select(Person.id, Person.name, Person.created_at).order_by(Person.name_key)).all()
    names: dict[int, list[str]] = {row.id: [row.name] for row in everybody}
    for former, person_id in former_names(session).items():
        names[person_id].append(former)
    return [
        PersonSummary(
            person_id=row.id,
            name=row.name,
            also_called=tuple(
                name for member in people_counted_as(merges, row.id) for name in names[member] if name != row.name
            ),
            train_photos=counts[row.id, Split.TRAIN],
            test_photos=counts[row.id, Split.TEST],
            created_at=row.created_at,
        )
        for row in everybody
        if row.id not in merges
    ]


@dataclass(frozen=True, kw_only=True)
class _SpokenOf:
    """A face of a photo of which something is said."""

    photo_id: int
    sha256: str
    uri: str
    split: Split
    box_xyxy_px: Box | None
    held: Held


def _labelled(session: Session, *conditions: ColumnElement[bool]) -> Iterator[LabelledPhoto]:
    """Yield the faces that are somebody's, by photo."""
    spoken_of = [face for face in _faces_spoken_of(session, *conditions) if face.held.person is not None]
    names = dict(session.execute(select(Person.id, Person.name)).all())
    for face in spoken_of:
        person = face.held.person
        if person is not None and person.counts_as is not None:
            yield LabelledPhoto(
                photo_id=face.photo_id,
                sha256=face.sha256,
                uri=face.uri,
                split=face.split,
                person_id=person.counts_as,
                person=names[person.counts_as],
                box_xyxy_px=face.box_xyxy_px,
            )


def _faces_spoken_of(session: Session, *conditions: ColumnElement[bool]) -> Iterator[_SpokenOf]:
    """Yield the faces that labels tell apart, with what holds of each, by photo; of some photos when told which."""
    merges = load_merges(session)
    query = (
        select(
            Photo.id.label("photo_id"),
            Photo.sha256,
            Photo.uri,
            Photo.split,
            Label.id,
            Label.verdict,
            Label.person_id,
            Label.box_xyxy_px,
            Label.undoes_id,
        )
        .join(Label, Label.photo_id == Photo.id)
        .where(*conditions)
        .order_by(Photo.id, Label.id)
        .execution_options(yield_per=1000)
    )
    for photo_id, group in groupby(session.execute(query), key=attrgetter("photo_id")):
        rows = list(group)
        for box, held in faces_spoken_of(standing(rows, merges)):
            yield _SpokenOf(
                photo_id=photo_id,
                sha256=rows[0].sha256,
                uri=rows[0].uri,
                split=Split(rows[0].split),
                box_xyxy_px=box,
                held=held,
            )


def _is_invisible(char: str) -> bool:
    """Whether a character cannot be seen, or not be told from another: controls, surrogates, direction marks."""
    return char not in _JOINERS and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
