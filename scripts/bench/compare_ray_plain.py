"""A contender: Ray Data as one writes it first, a network in each actor, on batches of photos.

Of photographs its actors do what the plain script of OpenCV and OpenVINO does; of face crops, what Pillow and the
model's TorchScript file do as they come.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.models.store import ModelStore
from core.records import FacesMode
from scripts.bench.compare_opencv import PACKAGES as SCRIPT_PACKAGES
from scripts.bench.compare_opencv import ScriptJob, path_of, script_jobs, start_script
from scripts.bench.compare_ray import PACKAGES as RAY_PACKAGES
from scripts.bench.compare_ray import RayContender, slot_of_actor
from scripts.bench.contender import Card
from scripts.bench.fleet import BenchFleet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Batch = dict[str, NDArray[np.object_]]

PACKAGES = (*RAY_PACKAGES, *SCRIPT_PACKAGES)
CARD = Card(
    key="ray_plain",
    title="Ray Data, written plainly",
    does="As many actors on batches as large as our chunks: of photographs they do what the script does, of face crops "
    "Pillow reads and scales and the model's TorchScript file is run as it is loaded, the nearest person for each. "
    "Rows are gathered into a Parquet file. Timed once all actors are ready; no quality gate, no rule, no database.",
    computing_counts=False,
)


class ScriptActor:
    """One of Ray's processes: the script, on its own cores.

    Args:
        jobs: of the script's processes.
        folder: where actors say that they are ready.
    """

    def __init__(self, jobs: Sequence[ScriptJob], folder: str) -> None:
        with slot_of_actor(Path(folder), len(jobs)) as slot:
            self._script = start_script(jobs[slot])

    def __call__(self, batch: "Batch") -> dict[str, list[Any]]:
        """Look at a batch of photos: a row for each face."""
        rows = _Rows()
        self._script.run([path_of(str(uri)) for uri in batch["uri"]], rows)
        return {
            "path": [str(row[0]) for row in rows.kept],
            "faces": [1 for _ in rows.kept],
            "person": [int(row[-2]) for row in rows.kept],
            "similarity": [float(row[-1]) for row in rows.kept],
        }


class CropsActor:
    """One of Ray's processes: a model's file, as `torch.jit.load` gives it.

    Args:
        model: path of the file.
        slots: how many such processes there are.
        folder: where actors say that they are ready.
    """

    def __init__(self, model: str, slots: int, folder: str) -> None:
        with slot_of_actor(Path(folder), slots):
            import torch

            torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // slots))
            self._network = torch.jit.load(model).eval()  # type: ignore[no-untyped-call]
            self._size = int(self._network.input_size_px)
            for _ in range(3):  # the first batches compile
                self._run(np.zeros((1, self._size, self._size, 3), np.uint8))

    def __call__(self, batch: "Batch") -> dict[str, list[Any]]:
        """Name a batch of crops: a row for each that can be read."""
        read = [(path, self._read(path)) for path in map(path_of, map(str, batch["uri"]))]
        paths, crops = zip(*[each for each in read if each[1] is not None], strict=True)
        logits = self._run(np.stack(crops))
        return {
            "path": [*paths],
            "faces": [1 for _ in paths],
            "person": logits.argmax(axis=1).tolist(),
            "similarity": logits.max(axis=1).tolist(),
        }

    def _read(self, path: str) -> "NDArray[np.uint8] | None":
        from PIL import Image

        try:
            with Image.open(path) as photo:
                return np.asarray(photo.convert("RGB").resize((self._size, self._size), Image.Resampling.BILINEAR))
        except OSError:  # as the script does
            return None

    def _run(self, crops: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        import torch

        with torch.inference_mode():
            _, logits = self._network(torch.from_numpy(crops).permute(0, 3, 1, 2))
        answers: NDArray[np.float32] = logits.numpy()
        return answers


class _Rows:
    """Takes what the script writes."""

    def __init__(self) -> None:
        self.kept: list[Sequence[Any]] = []

    def writerow(self, row: Sequence[Any]) -> None:
        """Keep a row."""
        self.kept.append(row)


@contextmanager
def plain_ray_contender(fleet: BenchFleet) -> Iterator[RayContender]:
    """Return the contender; as the other one of Ray, it is warmed in every round."""
    if fleet.faces_mode is FacesMode.DETECT:
        yield RayContender(fleet, CARD, ScriptActor, (script_jobs(fleet),))
    else:
        file = ModelStore.from_settings(fleet.settings).path(fleet.model.sha256)
        yield RayContender(fleet, CARD, CropsActor, (str(file), fleet.workers))
