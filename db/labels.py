"""Labels: what people say of faces of photos. Only ever added; undone by a label that says so.

A label stands for the same face of the same photo wherever and however often it is looked at: photos are known by their
bytes, faces by their boxes. What labels mean stands in core/faces/corrections.py.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from core.errors import UnknownIdError
from core.faces.corrections import Box, Held, Said, faces_spoken_of, held_of, said_of_face
from core.records import Split, Verdict
from db.bulk import in_pages
from db.corrections import Corrections, as_said, hold_outcomes, read_corrections, standing
from db.merges import load_merges
from db.people import person_names
from db.redecide import FaceKey, StoredFace, load_bound, load_faces, redecide
from db.tables import Face, Job, Label, Person, Photo
from db.upsert import insert_absent, insert_if_absent

_PAGE = 500
_FACE_ID = re.compile(r"(j[0-9a-z]+)-(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, kw_only=True)
class PastLabel:
    """One label that was ever given to a face, or the undoing of one."""

    label_id: int
    verdict: Verdict
    person: str | None
    """Whom it speaks of, under the name that they bear now."""
    author: str
    at: datetime
    undoes_id: int | None
    """The label that it took back."""
    undone: bool
    holds: bool
    """Whether it has a say in what is decided now."""


class ImportWeight(Enum):
    """What an import of a photo comes to."""

    NEW = "new"  # nothing is known against it
    KNOWN = "known"  # it holds already
    CORRECTED = "corrected"  # somebody has said otherwise, and that stays


def looks_like_face(text: str) -> bool:
    """Say whether a text has the form of a face's id."""
    return _FACE_ID.fullmatch(text) is not None


def find_face(session: Session, face_id: str) -> FaceKey:
    """Return the face of an id such as `j1p3k9x2mf4qa-12-0`.

    Raises:
        UnknownIdError: no face has it.
    """
    parts = _FACE_ID.fullmatch(face_id)
    found = None
    if parts is not None:
        query = select(Face.job_id, Face.ordinal, Face.face_index).join(Job, Job.id == Face.job_id)
        ordinal, index = int(parts[2]), int(parts[3])
        found = session.execute(
            query.where(Job.public_id == parts[1], Face.ordinal == ordinal, Face.face_index == index)
        ).one_or_none()
    if found is None:
        raise UnknownIdError(
            f"No face has the id {face_id!r}. Nothing was labelled. `facefleet results` shows the ids: --format jsonl."
        )
    return FaceKey(job_id=found.job_id, ordinal=found.ordinal, face_index=found.face_index)


def label_faces(
    session: Session,
    faces: Sequence[FaceKey],
    verdict: Verdict,
    *,
    person: Person | None,
    author: str,
    now: datetime,
) -> int:
    """Say something of stored faces, and bring what is stored of them in line.

    Args:
        session: a write session. Nothing that workers write may be locked in it.
        faces: any number.
        verdict: what they are.
        person: of whom `is` and `is_not` speak; None with `is_not`: it is nobody who can be named.
        author: who says so.
        now: aware time.

    Returns:
        The number of new labels: what holds already is not said again.
    """
    hold_outcomes(session)
    stored = load_faces(session, faces)
    before = read_corrections(session, [face.sha256 for face in stored])
    photos = _photos(session, stored, now)
    said = {sha256: list(before.said.get(sha256, ())) for sha256 in photos}
    added = 0
    for face in stored:
        new = _new(verdict, person, before.counts_as, face.box)
        if _holds(held_of(said_of_face(said[face.sha256], face.box, alone=face.alone)), new):
            continue
        said[face.sha256].append(new)
        session.add(_row(photos[face.sha256], new, author, now))
        added += 1
    _settle(session, stored, before)
    return added


def undo_labels(session: Session, faces: Sequence[FaceKey], *, author: str, now: datetime) -> int:
    """Take back the newest label of each face that was not taken back yet, and bring what is stored in line.

    Args:
        session: a write session. Nothing that workers write may be locked in it.
        faces: any number.
        author: who says so.
        now: aware time.

    Returns:
        How many labels were taken back; a face that has none counts for nothing.
    """
    hold_outcomes(session)
    stored = load_faces(session, faces)
    before = read_corrections(session, [face.sha256 for face in stored])
    newest: set[int] = set()
    for face in stored:
        bearing = said_of_face(before.said.get(face.sha256, ()), face.box, alone=face.alone)
        newest.update(said.label_id for said in bearing[-1:])
    _undo(session, newest, author, now)
    _settle(session, stored, before)
    return len(newest)


