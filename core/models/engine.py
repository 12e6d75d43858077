"""The engine: a verified, warmed model on one device that turns crops into embeddings and logits, and its detector.

Does not decide whose faces they are, and does not choose which model serves.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import (
    ArtifactCorruptError,
    ArtifactMissingError,
    FacefleetError,
    ModelParityError,
    ModelTooLargeForMemoryError,
)
from core.faces.detect import Detector
from core.memory import is_out_of_memory
from core.models.artifact import Artifact, unpack_artifact
from core.models.devices import find_device
from core.models.known import Known
from core.models.manifest import Manifest
from core.models.runner import Runner
from core.models.tuner import tuned_runner
from core.models.variants import Variant, variants_for
from core.records import EngineKind
from core.settings import Settings

CROPS_A_THREAD = 8
"""What a CPU core computes on at once. Of batches of 8, 16 and 32, one core (AMX) took 0.32, 0.35 and 0.30 ms a crop
(compact), 1.6, 1.4 and 2.2 ms (seed), 3.0, 2.9 and 3.4 ms (face-reidentification-retail-0095): more leave its cache."""


class Engine:
    """A model that serves. Made by `load_engine`; `run` is called from one thread at a time."""

    def __init__(
        self,
        *,
        runner: Runner,
        manifest: Manifest,
        gallery: NDArray[np.float32],
        sha256: str,
        batch_size: int,
        buckets: Sequence[int],
        detector: Detector | None = None,
        images_per_s: float | None = None,
        tuning_cached: bool = False,
    ) -> None:
        self.manifest = manifest
        """What the model is."""
        self.gallery = gallery
        """float32 [C, D], one row a class; [C, K, D] where a class has several."""
        self.sha256 = sha256
        """Of the artifact's bytes."""
        self.device = str(runner.device)
        """Where it runs: `cpu`, `cuda:0`, ..."""
        self.variant = runner.variant.name
        """How it runs: the fastest way that was found right."""
        self.images_per_s = images_per_s
        """Crops a second when this way was chosen, on a CPU a second of computing; None where that is not known."""
        self.tuning_cached = tuning_cached
        """Whether the way was known from a model of its kind, and not measured when this one was loaded."""
        self.batch_size = batch_size
        """Crops that it is best given at once; they are run in sizes that suit the device."""
        self.detector = detector
        """Finds the faces, on the same device; None when the model takes whole photos."""
        self._runner: Runner | None = runner
        self._buckets = tuple(buckets)

    def run(self, crops: NDArray[np.uint8] | Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed and classify crops.

        Args:
            crops (uint8 [N, 3, S, S]): RGB, any strides, N >= 0, S the manifest's `input_size_px`.

        Returns:
            Embeddings float32 [N, D] and logits float32 [N, C], in the crops' order. A row is not
            finite where the network had no answer.

        Raises:
            ValueError: the crops have another shape or type.
            RuntimeError: the engine is closed, or the device failed.
        """
        batch = torch.as_tensor(crops)
        size = self.manifest.input_size_px
        if batch.dtype != torch.uint8 or batch.shape[1:] != (3, size, size):
            raise ValueError(f"crops must be uint8 [N, 3, {size}, {size}], not {batch.dtype} {list(batch.shape)}")
        embeddings = np.empty((len(batch), self.manifest.embedding_dim), np.float32)
        logits = np.empty((len(batch), len(self.manifest.classes)), np.float32)
        done = 0
        while done < len(batch):
            bucket = _bucket_for(len(batch) - done, self._buckets)
            part = batch[done : done + bucket]
            rows = slice(done, done + len(part))
            embeddings[rows], logits[rows] = self._run_part(part, bucket)
            done += len(part)
        return embeddings, logits

    def close(self) -> None:
        """Free the network's memory. Calling it again does nothing."""
        on_gpu = self._runner is not None and self._runner.device.type == "cuda"
        self._runner = self.detector = None
        if on_gpu:
            torch.cuda.empty_cache()

    def _run_part(self, part: Tensor, bucket: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run crops, padded with black to a bucket's size: another size would be compiled anew."""
        if self._runner is None:
            raise RuntimeError(f"the engine of model {self.sha256} is closed")
        count = len(part)
        if bucket > count:
            part = torch.cat((part, part.new_zeros((bucket - count, *part.shape[1:]))))
        answer = self._runner.answer(part)
        return answer.embeddings[:count], answer.logits[:count]


def _bucket_for(count: int, buckets: Sequence[int]) -> int:
    """Return the batch size in which the next of `count` crops are run: the next larger one, unless it is half empty.

    Then, and where all are smaller, it is the largest that is filled.
    """
    larger = next((size for size in buckets if size >= count), None)
    filled = next((size for size in reversed(buckets) if size <= count), None)
    if larger is not None and (filled is None or larger < 2 * count):
        return larger
    return filled or buckets[0]


def load_engine(
    path: Path,
    sha256: str,
    device: str,
    *,
    batch_size: int,
    threads: int | None = None,
    engine: EngineKind = EngineKind.TORCH,
    variants: Sequence[Variant] | None = None,
    tuning_budget_s: float = Settings.tuning_budget_s,
    known: Known | None = None,
) -> Engine:
    """Load a model: verify its bytes, find the fastest right way to run it, warm every batch size.

    Args:
        path: the artifact.
        sha256: what its bytes must have; checked on the very bytes that are loaded.
        device: `cpu`, `cuda` or `cuda:N`.
        batch_size: crops that will be given at once, >= 1.
        threads: cores the network may use on the CPU (the process's setting); None leaves it as it is.
        engine: what may compute on a CPU.
        variants: ways to run it, tried in this order; None: those known for the device and engine.
        tuning_budget_s: seconds for measuring them; the first is always tried.
        known: what earlier loads on this device taught, which this one adds to; spares it most of the work.

    Returns:
        An engine that has answered the golden batch right in every batch size, and its detector where the model is for
        faces that are found.

    Raises:
        ArtifactMissingError: there is no such file, or it cannot be read.
        ArtifactCorruptError: its bytes are others than registered, or no model.
        ManifestVersionError: its manifest is in a format that this version does not read.
        ModelParityError: its answers are of the wrong shape, not finite, or not the golden ones.
        ModelTooLargeForMemoryError: the device or the host has no room for it.
        WeightsUnreadableError: its detector is none.
        SettingError: there is no such device, or no OpenVINO where it is asked for.
    """
    place = find_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    known = known or Known()
    with _device_errors(device):
        artifact = unpack_artifact(_read_verified(path, sha256))
        buckets = _buckets(batch_size, place, any_number=artifact.detector is not None)
        tuned = tuned_runner(artifact, place, variants or variants_for(place, engine), buckets, tuning_budget_s, known)
        detector = _detector(artifact, device, engine, known)
    return Engine(
        runner=tuned.runner,
        manifest=artifact.manifest,
        gallery=artifact.gallery,
        sha256=sha256,
        batch_size=batch_size,
        buckets=buckets,
        detector=detector,
        images_per_s=tuned.tuning.images_per_s,
        tuning_cached=tuned.was_known,
    )


def _buckets(batch_size: int, place: torch.device, *, any_number: bool) -> list[int]:
    """Return the batch sizes in which crops are run, ascending; each is compiled for and makes a load longer.

    Args:
        batch_size: crops that will be given at once, at most.
        place: where they are run.
        any_number: of faces, often one, is in photographs; photos that are a face each fill their batches. On a core
            that has nothing else to do a lone face takes 2 ms alone and 23 in a batch of eight that is padded
            (face-reidentification-retail-0095, OpenVINO).
    """
    if place.type == "cpu":
        full = min(batch_size, CROPS_A_THREAD * torch.get_num_threads())
        return sorted({1, full}) if any_number else [full]
    return sorted({max(1, batch_size // 4), (batch_size + 1) // 2, batch_size})


def _detector(artifact: Artifact, device: str, engine: EngineKind, known: Known) -> Detector | None:
    """Return the detector that a model was trained behind; None when it takes whole photos."""
    if artifact.detector is None or artifact.manifest.detector_sha256 is None:
        return None
    return known.detector(artifact.detector, artifact.manifest.detector_sha256, device, engine)


def _read_verified(path: Path, sha256: str) -> bytes:
    """Read the file once; what is hashed is what is loaded."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactMissingError(
            f"The model's file {path} cannot be read: {error.strerror}. The model that serves goes on serving. "
            "Check that this worker sees the FACEFLEET_ARTIFACTS folder, or activate another version."
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ArtifactCorruptError(
            f"The model's file {path} has sha256 {found} and is registered as {sha256}: it was damaged or exchanged. "
            "It is not used; put it back from a backup, activate another model version, or train again."
        )
    return data


@contextmanager
def _device_errors(device: str) -> Iterator[None]:
    """Say in words why a network could not be run when it was loaded."""
    try:
        yield
    except FacefleetError:
        raise
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise ModelTooLargeForMemoryError(
                f"{device} has no room for the model beside what it holds. The one that serves goes on serving, and "
                "loading is tried again. Lower FACEFLEET_BATCH_SIZE, or run fewer workers on this device."
            ) from error
        raise ModelParityError(
            f"The model fails on its golden batch ({str(error).strip().splitlines()[-1]}). It is not used and the one "
            "that serves goes on serving; train or export it again."
        ) from error
