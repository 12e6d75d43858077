"""Short ways to faces that people speak of: models with a reject rule, ranked faces, and what is stored of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import select

from core.faces.rule import RejectRule
from core.records import FaceOutcome, FaceResult, PhotoResult, RankedPerson, Verdict
from db import labels, registry
from db.engine import Database
from db.people import find_person
from db.redecide import FaceKey
from db.tables import Face, Label
from tests import ledger
from tests.ledger import NOW

RULE = RejectRule(threshold=0.5, margin=0.1, fpir_target=0.01, basis="test", calibration=(-8.0, 10.0, 4.0))


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What is stored of a face, people by id."""

    outcome: str
    person: int | None
    candidate: int | None
    label: int | None
    reasons: tuple[str, ...]


def add_model(database: Database, sha256: str = "e" * 64, rule: RejectRule = RULE) -> int:
    """Register a model with a reject rule; return its id."""
    manifest = {"backbone": "compact", "recipe": "compact", "rule": asdict(rule)}
    with database.write() as session:
        model = registry.register_model(session, sha256=sha256, manifest=manifest, run_id=None, parent_id=None, now=NOW)
        return model.id


def ranked(*ranking: tuple[int, float], index: int = 0, outcome: FaceOutcome | None = None) -> FaceResult:
    """A face with this ranking, as a model with RULE decides it unless told otherwise. Faces lie side by side."""
    (first, similarity), *others = ranking
    lead = similarity - (others[0][1] if others else -1.0)
    decided = FaceOutcome.IDENTIFIED if lead >= RULE.margin else FaceOutcome.AMBIGUOUS
    decided = outcome or (decided if similarity >= RULE.threshold else FaceOutcome.UNKNOWN)
    face = ledger.face(index, decided, first)
    return replace(
        face,
        box_xyxy_px=(200.0 * index, 10.0, 200.0 * index + 100.0, 130.0),
        similarity=similarity,
        top_k=tuple(RankedPerson(person_id=person, similarity=value) for person, value in ranking),
    )


def store(database: Database, model_id: int, *photos: PhotoResult, fpir: float | None = None) -> int:
    """Store photos as a job of one chunk; return the job's id."""
    job_id, (chunk_id,) = ledger.add_job(database, items=len(photos), chunk_size=len(photos), fpir=fpir)
    ledger.finish(database, ledger.must_claim(database, chunk_id), list(photos), model_id)
    return job_id


def key(job_id: int, ordinal: int = 0, face_index: int = 0) -> FaceKey:
    """A stored face."""
    return FaceKey(job_id=job_id, ordinal=ordinal, face_index=face_index)


def say(
    database: Database, faces: FaceKey | Sequence[FaceKey], verdict: Verdict, name: str | None = None, by: str = "eve"
) -> int:
    """Label faces; return the number of new labels."""
    keys = [faces] if isinstance(faces, FaceKey) else list(faces)
    with database.write() as session:
        person = find_person(session, name) if name else None
        return labels.label_faces(session, keys, verdict, person=person, author=by, now=NOW)


def undo(database: Database, face: FaceKey) -> int:
    """Take back what was said of a face last."""
    with database.write() as session:
        return labels.undo_labels(session, [face], author="eve", now=NOW)


def stored(database: Database, face: FaceKey) -> Stored:
    """Read a face."""
    with database.read() as session:
        row = session.get_one(Face, (face.job_id, face.ordinal, face.face_index))
    return Stored(
        outcome=row.outcome,
        person=row.person_id,
        candidate=row.candidate_id,
        label=row.label_id,
        reasons=tuple(row.quality_reasons),
    )


def label_ids(database: Database) -> list[int]:
    """The ids of all labels, oldest first."""
    with database.read() as session:
        return list(session.scalars(select(Label.id).order_by(Label.id)))
