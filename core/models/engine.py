"""The engine: a verified, warmed model on one device that turns crops into embeddings and logits.

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

from core.errors import ArtifactCorruptError, ArtifactMissingError, ModelError, ModelParityError, SettingError
from core.models.artifact import unpack_artifact
from core.models.manifest import Manifest
from core.models.variants import VARIANTS, Runner, Variant, fastest_runner

TUNING_BUDGET_S = 1.5
"""Time at load for measuring variants; a batch of 32 takes the compact network about 0.1 s on one core."""


class Engine:
    """A model that serves. Made by `load_engine`; `run` is called from one thread at a time."""

    def __init__(
        self, *, runner: Runner, manifest: Manifest, gallery: NDArray[np.float32], sha256: str, buckets: Sequence[int]
    ) -> None:
        self.manifest = manifest
        """What the model is."""
        self.gallery = gallery
        """float32 [C, D], one unit row a class."""
        self.sha256 = sha256
        """Of the artifact's bytes."""
        self.device = str(runner.device)
        """Where it runs: `cpu`, `cuda:0`, ..."""
        self.variant = runner.variant.name
        """How it runs: the fastest way that was found right."""
        self.batch_size = buckets[-1]
        """Crops it takes at once; more are split."""
        self._runner: Runner | None = runner
        self._buckets = tuple(buckets)

    def run(self, crops: NDArray[np.uint8] | Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed and classify crops.

        Args:
            crops (uint8 [N, 3, S, S]): RGB, any strides, N >= 0, S the manifest's `input_size_px`.

        Returns:
            Embeddings float32 [N, D] of unit length and logits float32 [N, C], in the crops' order. A row is not
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
        for start in range(0, len(batch), self.batch_size):
            part = batch[start : start + self.batch_size]
            rows = slice(start, start + len(part))
            embeddings[rows], logits[rows] = self._run_part(part)
        return embeddings, logits

    def close(self) -> None:
        """Free the network's memory. Calling it again does nothing."""
        if self._runner is not None and self._runner.device.type == "cuda":
            self._runner = None
            torch.cuda.empty_cache()
        self._runner = None

    def _run_part(self, part: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run at most one batch, padded with black to the next bucket: another size would be compiled anew."""
        if self._runner is None:
            raise RuntimeError(f"the engine of model {self.sha256} is closed")
        count = len(part)
        bucket = next(size for size in self._buckets if size >= count)
        if bucket > count:
            part = torch.cat((part, part.new_zeros((bucket - count, *part.shape[1:]))))
        answer = self._runner.answer(part)
        return answer.embeddings[:count], answer.logits[:count]


def load_engine(
    path: Path,
    sha256: str,
    device: str,
    *,
    batch_size: int,
    threads: int | None = None,
    variants: Sequence[Variant] | None = None,
    tuning_budget_s: float = TUNING_BUDGET_S,
) -> Engine:
    """Load a model: verify its bytes, find the fastest right way to run it, warm every batch size.

    Args:
        path: the artifact.
        sha256: what its bytes must have; checked on the very bytes that are loaded.
        device: `cpu`, `cuda` or `cuda:N`.
        batch_size: crops at once, >= 1.
        threads: cores the network may use on the CPU (the process's setting); None leaves it as it is.
        variants: ways to run it, tried in this order; None: those known for the device.
        tuning_budget_s: seconds for measuring them; the first is always tried.

    Returns:
        An engine that has answered the golden batch right in every batch size.

    Raises:
        ArtifactMissingError: there is no such file, or it cannot be read.
        ArtifactCorruptError: its bytes are others than registered, or no model.
        ManifestVersionError: its manifest is in a format that this version does not read.
        ModelParityError: its answers are of the wrong shape, not finite, or not the golden ones.
        ModelError: the device has no room for it.
        SettingError: there is no such device.
    """
    place = find_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    artifact = unpack_artifact(_read_verified(path, sha256))
    # Half a batch is there for when a whole one finds no memory.
    buckets = sorted({1, max(1, batch_size // 4), (batch_size + 1) // 2, batch_size})
    with _device_errors(device):
        runner = fastest_runner(artifact, place, variants or VARIANTS[place.type], buckets, tuning_budget_s)
    return Engine(runner=runner, manifest=artifact.manifest, gallery=artifact.gallery, sha256=sha256, buckets=buckets)


def find_device(name: str) -> torch.device:
    """Return the device that a name means.

    Args:
        name: `cpu`, `cuda` or `cuda:N`.

    Raises:
        SettingError: there is no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingError(f"{name!r} is no device. Name `cpu`, `cuda` or `cuda:N`.") from None
    if device.type not in VARIANTS:
        raise SettingError(f"Models do not run on {name!r}. Name `cpu`, `cuda` or `cuda:N`.")
    found = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= found:
        raise SettingError(f"There is no {name}: torch sees {found} CUDA devices here. Use `cpu`, or check the driver.")
    return device


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
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{device} has no room for the model. The one that serves goes on serving. "
            "Lower FACEFLEET_BATCH_SIZE, or run fewer workers on this device."
        ) from error
    except RuntimeError as error:
        raise ModelParityError(
            f"The model fails on its golden batch ({str(error).strip().splitlines()[-1]}). It is not used and the one "
            "that serves goes on serving; train or export it again."
        ) from error
