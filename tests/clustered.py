"""Short ways to faces with embeddings: models of a pretrained backbone, people at right angles, clusters of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from core.records import FaceEmbedding, FaceResult, PhotoResult
from db import registry
from db.engine import Database
from db.redecide import FaceKey
from tests import ledger
from tests.labelled import RULE, ranked, store
from tests.ledger import NOW

BACKBONE = "b" * 64
DIM = 32
Vector = NDArray[np.float32]


def add_model(database: Database, sha256: str = "e" * 64, backbone: str | None = BACKBONE) -> int:
    """Register a model with a reject rule and let it serve; return its id."""
    manifest = {"backbone": "net", "recipe": "head", "rule": asdict(RULE), "backbone_sha256": backbone}
    with database.write() as session:
        model = registry.register_model(session, sha256=sha256, manifest=manifest, run_id=None, parent_id=None, now=NOW)
        registry.activate_model(session, model, who="eve", why="test", now=NOW)
        return model.id


def person_vector(person: int, photo: int) -> Vector:
    """An embedding of somebody, people being at right angles: two of one person have a similarity of about 0.81."""
    noise = np.random.default_rng((person, photo)).standard_normal(DIM)
    noise[person] = 0.0
    vector = 0.9 * np.eye(DIM)[person] + np.sqrt(1 - 0.81) * noise / np.linalg.norm(noise)
    return vector.astype(np.float32)


def embedded(face: FaceResult, vector: Vector, backbone: str = BACKBONE) -> FaceResult:
    """A face with its embedding."""
    stored = FaceEmbedding(backbone_sha256=backbone, vector=vector.astype("<f2").tobytes())
    return replace(face, embedding=stored)


def photo_of(ordinal: int, person: int, photo: int, candidate: int, similarity: float = 0.3) -> PhotoResult:
    """A photo of one face that gets no name; the same person and photo number are the same bytes."""
    sha256 = hashlib.sha256(f"{person}/{photo}".encode()).hexdigest()
    face = embedded(ranked((candidate, similarity)), person_vector(person, photo))
    return replace(ledger.result(ordinal, face), sha256=sha256)


def store_people(
    database: Database, model_id: int, candidate: int, shown: Sequence[tuple[int, int]]
) -> tuple[int, list[FaceKey]]:
    """Store a job with a photo of each (person, photo number); return its id and its faces."""
    photos = [photo_of(ordinal, person, photo, candidate) for ordinal, (person, photo) in enumerate(shown)]
    job_id = store(database, model_id, *photos)
    return job_id, [FaceKey(job_id=job_id, ordinal=ordinal, face_index=0) for ordinal in range(len(shown))]
