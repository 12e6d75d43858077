"""Corrections at the moment an outcome is stored: the labels of its photos, merged people, and the lock between both.

Whoever stores outcomes reads corrections in the same transaction and holds them still until its end, so that no outcome
is stored that disobeys a correction made before. What labels mean stands in core/faces/corrections.py.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from core.faces.corrections import (
    Held,
    Said,
    correct,
    face_box,
    faces_alone,
    held_of,
    said_of_face,
)
from core.faces.rule import RejectRule
from core.records import FaceResult, PhotoResult, Verdict
from db.bulk import in_pages
from db.locks import take_turn
from db.merges import load_merges
from db.tables import Job, Label, Model, Photo

_LOCK = 0x66616365_66697865
"""Of PostgreSQL's advisory locks: shared by those who store outcomes, held alone by whoever corrects."""
_PAGE = 1000
# In the driver's own words, as in db/bulk.py: these are asked with every chunk that is stored, and find nothing mostly.
_HOLD = f"SELECT pg_advisory_xact_lock_shared({_LOCK})"
_PHOTOS_ON_POSTGRESQL = "SELECT id FROM photos WHERE sha256 = ANY(%s)"
_PHOTOS_ON_SQLITE = "SELECT id FROM photos WHERE sha256 IN (SELECT value FROM json_each(?))"
_LABELS = (
    select(Photo.sha256, Label.id, Label.verdict, Label.person_id, Label.box_xyxy_px, Label.undoes_id)
    .join(Label, Label.photo_id == Photo.id)
    .where(Photo.id.in_(bindparam("photo_ids", expanding=True)))
    .order_by(Label.id)
)


@dataclass(frozen=True, kw_only=True)
class Corrections:
    """What people said of some photos, and who counts as whom."""

    said: Mapping[str, Sequence[Said]]
    """By the photo's sha256, in order of time; photos of which nothing was said are missing."""
    counts_as: Mapping[int, int]
    """Whom merged people count as, by person."""

    def __bool__(self) -> bool:
        """Whether there is anything that could change an outcome."""
        return bool(self.said or self.counts_as)

    def held(self, sha256: str, face: FaceResult, *, alone: bool = False) -> Held:
        """Return what holds of a face of a photo."""
        return held_of(said_of_face(self.said.get(sha256, ()), face_box(face), alone=alone))

    def apply(
        self, sha256: str, face: FaceResult, rule: RejectRule | None, *, alone: bool = False
    ) -> tuple[FaceResult, int | None]:
        """Return a face as it is decided under what people said, and the label that bears on it.

        Args:
            sha256: of the photo's bytes.
            face: as the model decided it.
            rule: of that model.
            alone: whether it is the only face of its photo that a label which names no face can mean; see
                `core.faces.corrections.faces_alone`.
        """
        held = self.held(sha256, face, alone=alone)
        return correct(face, held, rule, self.counts_as), held.label_id

    def apply_to_photo(self, photo: PhotoResult, rule: RejectRule | None) -> tuple[PhotoResult, list[int | None]]:
        """Return a photo whose faces are decided under what people said, and the label that bears on each face."""
        if photo.sha256 is None or not photo.faces:
            return photo, []
        alone = faces_alone(photo.faces)
        applied = [self.apply(photo.sha256, face, rule, alone=face.index in alone) for face in photo.faces]
        return replace(photo, faces=tuple(face for face, _ in applied)), [label_id for _, label_id in applied]


def load_corrections(session: Session, photo_sha256s: Sequence[str]) -> Corrections:
    """Return the corrections that bear on some photos; none is added or undone before this transaction ends.

    Args:
        session: that of the transaction that stores the outcomes.
        photo_sha256s: of the photos' bytes.
    """
    hold_corrections(session)
    return read_corrections(session, photo_sha256s)


def hold_corrections(session: Session) -> None:
    """Let nobody correct before this transaction ends: it stores outcomes, in line with all that was said until now."""
    if _is_postgresql(session):
        session.connection().exec_driver_sql(_HOLD)


def last_said(session: Session) -> tuple[int | None, Mapping[int, int]]:
    """Return the newest label, and who counts as whom: while these stay as they are, no correction was made.

    Corrections are made one after the other (`hold_outcomes`), so a newer label always has a higher number.
    """
    newest = session.connection().exec_driver_sql("SELECT max(id) FROM labels").scalar_one()
    return newest, load_merges(session)


def read_corrections(session: Session, photo_sha256s: Sequence[str]) -> Corrections:
    """Return the corrections that bear on some photos at this moment: for whoever holds them still, or only looks."""
    merges = load_merges(session)
    rows: dict[str, list[Any]] = defaultdict(list)
    for page in in_pages(dict.fromkeys(photo_sha256s), _PAGE):
        photo_ids = _find_photos(session, page)
        for row in session.execute(_LABELS, {"photo_ids": photo_ids}) if photo_ids else ():
            rows[row.sha256].append(row)
    said = {sha256: standing(labels, merges) for sha256, labels in rows.items()}
    return Corrections(said=said, counts_as=merges)


def hold_outcomes(session: Session) -> None:
    """Wait for those who store outcomes, and let none begin before this transaction ends: it corrects.

    Called before anything else is locked. On SQLite a write transaction is alone anyway.
    """
    take_turn(session, _LOCK)


def load_rule(session: Session, model_id: int, job_id: int) -> RejectRule | None:
    """Return the reject rule of a model for the faces of a job; None when its manifest holds none."""
    rule = session.scalar(select(Model.manifest["rule"]).where(Model.id == model_id))  # not all the people
    return None if rule is None else RejectRule.from_json(rule).for_job(fpir_of_job(session, job_id))


def fpir_of_job(session: Session, job_id: int) -> float | None:
    """Return the share of strangers that a job asked for; None when it asked for none."""
    return session.scalar(select(Job.fpir).where(Job.id == job_id))


def load_threshold(session: Session, model_id: int, job_id: int) -> float | None:
    """Return the threshold of a model for the faces of a job; None when it has no reject rule.

    Asked with every chunk that is stored, so a job that asks for nothing of its own does without the manifest.
    """
    if fpir_of_job(session, job_id) is None:
        return session.scalar(select(Model.threshold).where(Model.id == model_id))
    rule = load_rule(session, model_id, job_id)
    return None if rule is None else rule.threshold


def standing(labels: Iterable[Any], merges: Mapping[int, int]) -> list[Said]:
    """Return those of a photo's labels that were not undone.

    Args:
        labels: rows of `labels`, or what has their columns, in order of time.
        merges: whom merged people count as.
    """
    given = list(labels)
    undone = {label.undoes_id for label in given if label.undoes_id is not None}
    return [as_said(label, merges) for label in given if label.undoes_id is None and label.id not in undone]


def as_said(label: Any, merges: Mapping[int, int]) -> Said:
    """Return a row of `labels`, or what has its columns, as it is decided by."""
    return Said(
        label_id=label.id,
        verdict=Verdict(label.verdict),
        person_id=label.person_id,
        counts_as=merges.get(label.person_id, label.person_id),
        box_xyxy_px=None if label.box_xyxy_px is None else tuple(label.box_xyxy_px),
    )


def _find_photos(session: Session, sha256s: list[str]) -> list[int]:
    """Return the ids of those photos of which anybody ever spoke."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        return list(connection.exec_driver_sql(_PHOTOS_ON_POSTGRESQL, (sha256s,)).scalars())
    return list(connection.exec_driver_sql(_PHOTOS_ON_SQLITE, (json.dumps(sha256s),)).scalars())


def _is_postgresql(session: Session) -> bool:
    return session.connection().dialect.name == "postgresql"
