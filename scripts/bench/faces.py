"""Made-up faces of a ledger, for `facefleet bench rescore`: embeddings, rows, and a model that knows some people."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.clock import utc_now
from core.faces.rule import RejectRule
from core.records import ChunkState, FaceOutcome, FacesMode, ItemOutcome, JobState, ModelState, RankedPerson
from db.bulk import Bulk, json_text
from db.rankings import pack_ranking
from db.tables import Chunk, Embedding, Face, Item, Job, Model, Person
from scripts.deciding import DecidingModel

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.engine import Database

_DIM = 256
_CHUNK = 128
_PAGE = 80 * _CHUNK
_BACKBONE = "ab" * 32
_RULE = RejectRule(threshold=0.45, margin=0.05, fpir_target=0.01, basis="made up", calibration=(-8.0, 10.0, 4.0))
_LANDMARKS = json_text([[30.5, 60.25], [90.5, 60.25], [60.5, 90.75], [40.25, 110.5], [80.25, 110.5]])


@dataclass(frozen=True, kw_only=True, eq=False)
class MadeUpFaces:
    """Embeddings of faces, and a model that knows some of them."""

    count: int
    stored: bytes
    """One after the other, as they are stored."""
    model: DecidingModel
    """Has the number 2; the faces were decided by number 1."""
    retrained: DecidingModel
    """Has the number 3, and sees people a little differently: hardly a name changes, and every similarity."""

    @property
    def row_bytes(self) -> int:
        """Of one embedding."""
        return 2 * _DIM


def make_faces(count: int, people: int) -> MadeUpFaces:
    """Make faces up: every other one of somebody whom the model knows, the rest of nobody."""
    drawn = np.random.default_rng(0)
    middles = drawn.standard_normal((people, _DIM), dtype=np.float32)
    parts = []
    for start in range(0, count, _PAGE):
        size = min(_PAGE, count - start)
        faces = drawn.standard_normal((size, _DIM), dtype=np.float32)
        faces[::2] += 1.2 * middles[drawn.integers(0, people, len(faces[::2]))]
        faces /= np.linalg.norm(faces, axis=1, keepdims=True)
        parts.append(faces.astype("<f2").tobytes())
    gallery = middles / np.linalg.norm(middles, axis=1, keepdims=True)
    model = DecidingModel(
        model_id=2, backbone_sha256=_BACKBONE, gallery=gallery, person_ids=np.arange(1, people + 1), rule=_RULE
    )
    moved = gallery + 0.002 * drawn.standard_normal(gallery.shape, dtype=np.float32)
    retrained = replace(model, model_id=3, gallery=moved / np.linalg.norm(moved, axis=1, keepdims=True))
    return MadeUpFaces(count=count, stored=b"".join(parts), model=model, retrained=retrained)


def store_faces(database: "Database", faces: MadeUpFaces) -> None:
    """Store faces as one job that is done, each alone in its photo, unknown under the model number 1."""
    now = utc_now()
    people = len(faces.model.gallery)
    with database.write() as session:
        names = [f"Person {number}" for number in range(people)]
        session.add_all(Person(name=name, name_key=name.lower(), created_at=now) for name in names)
        for number in (1, 2, 3):
            made_up: dict[str, Any] = {"backbone": "made up", "recipe": "made up", "manifest": {}}
            session.add(Model(id=number, sha256=str(number) * 64, state=ModelState.RETIRED, created_at=now, **made_up))
        session.add(_job(faces.count))
    for start in range(0, faces.count, _PAGE):
        with database.write() as session:
            _store_page(session.connection(), faces, range(start, min(start + _PAGE, faces.count)))


def _job(count: int) -> Job:
    now = utc_now()
    return Job(
        id=1,
        public_id="jbench",
        name="made up",
        request_digest="0" * 64,
        faces_mode=FacesMode.DETECT,
        state=JobState.DONE,
        total=count,
        items_faces=count,
        faces_unknown=count,
        created_at=now,
        touched_at=now,
        finished_at=now,
    )


def _store_page(connection: "Connection", faces: MadeUpFaces, ordinals: range) -> None:
    bulk, size = Bulk(connection), faces.row_bytes
    ranking = pack_ranking([RankedPerson(person_id=person, similarity=0.25) for person in range(1, 6)])
    at = bulk.time(utc_now())
    items = ("job_id", "ordinal", "uri", "outcome", "sha256", "width_px", "height_px", "model_id", "decided_at")
    bulk.insert(
        Item,
        items,
        set(),
        ((1, n, f"/album/{n:08}.jpg", ItemOutcome.FACES.value, f"{n:064x}", 640, 480, 1, at) for n in ordinals),
    )
    box = ("x1", "y1", "x2", "y2", "landmarks_px", "quality", "quality_reasons")
    decided = ("outcome", "candidate_id", "similarity", "confidence", "ranking", "top_k", "model_id")
    row = (10.0, 20.0, 110.0, 140.5, _LANDMARKS, 0.75, "[]", FaceOutcome.UNKNOWN.value, 1, 0.25, 0.1, ranking, "[]", 1)
    bulk.insert(
        Face,
        ("job_id", "ordinal", "face_index", *box, *decided),
        {"landmarks_px", "quality_reasons", "top_k"},
        ((1, n, 0, *row) for n in ordinals),
    )
    chunks = ((1, n, min(_CHUNK, ordinals.stop - n), ChunkState.DONE.value, 1, at) for n in ordinals[::_CHUNK])
    columns = ("job_id", "first_ordinal", "item_count", "state", "attempts", "done_at")
    bulk.insert(Chunk, columns, set(), chunks)
    backbone = bytes.fromhex(_BACKBONE)
    bulk.insert(
        Embedding,
        ("job_id", "ordinal", "face_index", "backbone_sha256", "vector"),
        set(),
        ((1, n, 0, backbone, faces.stored[n * size : (n + 1) * size]) for n in ordinals),
    )
