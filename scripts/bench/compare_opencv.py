"""A contender: a plain script of OpenCV and OpenVINO, in as many processes as there are cores, each pinned to its own.

What it is given, so that it is a good script: OpenVINO's mode and batch that are fastest here, preprocessing compiled
into the network, and whom to compare with. It scales, finds, aligns and embeds all faces of every photo, and writes a
CSV file; it reads file by file, looks once, judges no quality and retries nothing.
"""

import csv
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.faces.detect import MAX_OVERLAP, MIN_SCORE
from core.faces.detect_scale import FIRST_LOOK_PX
from core.images.uris import LocalUri, parse_uri
from core.weights.spec import DETECTOR, ChannelOrder, WeightsSpec
from core.weights.store import WeightsStore
from scripts.bench.contender import Card, ContenderError, Timed
from scripts.bench.fleet import BenchFleet
from scripts.bench.openvino import WAYS, fastest_embedder
from scripts.bench.processes import BenchProcesses, ProcessDiedError, Work, share_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKAGES = ("cv2", "openvino")
CARD = Card(
    key="opencv_openvino",
    title="OpenCV + OpenVINO script",
    does="A process on each core: cv2.imread, FaceDetectorYN, alignment by five points, the same embedder in OpenVINO "
    "in its faster mode and batch, cosine against the same people, rows of a CSV file. No queue and no database.",
)
_WARM_PHOTOS = 64
_FACES_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class ScriptJob:
    """What one process of the script is told."""

    cores: tuple[int, ...]
    """That it may use."""
    detector: str
    """Path of YuNet's ONNX file."""
    embedder: WeightsSpec
    files: dict[str, bytes]
    """Of the embedder, by name."""
    gallery: "NDArray[np.float32]"
    """[C, D], one unit row a person."""
    rows: str
    """Path of the CSV file that it writes."""


class ScriptContender:
    """The script's processes.

    Args:
        processes: warm.
        count: how many.
    """

    def __init__(self, processes: BenchProcesses, count: int) -> None:
        self.card = CARD
        self.ran_as: str = processes.told[-1]
        self._processes = processes
        self._count = count

    def run(self, uris: Sequence[str]) -> Timed:
        """Have every process work on its share."""
        shares = share_out([path_of(uri) for uri in uris], self._count)
        begun_s = time.perf_counter()
        try:
            faces = self._processes.ask(shares)
        except ProcessDiedError as error:
            raise ContenderError(str(error)) from error
        return Timed(seconds=time.perf_counter() - begun_s, faces=sum(faces))


@contextmanager
def script_contender(fleet: BenchFleet) -> Iterator[ScriptContender]:
    """Start the processes, let each find OpenVINO's fastest way, and warm them.

    Raises:
        ContenderError: a process died.
    """
    jobs = [(job,) for job in script_jobs(fleet)]
    try:
        with BenchProcesses(_set_up, jobs) as processes:
            contender = ScriptContender(processes, len(jobs))
            contender.run(fleet.uris[:_WARM_PHOTOS])
            yield contender
    except ProcessDiedError as error:
        raise ContenderError(str(error)) from error


def script_jobs(fleet: BenchFleet) -> list[ScriptJob]:
    """Return what each process of the script is told."""
    from core.models.artifact import unpack_artifact
    from core.models.store import ModelStore

    artifact = unpack_artifact(ModelStore.from_settings(fleet.settings).path(fleet.model.sha256).read_bytes())
    store = WeightsStore.from_settings(fleet.settings)
    spec, detector = store.get_spec(artifact.manifest.backbone), store.find(DETECTOR)
    files = {file.name: store.read_verified(spec, file) for file in spec.files}
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, len(cores) // fleet.workers)
    return [
        ScriptJob(
            cores=tuple(cores[(slot * share) % len(cores) :][:share]),
            detector=str(detector.folder / detector.spec.files[0].name),
            embedder=spec,
            files=files,
            gallery=artifact.gallery,
            rows=str(fleet.settings.home / f"script-{slot}.csv"),
        )
        for slot in range(fleet.workers)
    ]


