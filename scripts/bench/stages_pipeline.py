"""The pipeline of a worker, timed, one stage after the other on one core: the same functions and chunks.

Reading and computing overlap in a worker; here they do not, so that each stage has its own cost.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from core.clock import utc_now
from core.faces.match import decide
from core.outcomes import SeenFace, embeddings_to_keep, photo_result
from core.reading import LoadedPhoto, PhotoLoader, find_faces
from core.records import PhotoResult, PhotoTask
from core.stages import Stage, StageTimes
from db import chunks
from db.claims import claim_due_chunk
from db.engine import Database
from db.registry import ServingModel
from scripts.bench.processes import Work
from workers.spec import NodeSpec

if TYPE_CHECKING:
    from core.faces.detect import Detections, Detector
    from core.faces.detect_scale import ScaledPhoto
    from core.models.engine import Engine


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
    """A worker's parts, timed."""

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
        self._source = face_source(engine, limits, self._time_stage)
        if engine.detector is not None:
            counted = _CountedDetector(engine.detector, self)
            self._source = replace(cast("Any", self._source), detector=counted)
        self._loader = PhotoLoader(
            reader=PhotoReader.from_settings(settings),
            source=self._source,
            timeout_s=limits.timeout_s,
            time_stage=self._time_stage,
        )

    def forget(self) -> None:
        """Begin to measure anew."""
        self._times = StageTimes()
        self.canvases: Counter[tuple[int, int]] = Counter()
        self._photos = self._faces = 0

    def spent(self) -> dict[str, Any]:
        """Return what was measured."""
        return {
            "photos": self._photos,
            "faces": self._faces,
            "canvases": list(self.canvases.items()),
            "stages": {name: (spent.wall_s, spent.computing_s) for name, spent in self._times.spent().items()},
        }

    def _time_stage(self, stage: Stage) -> AbstractContextManager[None]:
        return self._times.stage(stage)

    def work_off_one(self) -> bool:
        """Work off one chunk; return whether there was one."""
        settings = self._settings
        with self._time_stage(Stage.CLAIM), self._database.write() as session:
            lease = claim_due_chunk(session, "bench/0", utc_now(), settings.lease_s, settings.interactive_photos)
            tasks = chunks.load_tasks(session, lease) if lease is not None else []
        if lease is None:
            return False
        results = self._identify(tasks)
        with self._time_stage(Stage.STORE), self._database.write() as session:
            chunks.finish_chunk(session, lease, results, self._model.model_id, utc_now())
        self._photos += len(results)
        self._faces += sum(len(result.faces) for result in results)
        return True

    def _identify(self, tasks: Sequence[PhotoTask]) -> list[PhotoResult]:
        results: list[PhotoResult] = []
        for start in range(0, len(tasks), self._engine.batch_size):
            loaded = [self._loader.load(task) for task in tasks[start : start + self._engine.batch_size]]
            results.extend(self._settle(find_faces(self._source, loaded)))
        return results

    def _settle(self, photos: Sequence[LoadedPhoto]) -> list[PhotoResult]:
        """Embed the faces of a batch of photos and decide about them."""
        crops = [crop for photo in photos for crop in photo.crops]
        if not crops:
            return [photo_result(photo, [], self._people) for photo in photos]
        with self._time_stage(Stage.EMBED):
            pixels = np.stack([crop.pixels for crop in crops])
            embeddings, logits = self._engine.run(pixels.transpose(0, 3, 1, 2))
        with self._time_stage(Stage.DECIDE):
            manifest = self._engine.manifest
            matches = decide(embeddings, logits, self._engine.gallery, manifest.rule)
            kept = embeddings_to_keep(embeddings, manifest.backbone_sha256)
            rows = zip(crops, matches, kept, strict=True)
            seen = iter([SeenFace(crop=crop, match=match, embedding=vector) for crop, match, vector in rows])
            return [photo_result(photo, [next(seen) for _ in photo.crops], self._people) for photo in photos]


class _CountedDetector:
    """A detector that counts the sizes that it was shown."""

    def __init__(self, detector: "Detector", pipeline: _Pipeline) -> None:
        self._detector = detector
        self._pipeline = pipeline

    def detect(self, photos: "Sequence[ScaledPhoto]") -> "list[Detections]":
        """Find faces."""
        self._count(photos)
        return self._detector.detect(photos)

    def look(self, photos: "Sequence[ScaledPhoto]") -> "list[Detections]":
        """Look at faces again."""
        self._count(photos)
        return self._detector.look(photos)

    def _count(self, photos: "Sequence[ScaledPhoto]") -> None:
        from core.faces.detect_scale import canvas_of

        self._pipeline.canvases.update(canvas_of(photo) for photo in photos)
