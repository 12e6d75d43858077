"""What two models make of stored faces: counts, by person and in total, and the first faces that change."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.records import FaceOutcome
from db import rescore
from db.ids import face_id
from db.merges import load_merges
from db.people import person_names
from db.rescore import NewOutcomes, StoredPage
from db.tables import Face, Item, Job
from scripts.deciding import DecidingModel, Named, decide_page, loader, prepare_page
from scripts.progress import Bar
from scripts.rescoring import Tally


@dataclass(frozen=True, kw_only=True)
class ChangedFace:
    """A face about which two models disagree."""

    face: Face
    uri: str
    job: str
    """As people see it."""
    outcome: str
    """Under the second model."""
    was: str
    """What the first model says, in words: a name, or the outcome."""
    becomes: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        place = face_id(self.job, self.face.ordinal, self.face.face_index)
        return {"face": place, "uri": self.uri, "before": self.was, "after": self.becomes}

    def as_row(self) -> dict[str, Any]:
        """Return it as a row of results, whose person is the change itself: so it is drawn."""
        return {
            "job": self.job,
            "item": self.face.ordinal,
            "uri": self.uri,
            "outcome": self.outcome,
            "face": face_id(self.job, self.face.ordinal, self.face.face_index),
            "box": [self.face.x1, self.face.y1, self.face.x2, self.face.y2],
            "person": f"{self.was} \u2192 {self.becomes}",
            "confidence": None,
            "quality": {"score": self.face.quality, "reasons": []},
            "error": None,
        }


@dataclass(kw_only=True)
class Changes:
    """How two models differ over stored faces."""

    before: str
    after: str
    tally: Tally
    had: Counter[int] = field(default_factory=Counter)
    """Faces by person, under the first model."""
    has: Counter[int] = field(default_factory=Counter)
    moves: Counter[tuple[int | None, int | None]] = field(default_factory=Counter)
    """Faces by who they were and who they become, where that differs."""
    names: dict[int, str] = field(default_factory=dict)
    first: list[ChangedFace] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; people by how much changes for them."""
        counts = {name: getattr(self.tally, name) for name in ("faces", "changed", "gained", "lost", "renamed")}
        return {
            "before": self.before,
            "after": self.after,
            **counts,
            "without_embedding": self.tally.without_embedding,
            "people": self._people(),
            "moves": [
                {"from": self._name(one), "to": self._name(other), "faces": faces}
                for (one, other), faces in self.moves.most_common()
            ],
            "first": [face.to_json() for face in self.first],
        }

    def _people(self) -> list[dict[str, Any]]:
        lost: Counter[int | None] = Counter()
        gained: Counter[int | None] = Counter()
        for (one, other), faces in self.moves.items():
            lost[one] += faces
            gained[other] += faces
        changed = {person for person in (*lost, *gained) if person is not None}
        return [
            {
                "name": self.names[person],
                "before": self.had[person],
                "after": self.has[person],
                "gained": gained[person],
                "lost": lost[person],
            }
            for person in sorted(changed, key=lambda person: (-gained[person] - lost[person], self.names[person]))
        ]

    def _name(self, person: int | None) -> str | None:
        return None if person is None else self.names[person]


def find_changes(
    session: Session, models: tuple[DecidingModel, DecidingModel], job_id: int | None, limit: int, bar: Bar
) -> Changes:
    """Decide about all faces under both models.

    Args:
        session: a read session.
        models: of one backbone.
        job_id: only faces of this job.
        limit: how many changed faces are kept.
        bar: is told how many faces were looked at.
    """
    merges = load_merges(session)
    changes = Changes(before=models[0].version, after=models[1].version, tally=Tally(merged=merges))
    ids = {int(person) for model in models for person in model.person_ids}
    changes.names = person_names(session, ids | set(merges.values()))
    bar.update(total=max(rescore.count_faces(session, job_id), 1))
    for job in rescore.jobs_with_faces(session, job_id):
        after = -1
        while (page := _read(session, models[0], job, after)) is not None:
            after = page.until
            _compare(session, page, models, changes, limit)
            bar.update(done=changes.tally.faces + changes.tally.without_embedding)
    return changes


def _read(session: Session, model: DecidingModel, job_id: int, after: int) -> StoredPage | None:
    return rescore.read_page(
        session,
        job_id,
        after,
        backbone_sha256=model.backbone_sha256,
        dim=model.gallery.shape[1],
        without_model=None,
    )


def _compare(
    session: Session, page: StoredPage, models: tuple[DecidingModel, DecidingModel], changes: Changes, limit: int
) -> None:
    """Add a page to what changes."""
    prepared = prepare_page(session, page)
    one, other = (_decided(decide_page(prepared, model, loader(session)).new) for model in models)
    merged = changes.tally.merged
    changes.tally.without_embedding += page.without_embedding
    changes.tally.count(Counter(zip(one, other, strict=True)))
    for place, decided in enumerate(zip(one, other, strict=True)):
        before, after = (None if person is None else merged.get(person, person) for _, person in decided)
        _learn_names(session, changes, before, after)
        if before is not None:
            changes.had[before] += 1
        if after is not None:
            changes.has[after] += 1
        if before != after:
            changes.moves[before, after] += 1
        outcomes = decided[0][0], decided[1][0]
        if len(changes.first) < limit and (before != after or outcomes[0] != outcomes[1]):
            changes.first.append(_changed(session, page, place, outcomes, (before, after), changes))


def _decided(new: NewOutcomes) -> list[Named]:
    """Return outcome and person of each face."""
    return list(zip(new.outcomes, new.person_ids, strict=True))


def _learn_names(session: Session, changes: Changes, *people: int | None) -> None:
    """Ask for the names of people whom neither model knows, but somebody said it is."""
    unknown = {person for person in people if person is not None} - changes.names.keys()
    if unknown:
        changes.names |= person_names(session, unknown)


def _changed(
    session: Session,
    page: StoredPage,
    place: int,
    outcomes: tuple[str, str],
    people: tuple[int | None, int | None],
    changes: Changes,
) -> ChangedFace:
    key = (page.job_id, page.ordinals[place], page.face_indices[place])
    query = select(Item.uri, Job.public_id).join(Job, Job.id == Item.job_id)
    uri, job = session.execute(query.where(Item.job_id == key[0], Item.ordinal == key[1])).one()
    was, becomes = (
        FaceOutcome(outcome).replace("_", " ") if person is None else changes.names[person]
        for outcome, person in zip(outcomes, people, strict=True)
    )
    return ChangedFace(
        face=session.get_one(Face, key),
        uri=uri,
        job=job,
        outcome=outcomes[1],
        was=was,
        becomes=becomes,
    )
