"""The faces that `facefleet label` is told of: stored ones by their ids, photos or single faces of them as files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.errors import InputError
from core.faces.corrections import Box
from core.records import Split, Verdict
from core.settings import Settings
from scripts.found_faces import FoundFace, decode_bytes, find_faces, find_photo, read_bytes
from scripts.output import show_count

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.redecide import FaceKey
    from db.tables import Person


@dataclass(frozen=True, kw_only=True)
class Saying:
    """Who says something, when, and what photos are for."""

    author: str
    now: datetime
    split: Split | None
    """None: what they were for before."""


@dataclass(frozen=True, kw_only=True)
class PhotoTarget:
    """A photo, or one face of it."""

    name: str
    """As it was typed."""
    uri: str
    sha256: str
    face: int | None
    box_xyxy_px: Box | None


@dataclass(frozen=True, kw_only=True)
class Targets:
    """All that is spoken of at once."""

    face_ids: tuple[str, ...]
    faces: "tuple[FaceKey, ...]"
    """Of `face_ids`."""
    photos: tuple[PhotoTarget, ...]

    def __len__(self) -> int:
        return len(self.faces) + len(self.photos)

    @property
    def first(self) -> str:
        """The first of them, as it was typed."""
        return self.face_ids[0] if self.face_ids else self.photos[0].name

    def label(self, session: "Session", verdict: Verdict, person: "Person | None", saying: Saying) -> int:
        """Say something of all; return how much of it was new."""
        from db.labels import label_faces, label_photo

        added = label_faces(session, self.faces, verdict, person=person, author=saying.author, now=saying.now)
        for photo in self.photos:
            added += label_photo(
                session,
                verdict=verdict,
                person=person,
                sha256=photo.sha256,
                uri=photo.uri,
                split=saying.split,
                author=saying.author,
                now=saying.now,
                box_xyxy_px=photo.box_xyxy_px,
            )
        return added

    def undo(self, session: "Session", saying: Saying) -> int:
        """Take back what was said last of each; return how much that was."""
        from db.labels import undo_labels, undo_photo

        undone = undo_labels(session, self.faces, author=saying.author, now=saying.now)
        for photo in self.photos:
            undone += undo_photo(session, photo.sha256, photo.box_xyxy_px, author=saying.author, now=saying.now)
        return undone


def find_targets(
    session: "Session", settings: Settings, names: Sequence[str], number: int | None, split: str | None
) -> Targets:
    """Find what the user named.

    Raises:
        UnknownIdError: no face has an id.
        InputError: there is no such file, or no such face in it.
        PhotoError: a file cannot be used.
        UsageError: what goes with files was said of a face's id.
    """
    from db.labels import find_face, looks_like_face

    ids = tuple(name for name in dict.fromkeys(names) if looks_like_face(name) and not Path(name).exists())
    files = [name for name in dict.fromkeys(names) if name not in ids]
    if ids and (split or number is not None):
        raise click.UsageError(f"--face and --split go with files, and {ids[0]} is a face. Nothing was labelled.")
    if number is not None and len(files) > 1:
        raise click.UsageError("--face N says which face of one file. Name one file. Nothing was labelled.")
    return Targets(
        face_ids=ids,
        faces=tuple(find_face(session, face_id) for face_id in ids),
        photos=tuple(_look_at(name, number, settings) for name in files),
    )


def _look_at(name: str, number: int | None, settings: Settings) -> PhotoTarget:
    """Read a photo, and find the face in it that is meant."""
    uri = find_photo(name)
    data = read_bytes(uri, settings)
    pixels = decode_bytes(data, settings)
    box = None if number is None else _choose(find_faces(pixels, settings), number, name).box_xyxy_px
    return PhotoTarget(name=name, uri=uri, sha256=hashlib.sha256(data).hexdigest(), face=number, box_xyxy_px=box)


def _choose(faces: list[FoundFace], number: int, photo: str) -> FoundFace:
    """Return the face of this number.

    Raises:
        InputError: there is none.
    """
    if number >= len(faces):
        found = show_count(len(faces), "face")
        raise InputError(
            f"{photo} has no face {number}: {found} found, numbered from 0. Nothing was labelled. "
            f"Look at it with `facefleet detect {photo}`."
        )
    return faces[number]
