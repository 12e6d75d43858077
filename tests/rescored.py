"""Short ways to faces that several models can decide about: models of one backbone, and what they see in a face."""

from dataclasses import replace
from pathlib import Path

from core.models.store import ModelStore
from core.records import FaceEmbedding, FaceOutcome, FaceResult, PersonClass
from db.engine import Database
from db.registry import activate_model, register_model
from tests import ledger
from tests.factories import make_artifact, make_manifest, make_network

BACKBONE = "ab" * 32


def add_model(
    database: Database, artifacts: Path, people: list[tuple[int, str]], *, backbone: str | None = BACKBONE
) -> str:
    """Register and activate a model that takes the n-th drawn face for the n-th of these people; return its version."""
    classes = tuple(PersonClass(person_id=person_id, name=name) for person_id, name in people)
    sha256 = make_artifact(ModelStore(artifacts), classes, backbone_sha256=backbone)
    manifest = make_manifest(classes, backbone_sha256=backbone)
    with database.write() as session:
        document = {**_json(manifest.to_json())}
        model = register_model(session, sha256=sha256, manifest=document, run_id=None, parent_id=None, now=ledger.NOW)
        activate_model(session, model, who="test", why="test", now=ledger.NOW)
        return f"v{model.id}"


def _json(text: str) -> dict[str, object]:
    import json

    return dict(json.loads(text))


def seen_face(
    person: int,
    index: int = 0,
    *,
    like: int | None = None,
    outcome: FaceOutcome = FaceOutcome.UNKNOWN,
    person_id: int | None = None,
) -> FaceResult:
    """A stored face with the embedding of the `person`-th drawn face, half of it another's when `like` is given."""
    vectors = make_network(10).gallery.numpy()
    vector = vectors[person] if like is None else vectors[person] + vectors[like]
    face = ledger.face(index, outcome, person_id)
    box = (200.0 * index, 10.0, 200.0 * index + 100.0, 130.0)
    embedding = FaceEmbedding(backbone_sha256=BACKBONE, vector=vector.astype("<f2").tobytes())
    return replace(face, box_xyxy_px=box, embedding=embedding)
