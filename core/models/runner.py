"""One network, loaded and run in one of the ways of core/models/variants.py: crops in, answers out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from core.errors import ModelParityError
from core.models.artifact import Artifact, Golden
from core.models.freezing import freeze_network
from core.models.openvino import OpenVinoNetwork
from core.models.parity import Outputs, check_parity
from core.models.variants import Variant


class Runner:
    """A loaded network and its way of being run. Calls come from one thread at a time."""

    def __init__(self, artifact: Artifact, variant: Variant, device: torch.device) -> None:
        self.variant = variant
        self.device = device
        self._network: Callable[[Tensor], Outputs]
        if variant.openvino:
            self._network = _in_openvino(artifact, bfloat16=variant.precision is torch.bfloat16)
        else:
            self._network = _in_torch(artifact, variant, device)

    def answer(self, crops: Tensor) -> Outputs:
        """Run uint8 crops [N, 3, S, S] of any strides; returns when the answers are in host memory."""
        return self._network(crops)

    def warm(self, golden: Golden, bucket: int) -> None:
        """Run a batch of a bucket's size until it is specialised, and compare its answers.

        Raises:
            ModelParityError: they are not the golden ones.
        """
        chosen = np.arange(bucket) % len(golden.crops)
        crops = torch.from_numpy(golden.crops[chosen])
        expected = Outputs(embeddings=golden.outputs.embeddings[chosen], logits=golden.outputs.logits[chosen])
        with _onednn_fusion(self.variant.onednn_fusion):
            for _ in range(2):  # the first run profiles, the second compiles for this shape
                answer = self.answer(crops)
                check_parity(expected, answer, self.variant.tolerance, f"The model run as {self.variant.name!r}")


def _frozen(artifact: Artifact, precision: torch.dtype, device: torch.device) -> torch.jit.ScriptModule:
    """Load a network onto a device, frozen."""
    # Frozen copies are for CPUs: what a graph holds stays on the device that it was frozen on.
    module = artifact.load_frozen(precision) if device.type == "cpu" else None
    return module or freeze_network(artifact.load_module(device), precision)


def _in_torch(artifact: Artifact, variant: Variant, device: torch.device) -> Callable[[Tensor], Outputs]:
    module = _frozen(artifact, variant.precision, device)
    if variant.optimised:
        module = torch.jit.optimize_for_inference(module)

    def answer(crops: Tensor) -> Outputs:
        with torch.inference_mode():
            return to_outputs(module(crops.to(device).contiguous(memory_format=variant.layout)))

    return answer


def _in_openvino(artifact: Artifact, *, bfloat16: bool) -> Callable[[Tensor], Outputs]:
    size = artifact.manifest.input_size_px
    network = OpenVinoNetwork(
        _frozen(artifact, torch.float32, torch.device("cpu")), (-1, 3, size, size), bfloat16=bfloat16
    )

    def answer(crops: Tensor) -> Outputs:
        embeddings, logits = network(crops.contiguous().numpy())
        return Outputs(embeddings=embeddings, logits=logits)

    return answer


def to_outputs(answer: object) -> Outputs:
    """Copy what a servable returned to host memory.

    Raises:
        ModelParityError: it is not a pair of tensors.
    """
    if not (isinstance(answer, tuple) and len(answer) == 2 and all(isinstance(part, Tensor) for part in answer)):
        raise ModelParityError("The model does not answer with embeddings and logits. It is not used; train it again.")
    embeddings, logits = answer
    return Outputs(embeddings=embeddings.cpu().numpy(), logits=logits.cpu().numpy())


def warm_runner(artifact: Artifact, variant: Variant, device: torch.device, buckets: Sequence[int]) -> Runner:
    """Load a network and warm it in one way, without comparing ways.

    Args:
        artifact: what to run.
        variant: how.
        device: where.
        buckets: batch sizes that will be used, ascending.

    Raises:
        ModelParityError: it does not answer as the golden batch says.
        RuntimeError: it does not even run, or there is no room (`core.memory.is_out_of_memory`).
    """
    runner = Runner(artifact, variant, device)
    for bucket in reversed(buckets):
        runner.warm(artifact.golden, bucket)
    return runner


@contextmanager
def _onednn_fusion(enabled: bool) -> Iterator[None]:
    """Switch oneDNN's graph fuser for what is compiled inside. The switch is the process's."""
    before = torch.jit.onednn_fusion_enabled()  # type: ignore[no-untyped-call]
    torch.jit.enable_onednn_fusion(enabled)
    try:
        yield
    finally:
        torch.jit.enable_onednn_fusion(before)