def label_photo(
    session: Session,
    *,
    person: Person | None,
    sha256: str,
    uri: str,
    split: Split | None,
    author: str,
    now: datetime,
    box_xyxy_px: Box | None = None,
    verdict: Verdict = Verdict.IS,
) -> bool:
    """Say something of a photo, or of one of its faces; return False when that was known already.

    The same bytes are the same photo wherever they lie: the URI seen last is kept. A label without a box does not take
    back which face an earlier one of the same person meant.

    Args:
        session: a write session. Nothing that workers write may be locked in it.
        person: of whom `is` and `is_not` speak; None with `is_not`: it shows nobody who can be named.
        sha256: of the photo's bytes.
        uri: where it lies.
        split: what it is for; None for what it was for before, or to learn from.
        author: who says so.
        now: aware time.
        box_xyxy_px: which face is meant; None for the only one, or for all where no person is named.
        verdict: what it is.
    """
    hold_outcomes(session)
    fresh = {"sha256": sha256, "uri": uri, "split": split or Split.TRAIN, "created_at": now}
    insert_if_absent(session, Photo, fresh)
    photo = session.scalars(select(Photo).where(Photo.sha256 == sha256)).one()
    known = (photo.uri, photo.split) == (uri, split or photo.split)
    photo.uri, photo.split = uri, split or photo.split
    before = read_corrections(session, [sha256])
    new = _new(verdict, person, before.counts_as, box_xyxy_px)
    if _is_known(new, before.said.get(sha256, ())):
        return not known
    session.add(_row(photo.id, new, author, now))
    _settle(session, load_bound(session, [sha256]), before)
    return True


def label_new_photos(
    session: Session,
    uris: Mapping[str, str],
    *,
    person: Person | None,
    split: Split,
    author: str,
    now: datetime,
) -> set[str]:
    """Say whom photos show, of those alone that nobody ever spoke of; return which these were.

    Args:
        session: a write session. Nothing that workers write may be locked in it.
        uris: where the photos lie, by the sha256 of their bytes.
        person: whom they show; None: nobody who can be named.
        split: what they are for.
        author: who says so.
        now: aware time.
    """
    hold_outcomes(session)
    added: set[str] = set()
    said = _new(Verdict.IS_NOT if person is None else Verdict.IS, person, {}, None)
    for page in in_pages(uris, _PAGE):
        known = set(session.scalars(select(Photo.sha256).where(Photo.sha256.in_(page))))
        new = [sha256 for sha256 in page if sha256 not in known]
        rows = [{"sha256": sha256, "uri": uris[sha256], "split": split, "created_at": now} for sha256 in new]
        insert_absent(session, Photo, rows)
        photo_ids = session.scalars(select(Photo.id).where(Photo.sha256.in_(new)).order_by(Photo.id))
        session.add_all(_row(photo_id, said, author, now) for photo_id in photo_ids)
        added.update(new)
    session.flush()
    return added


def undo_photo(session: Session, sha256: str, box_xyxy_px: Box | None, *, author: str, now: datetime) -> bool:
    """Take back the newest label of a photo, or of one of its faces; return False when there is none.

    Args:
        session: a write session. Nothing that workers write may be locked in it.
        sha256: of the photo's bytes.
        box_xyxy_px: which face; None for whatever was said of the photo last.
        author: who says so.
        now: aware time.
    """
    hold_outcomes(session)
    before = read_corrections(session, [sha256])
    bearing = said_of_face(before.said.get(sha256, ()), box_xyxy_px, alone=True)
    _undo(session, {said.label_id for said in bearing[-1:]}, author, now)
    _settle(session, load_bound(session, [sha256]), before)
    return bool(bearing)


def list_labels(session: Session, sha256: str, box_xyxy_px: Box | None, *, alone: bool = True) -> list[PastLabel]:
    """Return all that was ever said of a photo, or of one of its faces, oldest first.

    Args:
        session: a read session.
        sha256: of the photo's bytes.
        box_xyxy_px: which face; None for the photo with all its faces.
        alone: whether the face is the only one that a label which names no face can mean.
    """
    rows = session.scalars(_of_photo(sha256)).all()
    merges = load_merges(session)
    every = [as_said(row, merges) for row in rows]
    shown = {said.label_id for said in said_of_face(every, box_xyxy_px, alone=alone)}
    undone = {row.undoes_id for row in rows if row.undoes_id is not None}
    holding = _holding_ids(standing(rows, merges))
    names = person_names(session, {row.person_id for row in rows if row.person_id is not None})
    return [
        PastLabel(
            label_id=row.id,
            verdict=Verdict(row.verdict),
            person=None if row.person_id is None else names[row.person_id],
            author=row.author,
            at=row.created_at,
            undoes_id=row.undoes_id,
            undone=row.id in undone,
            holds=row.id in holding,
        )
        for row in rows
        if row.id in shown
    ]


