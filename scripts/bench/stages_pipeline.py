"""The pipeline of a worker with a stopwatch, one stage after the other on one core: the same functions and chunks.

Reading and computing overlap in a worker; here they do not, so that each stage has its own cost.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from core.clock import utc_now
from core.faces.match import decide
from core.finding import FaceCrop, FaceSource, PreparedPhoto
from core.outcomes import SeenFace, embeddings_to_keep, photo_result
from core.reading import LoadedPhoto, PhotoLoader, find_faces
from core.records import PhotoResult, PhotoTask
from db import chunks
from db.claims import claim_due_chunk
from db.engine import Database
from db.registry import ServingModel
from scripts.bench.processes import Work
from scripts.bench.stopwatch import Stopwatch
from workers.spec import NodeSpec

if TYPE_CHECKING:
    from core.errors import PhotoError
    from core.faces.detect import Detections, Detector
    from core.faces.detect_scale import ScaledPhoto
    from core.models.engine import Engine

STAGES = {
    "claim": "Take a chunk and read its photos' names from the database",
    "read": "Read the file and hash it",
    "decode": "Decode it, and scale it for the detector or the network",
    "detect": "Find its faces",
    "landmarks": "Look at each face again for better landmarks",
    "align": "Cut the faces out, and judge their quality",
    "embed": "Run the network",
    "decide": "Compare with the gallery, apply the reject rule",
    "store": "Write items, faces and embeddings, and commit",
}
"""What each stage is, in the order of the pipeline."""


def set_up(spec: NodeSpec, model: ServingModel) -> tuple[str, Work]:
    """Load the model on the first slot's cores; the process then works off all chunks that are due.

    It is sent the number of chunks that only warm it up, and answers what the others took.
    """
    from scripts.bench.bare import load_on_slot

    engine = load_on_slot(spec, model.sha256, 0)
    pipeline = _Pipeline(spec, model, engine)

    def work(warming: Any) -> dict[str, Any]:
        for _ in range(warming):
            pipeline.work_off_one()
        pipeline.forget()
        while pipeline.work_off_one():
            pass
        return pipeline.spent()

    return engine.variant, work


class _Pipeline:
    """A worker's parts, with a stopwatch between them."""

    def __init__(self, spec: NodeSpec, model: ServingModel, engine: "Engine") -> None:
        from core.images.decode import DecodeLimits
        from core.images.read import PhotoReader
        from core.recognise import face_source

        settings = spec.settings
        self._settings, self._model, self._engine = settings, model, engine
        self._people = [person.person_id for person in engine.manifest.classes]
        self._database = Database.from_settings(settings)
        limits = DecodeLimits.from_settings(settings)
        self.forget()
        self._looks = _TimedDetector(engine.detector, self)
        source = face_source(engine, limits)
        if engine.detector is not None:
            source = replace(cast("Any", source), detector=self._looks)
        self._source = _TimedSource(source, self)
        self._loader = PhotoLoader(
            reader=PhotoReader.from_settings(settings), source=self._source, timeout_s=limits.timeout_s
        )

    def forget(self) -> None:
        """Begin to measure anew."""
        self.watch = Stopwatch()
        self.canvases: Counter[tuple[int, int]] = Counter()
        self._photos = self._faces = 0

    def spent(self) -> dict[str, Any]:
        """Return what was measured."""
        return {
            "photos": self._photos,
            "faces": self._faces,
            "canvases": list(self.canvases.items()),
            "stages": {name: (spent.wall_s, spent.computing_s) for name, spent in self.watch.stages.items()},
        }

    def work_off_one(self) -> bool:
        """Work off one chunk; return whether there was one."""
        settings = self._settings
        with self.watch.stage("claim"), self._database.write() as session:
            lease = claim_due_chunk(session, "bench/0", utc_now(), settings.lease_s, settings.interactive_photos)
            tasks = chunks.load_tasks(session, lease) if lease is not None else []
        if lease is None:
            return False
        results = self._identify(tasks)
        with self.watch.stage("store"), self._database.write() as session:
            chunks.finish_chunk(session, lease, results, self._model.model_id, utc_now())
        self._photos += len(results)
        self._faces += sum(len(result.faces) for result in results)
        return True

    def _identify(self, tasks: Sequence[PhotoTask]) -> list[PhotoResult]:
        results: list[PhotoResult] = []
        for start in range(0, len(tasks), self._engine.batch_size):
            with self.watch.stage("read"):
                loaded = [self._loader.load(task) for task in tasks[start : start + self._engine.batch_size]]
            with self.watch.stage("align"):
                photos = find_faces(self._source, loaded)
            results.extend(self._settle(photos))
        return results

    def _settle(self, photos: Sequence[LoadedPhoto]) -> list[PhotoResult]:
        """Embed the faces of a batch of photos and decide about them."""
        crops = [crop for photo in photos for crop in photo.crops]
        if not crops:
            return [photo_result(photo, [], self._people) for photo in photos]
        with self.watch.stage("embed"):
            pixels = np.stack([crop.pixels for crop in crops])
            embeddings, logits = self._engine.run(pixels.transpose(0, 3, 1, 2))
        with self.watch.stage("decide"):
            manifest = self._engine.manifest
            matches = decide(embeddings, logits, self._engine.gallery, manifest.rule)
            kept = embeddings_to_keep(embeddings, manifest.backbone_sha256)
            rows = zip(crops, matches, kept, strict=True)
            seen = iter([SeenFace(crop=crop, match=match, embedding=vector) for crop, match, vector in rows])
            return [photo_result(photo, [next(seen) for _ in photo.crops], self._people) for photo in photos]


class _TimedSource:
    """A source of faces whose preparing is a stage of its own."""

    def __init__(self, source: FaceSource, pipeline: _Pipeline) -> None:
        self._source = source
        self._pipeline = pipeline

    def prepare(self, data: bytes) -> PreparedPhoto:
        """Prepare a photo."""
        with self._pipeline.watch.stage("decode"):
            return self._source.prepare(data)

    def find(self, photos: Sequence[PreparedPhoto]) -> "list[tuple[FaceCrop, ...] | PhotoError]":
        """Find the faces of photos."""
        return self._source.find(photos)


class _TimedDetector:
    """A detector whose two kinds of looks are stages of their own, and which counts the sizes that it was shown."""

    def __init__(self, detector: "Detector | None", pipeline: _Pipeline) -> None:
        self._detector = cast("Detector", detector)
        self._pipeline = pipeline

    def detect(self, photos: "Sequence[ScaledPhoto]") -> "list[Detections]":
        """Find faces."""
        self._count(photos)
        with self._pipeline.watch.stage("detect"):
            return self._detector.detect(photos)

    def look(self, photos: "Sequence[ScaledPhoto]") -> "list[Detections]":
        """Look at faces again."""
        self._count(photos)
        with self._pipeline.watch.stage("landmarks"):
            return self._detector.look(photos)

    def _count(self, photos: "Sequence[ScaledPhoto]") -> None:
        from core.faces.detect_scale import canvas_of

        self._pipeline.canvases.update(canvas_of(photo) for photo in photos)
