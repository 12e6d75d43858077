"""People, their photos and labels.

Names cannot be confused, photos are known by their bytes, labels are only ever added: the newest holds.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session, aliased

from core.errors import PersonConflictError, PersonNameError, UnknownIdError
from core.records import Example, PersonClass, Split, Verdict
from db.tables import Label, Person, Photo
from db.upsert import insert_if_absent

Box = tuple[float, float, float, float]
"""(x1, y1, x2, y2) in pixels of the upright original photo."""
MAX_NAME_LENGTH = 200
# Zero-width joiner and non-joiner: invisible, and part of correct spelling in Persian and in Indic scripts.
_JOINERS = "\u200c\u200d"
_newer = aliased(Label)


@dataclass(frozen=True, kw_only=True)
class PersonSummary:
    """A person and how many photos say so."""

    person_id: int
    name: str
    train_photos: int
    test_photos: int
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class LabelledPhoto:
    """A photo with the label that holds for it now."""

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
    """Return the person of that name, who is added when new.

    Raises:
        PersonNameError: no person can bear that name.
        PersonConflictError: somebody bears a name that differs only in case or accents.
    """
    name = clean_name(name)
    key = name_key(name)
    insert_if_absent(session, Person, {"name": name, "name_key": key, "created_at": now})
    person = session.scalars(select(Person).where(Person.name_key == key)).one()
    if person.name != name:
        raise PersonConflictError(
            f"{name!r} differs from the known person {person.name!r} only in case or accents. Nothing of {name!r} was "
            f"imported. If they are one person, use the name {person.name!r}; if not, make the names tell them apart."
        )
    return person


def find_person(session: Session, name: str) -> Person:
    """Return the person of that name, whatever its case and accents.

    Raises:
        UnknownIdError: nobody bears it.
    """
    person = session.scalar(select(Person).where(Person.name_key == name_key(name)))
    if person is None:
        raise UnknownIdError(f"Nobody is called {name!r}. List the people: `facefleet people list`.")
    return person


def label_photo(
    session: Session,
    *,
    person: Person,
    sha256: str,
    uri: str,
    split: Split,
    author: str,
    now: datetime,
    box_xyxy_px: Box | None = None,
) -> bool:
    """Say that a photo shows a person; return False when that was known already.

    The same bytes are the same photo wherever they lie: the URI seen last is kept, and the newest label holds. A label
    without a box does not take back which face an earlier one of the same person meant.
    """
    insert_if_absent(session, Photo, {"sha256": sha256, "uri": uri, "split": split, "created_at": now})
    photo = session.scalars(select(Photo).where(Photo.sha256 == sha256)).one()
    known = photo.uri == uri and photo.split == split
    photo.uri, photo.split = uri, split
    holding = session.scalar(select(Label).where(Label.photo_id == photo.id, _holds()))
    box = None if box_xyxy_px is None else list(box_xyxy_px)
    if holding is not None and _says(holding, person, box):
        return not known
    session.add(
        Label(
            photo_id=photo.id,
            person_id=person.id,
            verdict=Verdict.IS,
            box_xyxy_px=box,
            author=author,
            created_at=now,
        )
    )
    return True


def find_label(session: Session, sha256: str) -> LabelledPhoto | None:
    """Return the photo of those bytes with the person it is said to show, or None."""
    row = session.execute(_labelled().where(Photo.sha256 == sha256)).one_or_none()
    return _as_labelled(row) if row else None


def list_people(session: Session) -> list[PersonSummary]:
    """Return everybody with their numbers of photos, by name."""
    labelled = _labelled().subquery()
    train = func.count().filter(labelled.c.split == Split.TRAIN)
    test = func.count().filter(labelled.c.split == Split.TEST)
    rows = session.execute(
        select(Person.id, Person.name, Person.created_at, train.label("train"), test.label("test"))
        .outerjoin(labelled, labelled.c.person_id == Person.id)
        .group_by(Person.id, Person.name, Person.created_at)
        .order_by(Person.name_key)
    )
    return [
        PersonSummary(
            person_id=row.id,
            name=row.name,
            train_photos=row.train,
            test_photos=row.test,
            created_at=row.created_at,
        )
        for row in rows
    ]


def labelled_photos(session: Session, person_id: int | None = None) -> Iterator[LabelledPhoto]:
    """Yield the photos that show somebody, by person and photo; of one person when given."""
    query = _labelled().order_by(Person.id, Photo.id)
    if person_id is not None:
        query = query.where(Person.id == person_id)
    yield from map(_as_labelled, session.execute(query.execution_options(yield_per=1000)))


def training_set(session: Session) -> tuple[list[PersonClass], list[Example], list[Example]]:
    """Return the classes in order of person id, and the training and test examples under the labels that hold now."""
    photos = list(labelled_photos(session))
    people = {photo.person_id: photo.person for photo in photos if photo.split is Split.TRAIN}
    classes = [PersonClass(person_id=person_id, name=name) for person_id, name in people.items()]
    index = {person.person_id: number for number, person in enumerate(classes)}
    examples: dict[Split, list[Example]] = {Split.TRAIN: [], Split.TEST: []}
    for photo in photos:
        # A test photo of somebody without training photos is a photo of a stranger to the model.
        number = index.get(photo.person_id, -1)
        examples[photo.split].append(
            Example(uri=photo.uri, class_index=number, sha256=photo.sha256, box_xyxy_px=photo.box_xyxy_px)
        )
    return classes, examples[Split.TRAIN], examples[Split.TEST]


def person_names(session: Session, person_ids: set[int]) -> dict[int, str]:
    """Return the current names of people."""
    rows = session.execute(select(Person.id, Person.name).where(Person.id.in_(person_ids)))
    return {row.id: row.name for row in rows}


def _holds() -> ColumnElement[bool]:
    """Whether a label is the newest of its photo. Correlated, so that a look at one photo reads one photo's labels."""
    newest = select(func.max(_newer.id)).where(_newer.photo_id == Label.photo_id).scalar_subquery()
    return Label.id == newest


def _says(label: Label, person: Person, box: list[float] | None) -> bool:
    """Whether a label says already that the photo, or this face of it, shows the person."""
    same_face = box is None or box == label.box_xyxy_px
    return label.person_id == person.id and label.verdict == Verdict.IS and same_face


def _labelled() -> Select[int, str, str, str, int, str, list[float] | None]:
    """Photos whose newest label says that they show somebody."""
    return (
        select(
            Photo.id,
            Photo.sha256,
            Photo.uri,
            Photo.split,
            Person.id.label("person_id"),
            Person.name,
            Label.box_xyxy_px,
        )
        .join(Label, Label.photo_id == Photo.id)
        .join(Person, Person.id == Label.person_id)
        .where(_holds(), Label.verdict == Verdict.IS)
    )


def _is_invisible(char: str) -> bool:
    """Whether a character cannot be seen, or not be told from another: controls, surrogates, direction marks."""
    return char not in _JOINERS and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _as_labelled(row: Row[int, str, str, str, int, str, list[float] | None]) -> LabelledPhoto:
    photo_id, sha256, uri, split, person_id, person, box = row
    return LabelledPhoto(
        photo_id=photo_id,
        sha256=sha256,
        uri=uri,
        split=Split(split),
        person_id=person_id,
        person=person,
        box_xyxy_px=None if box is None else (box[0], box[1], box[2], box[3]),
    )
