"""What a model makes of stored faces: its gallery and rule, without its network, and what people said of the faces.

Writes nothing. The rule is in core/faces/rescore.py, the faces in db/rescore.py.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.errors import InputError
from core.faces.corrections import gate_reasons
from core.records import FaceOutcome
from core.settings import Settings
from db.corrections import Corrections, fpir_of_job, read_corrections
from db.ids import model_version
from db.rankings import ENTRY_FIELDS, unpack_ranking
from db.redecide import FaceKey, StoredFace, load_faces
from db.rescore import NewOutcomes, StoredPage, labelled_photos_of
from db.review_order import NEAR, review_order

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
class PageToDecide:
    """What the ledger knows of a page's faces: all that it takes to decide about them, under any model."""

    page: StoredPage
    corrections: Corrections
    """What people said of its photos."""
    spoken_of: dict[int, StoredFace]
    """Faces of those photos, by row."""
    fpir: float | None
    """The share of strangers that their job asked for; None when it asked for none."""


Named = tuple[str, int | None]
"""The outcome of a face, and the person."""
Moves = Mapping[tuple[Named, Named], int]
"""What faces were before, and what they are now: of how many that is so."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DecidedPage:
    """What is decided about a page's faces."""

    page: StoredPage
    """Without the embeddings: nobody asks for them any more."""
    new: NewOutcomes
    reasons: dict[int, tuple[str, ...]]
    """Quality reasons of faces, by row, where a person's word makes them others than are stored."""

    def moves(self) -> Moves:
        """Count what became of the faces."""
        before, after = (zip(part.outcomes, part.person_ids, strict=True) for part in (self.page, self.new))
        return Counter(zip(before, after, strict=True))


Loader = Callable[[Sequence[FaceKey]], Sequence[StoredFace]]
"""Reads stored faces."""


def prepare_page(session: "Session", page: StoredPage) -> PageToDecide:
    """Read what people said of a page's photos, and what its job asked for."""
    photos = labelled_photos_of(session, page)
    rows = [row for row, ordinal in enumerate(page.ordinals) if ordinal in photos]
    return PageToDecide(
        page=page,
        corrections=read_corrections(session, list(photos.values())),
        spoken_of=_by_row(page, rows, loader(session)),
        fpir=fpir_of_job(session, page.job_id),
    )


def loader(session: "Session") -> Loader:
    """Return what reads stored faces in a session."""
    return lambda keys: load_faces(session, keys)


def decide_page(prepared: PageToDecide, model: DecidingModel, load: Loader) -> DecidedPage:
    """Return what a model makes of a page's faces, under what people said of them.

    All faces are decided about at once; then those are gone through, a few, of whose photos people said something or
    who look like somebody who was merged. The ledger is asked about the latter alone.
    """
    import numpy as np

    from core.faces.rescore import decide_stored

    page, corrections, faces = prepared.page, prepared.corrections, dict(prepared.spoken_of)
    low_quality = np.array(page.low_quality, bool)
    for row, face in faces.items():
        low_quality[row] = bool(gate_reasons(face.face.quality_reasons))
    model = replace(model, rule=model.rule.for_job(prepared.fpir))
    decided = decide_stored(page.vectors, low_quality, model.gallery, model.rule)
    new = _as_columns(decided, model.person_ids, model.rule.threshold)
    if corrections.counts_as:
        merged = np.isin(model.person_ids[decided.nearest], list(corrections.counts_as)).any(axis=1)
        faces |= _by_row(page, [row for row in np.flatnonzero(merged).tolist() if row not in faces], load)
    reasons = {}
    for row, face in faces.items():
        of_face = _correct(new, row, face, corrections, model)
        if of_face != face.face.quality_reasons:
            reasons[row] = of_face
    return DecidedPage(page=replace(page, vectors=b""), new=new, reasons=reasons)


def _by_row(page: StoredPage, rows: list[int], load: Loader) -> dict[int, StoredFace]:
    """Return some of a page's faces whole, by row."""
    keys = {
        FaceKey(job_id=page.job_id, ordinal=page.ordinals[row], face_index=page.face_indices[row]): row for row in rows
    }
    return {keys[face.key]: face for face in load(list(keys))}


def _correct(
    new: NewOutcomes, row: int, stored: StoredFace, corrections: Corrections, model: DecidingModel
) -> tuple[str, ...]:
    """Put a face's outcome in line with what people said; return its quality reasons."""
    face = replace(
        stored.face,
        outcome=FaceOutcome(new.outcomes[row]),
        person_id=new.person_ids[row],
        candidate_id=new.candidate_ids[row],
        similarity=new.similarities[row],
        confidence=new.confidences[row],
        top_k=unpack_ranking(new.rankings[row]),
    )
    face, label_id = corrections.apply(stored.sha256, face, model.rule, alone=stored.alone)
    new.outcomes[row] = face.outcome.value
    new.person_ids[row] = face.person_id
    new.candidate_ids[row] = face.candidate_id
    new.similarities[row] = face.similarity
    new.confidences[row] = face.confidence
    new.label_ids[row] = label_id
    new.review_orders[row] = review_order(face.outcome, face.similarity, model.rule.threshold)
    return face.quality_reasons


def _as_columns(decided: "Decisions", person_ids: "NDArray[np.int64]", threshold: float) -> NewOutcomes:
    """Turn classes into people, and numbers into what the ledger holds."""
    import numpy as np

    from core.faces.rescore import NOBODY, OUTCOMES

    words = np.array([outcome.value for outcome in OUTCOMES], object)
    candidates = person_ids[decided.candidates].tolist()
    outcomes, similarities = words[decided.outcomes].tolist(), decided.similarities.tolist()
    named = (decided.outcomes == OUTCOMES.index(FaceOutcome.IDENTIFIED)).tolist()
    new = NewOutcomes(
        outcomes=outcomes,
        person_ids=[person if is_named else None for person, is_named in zip(candidates, named, strict=True)],
        candidate_ids=candidates,
        similarities=similarities,
        confidences=decided.confidences.tolist(),
        rankings=_rankings(decided, person_ids),
        label_ids=[None] * len(decided),
        review_orders=[None] * len(decided),
    )
    ambiguous = decided.outcomes == OUTCOMES.index(FaceOutcome.AMBIGUOUS)
    for row in np.flatnonzero(ambiguous | (np.abs(decided.similarities - threshold) < 2 * NEAR)).tolist():
        new.review_orders[row] = review_order(outcomes[row], similarities[row], threshold)
    for row in np.flatnonzero(decided.candidates == NOBODY).tolist():
        new.candidate_ids[row] = new.similarities[row] = new.review_orders[row] = None
        new.rankings[row] = b""
    return new


def _rankings(decided: "Decisions", person_ids: "NDArray[np.int64]") -> list[bytes]:
    """Return each face's ranking as it is stored."""
    import numpy as np

    entries = np.empty(decided.nearest.shape, ENTRY_FIELDS)
    entries["person_id"] = person_ids[decided.nearest]
    entries["similarity"] = decided.nearest_similarities
    packed, size = entries.tobytes(), entries.itemsize * decided.nearest.shape[1]
    return [packed[start : start + size] for start in range(0, len(packed), size)]