def path_of(uri: str) -> str:
    """Return the path of a file of this machine.

    Raises:
        ContenderError: it is none.
    """
    parsed = parse_uri(uri)
    if not isinstance(parsed, LocalUri):
        raise ContenderError("it reads files of this machine only")
    return parsed.path


def _set_up(job: ScriptJob) -> tuple[str, Work]:
    """Load both networks; the process then works on lists of paths."""
    script = start_script(job)

    def work(paths: Any) -> int:
        with Path(job.rows).open("w", newline="") as file:
            return script.run(paths, csv.writer(file))

    return f"{script.embedder.way.name}, {script.embedder.precision}", work


def start_script(job: ScriptJob) -> "Script":
    """Load both networks, on the cores that this process may use."""
    os.sched_setaffinity(0, job.cores)
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # its new graph engine warns at every start
    import cv2

    cv2.setNumThreads(len(job.cores))
    return Script(job)


class Script:
    """The script, as one writes it.

    Args:
        job: what it works with.
    """

    def __init__(self, job: ScriptJob) -> None:
        import cv2

        if job.embedder.embedder is None:
            raise ValueError(f"{job.embedder.name} embeds nothing")
        self._size = job.embedder.embedder.input_size_px
        self._template = np.asarray(job.embedder.embedder.template) * self._size
        self._detector = cv2.FaceDetectorYN.create(job.detector, "", (320, 320), MIN_SCORE, MAX_OVERLAP)
        self._gallery = job.gallery
        self.embedder = fastest_embedder(job.embedder, job.files, WAYS, order=ChannelOrder.BGR, threads=len(job.cores))

    def run(self, paths: Sequence[str], rows: Any) -> int:
        """Work on photos, a batch of faces at a time; return how many faces there were."""
        pending: list[tuple[str, list[float], NDArray[np.uint8]]] = []
        faces = 0
        for path in paths:
            pending += self._faces(path)
            if len(pending) >= _FACES_AT_ONCE:
                faces += self._write(pending, rows)
                pending = []
        return faces + (self._write(pending, rows) if pending else 0)

    def _faces(self, path: str) -> "list[tuple[str, list[float], NDArray[np.uint8]]]":
        """Return path, box and aligned crop of every face of a photo."""
        import cv2

        photo = cv2.imread(path)
        if photo is None:
            return []
        scale = min(1.0, FIRST_LOOK_PX / max(photo.shape[:2]))
        small = photo if scale == 1.0 else cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        found = self._detector.detect(small)[1]
        rows = np.zeros((0, 15), np.float32) if found is None else np.asarray(found / scale, np.float32)
        return [(path, row[:4].tolist(), self._align(photo, row[4:14].reshape(5, 2))) for row in rows]

    def _align(self, photo: Any, points: "NDArray[np.floating]") -> "NDArray[np.uint8]":
        import cv2

        size = (self._size, self._size)
        return np.asarray(cv2.warpAffine(photo, similarity_matrix(points, self._template), size), np.uint8)

    def _write(self, pending: "list[tuple[str, list[float], NDArray[np.uint8]]]", rows: Any) -> int:
        """Embed, compare and write a batch of faces."""
        vectors = self.embedder.embed(np.stack([crop for _, _, crop in pending]))
        cosines = vectors @ self._gallery.T
        for (path, box, _), person, row in zip(pending, cosines.argmax(axis=1), cosines, strict=True):
            rows.writerow([path, *box, int(person), float(row[person])])
        return len(pending)


def similarity_matrix(points: "NDArray[np.floating]", target: "NDArray[np.floating]") -> "NDArray[np.float64]":
    """Return the 2 x 3 matrix of the similarity that brings points [K, 2] nearest to a target [K, 2]."""
    source, goal = points[:, 0] + 1j * points[:, 1], target[:, 0] + 1j * target[:, 1]
    centred = source - source.mean()
    turn = np.vdot(centred, goal - goal.mean()) / np.vdot(centred, centred).real
    move = goal.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, move.real], [turn.imag, turn.real, move.imag]])