def weigh_import(session: Session, sha256: str, person: Person | None) -> ImportWeight:
    """Say what an import would change that says of a photo whom it shows.

    Args:
        session: a read session.
        sha256: of the photo's bytes.
        person: whom the import says it shows; None: nobody who can be named.
    """
    rows = session.scalars(_of_photo(sha256)).all()
    merges = load_merges(session)
    said = standing(rows, merges)
    new = _new(Verdict.IS_NOT if person is None else Verdict.IS, person, merges, None)
    if _is_known(new, said):
        return ImportWeight.KNOWN
    ever = [as_said(row, merges) for row in rows if row.undoes_id is None]
    if any((each.verdict, each.counts_as) == (new.verdict, new.counts_as) for each in ever):
        return ImportWeight.CORRECTED  # it was said before, and holds no longer
    against = {Verdict.NOT_A_FACE, Verdict.IGNORE, Verdict.IS_NOT} - {new.verdict}
    corrected = any(
        new.counts_as in held.is_not or (held.last_word is not None and held.last_word.verdict in against)
        for _, held in faces_spoken_of(said)
    )
    return ImportWeight.CORRECTED if corrected else ImportWeight.NEW


def find_photo(session: Session, sha256: str) -> Photo | None:
    """Return the photo of those bytes, if anybody ever spoke of it."""
    return session.scalar(select(Photo).where(Photo.sha256 == sha256))


def _holding_ids(said: Sequence[Said]) -> set[int]:
    """Return the labels of a photo that have a say in what is decided about one of its faces."""
    every = [held for _, held in faces_spoken_of(said)]
    words = [word for held in every for word in (held.last_word, *held.is_not.values()) if word is not None]
    return {word.label_id for word in words}


def _is_known(new: Said, said: Sequence[Said]) -> bool:
    """Whether what is to be said of a photo or of one of its faces holds already."""
    if new.box_xyxy_px is not None:
        return _holds(held_of(said_of_face(said, new.box_xyxy_px, alone=False)), new)
    faces = [held for _, held in faces_spoken_of(said)]
    one_is_enough = new.verdict is Verdict.IS
    return bool(faces) and (any if one_is_enough else all)(_holds(held, new) for held in faces)


def _holds(held: Held, new: Said) -> bool:
    """Whether what is to be said of a face holds already."""
    if new.verdict is Verdict.IS_NOT and new.counts_as is not None:
        return new.counts_as in held.is_not
    word = held.last_word
    return word is not None and (word.verdict, word.counts_as) == (new.verdict, new.counts_as)


def _photos(session: Session, faces: Sequence[StoredFace], now: datetime) -> dict[str, int]:
    """Return the ids of the faces' photos by sha256; those that nobody has spoken of are added, to be learned from."""
    uris = {face.sha256: face.uri for face in faces}
    found: dict[str, int] = {}
    for page in in_pages(uris, _PAGE):
        rows = [{"sha256": sha256, "uri": uris[sha256], "split": Split.TRAIN, "created_at": now} for sha256 in page]
        insert_absent(session, Photo, rows)
        found.update(session.execute(select(Photo.sha256, Photo.id).where(Photo.sha256.in_(page))).all())
    return found


def _of_photo(sha256: str) -> Select[Label]:
    return select(Label).join(Photo, Photo.id == Label.photo_id).where(Photo.sha256 == sha256).order_by(Label.id)


def _new(verdict: Verdict, person: Person | None, merges: Mapping[int, int], box: Box | None) -> Said:
    """Return what is to be said; it has no id yet."""
    person_id = None if person is None else person.id
    counts_as = None if person_id is None else merges.get(person_id, person_id)
    return Said(label_id=0, verdict=verdict, person_id=person_id, counts_as=counts_as, box_xyxy_px=box)


def _row(photo_id: int, said: Said, author: str, now: datetime) -> Label:
    return Label(
        photo_id=photo_id,
        person_id=said.person_id,
        verdict=said.verdict,
        box_xyxy_px=None if said.box_xyxy_px is None else list(said.box_xyxy_px),
        author=author,
        created_at=now,
    )


def _undo(session: Session, label_ids: Iterable[int], author: str, now: datetime) -> None:
    """Add labels that take others back."""
    for label in session.scalars(select(Label).where(Label.id.in_(sorted(label_ids))).order_by(Label.id)):
        session.add(
            Label(
                photo_id=label.photo_id,
                person_id=label.person_id,
                verdict=label.verdict,
                box_xyxy_px=label.box_xyxy_px,
                author=author,
                created_at=now,
                undoes_id=label.id,
            )
        )


def _settle(session: Session, faces: Sequence[StoredFace], before: Corrections) -> None:
    """Bring faces in line with the labels that were just added, and all on which labels of their photos bore."""
    session.flush()
    sha256s = sorted({face.sha256 for face in faces})
    every = {face.key: face for face in (*faces, *load_bound(session, sha256s))}
    redecide(session, list(every.values()), before, read_corrections(session, sha256s))
