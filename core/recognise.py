"""The pipeline: photos in, one outcome each out, in the same order. Reading and decoding run ahead of the network.

Stores nothing and retries nothing.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from core.errors import InputError
from core.faces.match import decide
from core.finding import FaceCrop, FaceSource, WholePhotos
from core.outcomes import SeenFace, embeddings_to_keep, photo_result
from core.prefetch import Prefetcher
from core.reading import LoadedPhoto, PhotoLoader, Reader, find_faces
from core.records import FacesMode, PhotoResult, PhotoTask
from core.stages import Stage, TimeStage, untimed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.faces.rule import RejectRule
    from core.images.decode import DecodeLimits
    from core.models.engine import Engine

    Answer = tuple[NDArray[np.float32], NDArray[np.float32]]

_log = logging.getLogger(__name__)

_BATCHES_AHEAD = 2
_HELD_BYTES = 192 << 20
"""Of decoded photos, about, while they wait to be looked at, and again while they are: a photo of 12 megapixels takes
36 MB. One that is larger than this waits alone."""
_PROGRESS_EVERY_S = 1.0
_OTHER_MODE = {
    FacesMode.CROP: (
        "This model was trained on photos that are one face each, so it cannot look for faces in photographs. "
        "Nothing was done; submit face crops with --faces crop."
    ),
    FacesMode.DETECT: (
        "This model was trained on faces found in photographs, so it cannot take a photo as a face crop. "
        "Nothing was done; submit the photos with --faces detect."
    ),
}
"""What to say of photos of the other kind, by what the model was trained on."""


class Recogniser:
    """Recognises photos with one model at a time. Keeps its reading threads between calls; one call at a time.

    Args:
        reader: gives the photos' bytes.
        engine: the model.
        limits: what may be decoded, and how long reading and decoding one photo may take.
        read_threads: photos read and decoded at once, >= 1.
        may_halve: whether a batch that failed like this is to be tried once more in two halves.
        time_stage: times the stages.
    """

    def __init__(
        self,
        reader: Reader,
        engine: "Engine",
        limits: "DecodeLimits",
        *,
        read_threads: int,
        may_halve: Callable[[Exception], bool] = lambda _: False,
        time_stage: TimeStage = untimed,
    ) -> None:
        self._reader = reader
        self._time_stage = time_stage
        self._may_halve = may_halve
        self._limits = limits
        ahead = _BATCHES_AHEAD * engine.batch_size
        self._prefetcher = Prefetcher(
            threads=read_threads, ahead=ahead, timeout_s=limits.timeout_s, most_weight=_HELD_BYTES
        )
        self.use_engine(engine)

    @property
    def stuck_threads(self) -> int:
        """Reading threads that hang in a photo and were given up: a reason to start the process anew when they grow."""
        return self._prefetcher.stuck_threads

    @property
    def mode(self) -> FacesMode:
        """What the model was trained on, and the only kind of photos that it takes."""
        return self._engine.manifest.faces

    @property
    def engine(self) -> "Engine":
        """The model, loaded."""
        return self._engine

    def use_engine(self, engine: "Engine") -> None:
        """Recognise with another model from the next call on."""
        self._engine = engine
        self._source = face_source(engine, self._limits, self._time_stage)
        size = engine.manifest.input_size_px
        self._batch = np.empty((engine.batch_size, size, size, 3), np.uint8)

    def recognise(
        self,
        tasks: Sequence[PhotoTask],
        on_progress: Callable[[int], None] | None = None,
        *,
        faces: FacesMode = FacesMode.CROP,
        fpir: float | None = None,
    ) -> list[PhotoResult]:
        """Look at photos.

        Args:
            tasks: the photos.
            on_progress: called on this thread with the number of photos that have their outcome, after every batch
                and about every second while photos are slow to come. What it raises ends the call.
            faces: whether each photo is one face, or faces are to be found in it.
            fpir: share of strangers that may get a name, within core.faces.rule.FPIR_RANGE; None: as the model was
                trained for.

        Returns:
            One outcome a task, in the same order. A photo that cannot be used has an error and harms no other.

        Raises:
            InputError: the model does not serve this mode.
            RuntimeError: the device failed; no photo is to blame.
        """
        self._check_mode(faces)
        loader = PhotoLoader(
            reader=self._reader,
            source=self._source,
            timeout_s=self._limits.timeout_s,
            time_stage=self._time_stage,
        )
        rule = self._engine.manifest.rule.for_job(fpir)
        results: list[PhotoResult] = []
        progress = _Progress(results, on_progress)
        loading = self._prefetcher.map(
            loader.load, loader.too_slow, tasks, progress.tick, weigh=lambda photo: photo.held_bytes
        )
        with closing(loading) as photos:
            for group in self._groups(photos, progress.tick):
                results.extend(self._settle(group, rule))
                progress.report()
        return results

    def close(self) -> None:
        """Let the reading threads end."""
        self._prefetcher.close()

    def _check_mode(self, mode: FacesMode) -> None:
        """Refuse photos of another kind than the model was trained on: its answers would mean nothing.

        Raises:
            InputError: the model does not serve this mode.
        """
        if mode is not self.mode:
            raise InputError(_OTHER_MODE[self.mode])

    def _groups(self, photos: Iterable[LoadedPhoto], on_photo: Callable[[], None]) -> Iterator[list[LoadedPhoto]]:
        """Find faces, a batch of photos at a time, and gather photos until their faces fill a batch."""
        size = self._engine.batch_size
        group: list[LoadedPhoto] = []
        for some in self._awaited(_batched(photos, size, on_photo)):
            for photo in find_faces(self._source, some):
                group.append(photo)
                if sum(len(each.crops) for each in group) >= size:
                    yield group
                    group = []
        if group:
            yield group

    def _awaited(self, batches: Iterator[list[LoadedPhoto]]) -> Iterator[list[LoadedPhoto]]:
        """Pass batches on, and time how long each is awaited."""
        while True:
            with self._time_stage(Stage.AWAIT):
                some = next(batches, None)
            if some is None:
                return
            yield some

    def _settle(self, photos: list[LoadedPhoto], rule: "RejectRule") -> list[PhotoResult]:
        """Give every photo of a group its outcome."""
        with self._time_stage(Stage.DECIDE):  # but for the network's run
            seen = iter(self._look_at([crop for photo in photos for crop in photo.crops], rule))
            people = [person.person_id for person in self._engine.manifest.classes]
            return [photo_result(photo, [next(seen) for _ in photo.crops], people) for photo in photos]

    def _look_at(self, crops: list[FaceCrop], rule: "RejectRule") -> list[SeenFace]:
        """Run the network over crops, batch by batch, and decide."""
        manifest = self._engine.manifest
        seen: list[SeenFace] = []
        for start in range(0, len(crops), len(self._batch)):
            part = crops[start : start + len(self._batch)]
            with self._time_stage(Stage.EMBED):
                for row, crop in enumerate(part):
                    self._batch[row] = crop.pixels
                channels_first: NDArray[np.uint8] = self._batch[: len(part)].transpose(0, 3, 1, 2)
                embeddings, logits = self._run(channels_first)
            matches = decide(embeddings, logits, self._engine.gallery, rule)
            kept = embeddings_to_keep(embeddings, manifest.backbone_sha256)
            seen.extend(
                SeenFace(crop=crop, match=match, embedding=e)
                for crop, match, e in zip(part, matches, kept, strict=True)
            )
        return seen

    def _run(self, batch: "NDArray[np.uint8]") -> "Answer":
        """Run the network over one batch; where that may help, over its halves."""
        answer = self._try(batch)
        if answer is not None:
            return answer
        half = (len(batch) + 1) // 2
        first, second = self._engine.run(batch[:half]), self._engine.run(batch[half:])
        return np.concatenate((first[0], second[0])), np.concatenate((first[1], second[1]))

    def _try(self, batch: "NDArray[np.uint8]") -> "Answer | None":
        """Run the network over one batch; return None when it is to be halved."""
        try:
            return self._engine.run(batch)
        except Exception as error:
            if len(batch) == 1 or not self._may_halve(error):
                raise
            _log.warning("a batch of %d is run in two halves: %s", len(batch), error)
        return None  # and the error is forgotten: its frames hold the memory that the halves need


class _Progress:
    """Tells the caller how many photos are settled: when asked to, or when it has heard nothing for a while."""

    def __init__(self, results: list[PhotoResult], on_progress: Callable[[int], None] | None) -> None:
        self._results = results
        self._on_progress = on_progress
        self._last_s = time.monotonic()

    def report(self) -> None:
        """Tell it now."""
        self._last_s = time.monotonic()
        if self._on_progress is not None:
            self._on_progress(len(self._results))

    def tick(self) -> None:
        """Tell it if that is due."""
        if time.monotonic() - self._last_s >= _PROGRESS_EVERY_S:
            self.report()


def face_source(engine: "Engine", limits: "DecodeLimits", time_stage: TimeStage = untimed) -> FaceSource:
    """Return what makes photos the crops that a model was trained on."""
    manifest = engine.manifest
    if engine.detector is None or manifest.template is None:
        return WholePhotos(limits=limits, size_px=manifest.input_size_px)
    from core.faces.quality import QualityGate
    from core.photographs import FoundFaces

    return FoundFaces(
        limits=limits,
        detector=engine.detector,
        template=manifest.template,
        size_px=manifest.input_size_px,
        gate=QualityGate(),
        time_stage=time_stage,
    )


def _batched(photos: Iterable[LoadedPhoto], size: int, on_photo: Callable[[], None]) -> Iterator[list[LoadedPhoto]]:
    """Gather photos in lists of `size`, or of fewer that fill the memory there is for them."""
    some: list[LoadedPhoto] = []
    for photo in photos:
        some.append(photo)
        on_photo()
        if len(some) == size or sum(each.held_bytes for each in some) >= _HELD_BYTES:
            yield some
            some = []
    if some:
        yield some
