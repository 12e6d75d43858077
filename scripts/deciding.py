"""What a model makes of stored faces: its gallery and rule, without its network, and what people said of the faces.

Writes nothing. The rule is in core/faces/rescore.py, the faces in db/rescore.py.
"""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.errors import InputError
from core.faces.corrections import gate_reasons
from core.records import FaceOutcome, RankedPerson
from core.settings import Settings
from db.corrections import Corrections, read_corrections
from db.ids import model_version
from db.redecide import FaceKey, StoredFace, load_faces
from db.rescore import NewOutcome, StoredPage, labelled_photos_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy.orm import Session

    from core.faces.rescore import Decisions
    from core.faces.rule import RejectRule
    from db.tables import Model


@dataclass(frozen=True, kw_only=True, eq=False)
class DecidingModel:
    """What it takes of a model to decide about embeddings."""

    model_id: int
    backbone_sha256: str
    gallery: "NDArray[np.float32]"
    """[C, D]"""
    person_ids: "NDArray[np.int64]"
    """[C] whom each class stands for."""
    rule: "RejectRule"

    @property
    def version(self) -> str:
        """The version that people see."""
        return model_version(self.model_id)


def load_deciding_model(settings: Settings, model: "Model") -> DecidingModel:
    """Read a model's gallery and rule; its network stays on the disk.

    Raises:
        InputError: its embeddings are not stored, as no other model could use them.
        ModelError: its file is missing or altered.
    """
    import numpy as np

    from core.models.members import open_gallery
    from core.models.store import ModelStore

    version = model_version(model.id)
    if model.manifest.get("backbone_sha256") is None:
        raise InputError(
            f"{version} is a network that was trained from scratch. What such a network sees in a face means nothing "
            "to another and is not stored, so there is nothing to decide from. Nothing was changed; submit the photos "
            "again."
        )
    store = ModelStore.from_settings(settings)
    store.verify(model.sha256)
    found = open_gallery(store.path(model.sha256))
    return DecidingModel(
        model_id=model.id,
        backbone_sha256=str(found.manifest.backbone_sha256),
        gallery=found.gallery,
        person_ids=np.array([person.person_id for person in found.manifest.classes], np.int64),
        rule=found.manifest.rule,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class DecidedPage:
    """What is decided about a page's faces."""

    rows: list[NewOutcome]
    """One a face, in the same order."""
    reasons: dict[int, tuple[str, ...]]
    """Quality reasons of faces, by row, where a person's word makes them others than are stored."""


def decide_page(session: "Session", page: StoredPage, model: DecidingModel) -> DecidedPage:
    """Return what a model makes of a page's faces, under what people said of them.

    All faces are decided about at once; then those are gone through, a few, of whose photos people said something or
    who look like somebody who was merged.
    """
    import numpy as np

    from core.faces.rescore import decide_stored

    spoken_of = labelled_photos_of(session, page)
    corrections = read_corrections(session, list(spoken_of.values()))
    low_quality = np.array(page.low_quality, bool)
    stored = _load_rows(session, page, [row for row, place in enumerate(page.ordinals) if place in spoken_of])
    for row, face in stored.items():
        low_quality[row] = bool(gate_reasons(face.face.quality_reasons))
    decided = decide_stored(page.vectors, low_quality, model.gallery, model.rule)
    rows = _as_rows(decided, model.person_ids)
    merged = np.isin(model.person_ids[decided.nearest], list(corrections.counts_as))
    touched = np.flatnonzero(merged.any(axis=1)).tolist()
    stored |= _load_rows(session, page, [row for row in touched if row not in stored])
    reasons = {}
    for row, face in stored.items():
        rows[row], of_face = _corrected(face, rows[row], corrections, model)
        if of_face != face.face.quality_reasons:
            reasons[row] = of_face
    return DecidedPage(rows=rows, reasons=reasons)


def _load_rows(session: "Session", page: StoredPage, rows: list[int]) -> dict[int, StoredFace]:
    """Return some of a page's faces whole, by row."""
    keys = {
        FaceKey(job_id=page.job_id, ordinal=page.ordinals[row], face_index=page.face_indices[row]): row for row in rows
    }
    return {keys[face.key]: face for face in load_faces(session, list(keys))}


def _corrected(
    stored: StoredFace, new: NewOutcome, corrections: Corrections, model: DecidingModel
) -> tuple[NewOutcome, tuple[str, ...]]:
    """Return what is decided about a face under what people said, and its quality reasons."""
    face = replace(
        stored.face,
        outcome=FaceOutcome(new.outcome),
        person_id=new.person_id,
        candidate_id=new.candidate_id,
        similarity=new.similarity,
        confidence=new.confidence,
        top_k=tuple(RankedPerson(**ranked) for ranked in json.loads(new.top_k)),
    )
    face, label_id = corrections.apply(stored.sha256, face, model.rule, alone=stored.alone)
    row = new._replace(
        outcome=face.outcome.value,
        person_id=face.person_id,
        candidate_id=face.candidate_id,
        similarity=face.similarity,
        confidence=face.confidence,
        label_id=label_id,
    )
    return row, face.quality_reasons


def _as_rows(decided: "Decisions", person_ids: "NDArray[np.int64]") -> list[NewOutcome]:
    """Turn columns into rows: one pass over the faces, with nothing computed in it."""
    from core.faces.rescore import NOBODY, OUTCOMES

    words = [outcome.value for outcome in OUTCOMES]
    named = OUTCOMES.index(FaceOutcome.IDENTIFIED)
    candidates = person_ids[decided.candidates].tolist()
    rows = [
        NewOutcome(
            words[outcome], candidate if outcome == named else None, candidate, similarity, confidence, top, None
        )
        for outcome, candidate, similarity, confidence, top in zip(
            decided.outcomes.tolist(),
            candidates,
            decided.similarities.tolist(),
            decided.confidences.tolist(),
            _rankings(decided, person_ids),
            strict=True,
        )
    ]
    for place in (decided.candidates == NOBODY).nonzero()[0].tolist():
        rows[place] = NewOutcome(words[decided.outcomes[place]], None, None, None, 0.0, "[]", None)
    return rows


def _rankings(decided: "Decisions", person_ids: "NDArray[np.int64]") -> list[str]:
    """Return each face's ranking as JSON. Seven digits say all that a float32 holds."""
    columns: list[list[float]] = []
    for place in range(decided.nearest.shape[1]):
        columns.append(person_ids[decided.nearest[:, place]].tolist())
        columns.append(decided.nearest_similarities[:, place].tolist())
    entry = '{"person_id":%d,"similarity":%.7g}'
    line = "[" + ",".join([entry] * decided.nearest.shape[1]) + "]"
    return [line % row for row in zip(*columns, strict=True)]
