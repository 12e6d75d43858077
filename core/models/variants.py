"""The ways to run one TorchScript network on a device. Which is the fastest is found out by core/models/tuner.py."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.errors import ModelParityError
from core.models.artifact import Artifact, Golden
from core.models.freezing import freeze_network
from core.models.parity import BFLOAT16_TOLERANCE, SERVING_TOLERANCE, Outputs, Tolerance, check_parity


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run a network."""

    name: str
    """Short and stable: stands in logs and benchmarks."""
    layout: torch.memory_format = torch.contiguous_format
    """Memory layout of the crops, which the convolutions then keep."""
    onednn_fusion: bool = False
    """Let oneDNN fuse chains of operators while the network is warmed up."""
    optimised: bool = False
    """Rewrite the graph for inference after loading (a module so rewritten saves, but does not load)."""
    precision: torch.dtype = torch.float32
    """What the backbone computes in; the crops' preparation, the head and all answers stay float32."""

    @property
    def tolerance(self) -> Tolerance:
        """How far its answers may lie from the golden ones, which are float32."""
        # float16 keeps 10 bits of mantissa, as TF32 does: off by 0.0003 where bfloat16 is by 0.002 (compact, on a CPU).
        return BFLOAT16_TOLERANCE if self.precision is torch.bfloat16 else SERVING_TOLERANCE


_FUSED = Variant(name="onednn", onednn_fusion=True)
_FUSED_CHANNELS_LAST = Variant(name="onednn_channels_last", layout=torch.channels_last, onednn_fusion=True)
_OPTIMISED = Variant(name="optimised", optimised=True)
_CHANNELS_LAST = Variant(name="channels_last", layout=torch.channels_last)
PLAIN = Variant(name="plain")
_BF16_FUSED = Variant(name="bf16_onednn", onednn_fusion=True, precision=torch.bfloat16)
_BF16_FUSED_CHANNELS_LAST = Variant(
    name="bf16_onednn_channels_last", layout=torch.channels_last, onednn_fusion=True, precision=torch.bfloat16
)
_BF16_CHANNELS_LAST = Variant(name="bf16_channels_last", layout=torch.channels_last, precision=torch.bfloat16)
_BF16_PLAIN = Variant(name="bf16", precision=torch.bfloat16)
_FP16_CHANNELS_LAST = Variant(name="fp16_channels_last", layout=torch.channels_last, precision=torch.float16)
_FP16_PLAIN = Variant(name="fp16", precision=torch.float16)

VARIANTS = {
    "cpu": (
        _BF16_FUSED_CHANNELS_LAST,
        _BF16_FUSED,
        _FUSED_CHANNELS_LAST,
        _BF16_CHANNELS_LAST,
        _FUSED,
        _OPTIMISED,
        _CHANNELS_LAST,
        _BF16_PLAIN,
        PLAIN,
    ),
    "cuda": (_BF16_CHANNELS_LAST, _FP16_CHANNELS_LAST, _CHANNELS_LAST, _BF16_PLAIN, _FP16_PLAIN, PLAIN),
}
"""By device type, the likely winner first: when the time to measure is short, the later ones are not tried."""
_BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def variants_for(device: torch.device) -> tuple[Variant, ...]:
    """Return the ways that are worth trying on a device: those in bfloat16 only where its arithmetic is wired in.

    Without such instructions they are right too, but slow: 47 images/s against 145 (face-reidentification-retail-0095,
    one Xeon core with AVX512 alone).
    """
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        has_bfloat16 = any(capabilities.get(name, False) for name in _BF16_INSTRUCTIONS)
    return tuple(
        variant for variant in VARIANTS[device.type] if has_bfloat16 or variant.precision is not torch.bfloat16
    )


class Runner:
    """A loaded network and its way of being run. Calls come from one thread at a time."""

    def __init__(self, artifact: Artifact, variant: Variant, device: torch.device) -> None:
        # Frozen copies are for CPUs: what a graph holds stays on the device that it was frozen on.
        module = artifact.load_frozen(variant.precision) if device.type == "cpu" else None
        if module is None:
            module = freeze_network(artifact.load_module(device), variant.precision)
        self._module = torch.jit.optimize_for_inference(module) if variant.optimised else module
        self.variant = variant
        self.device = device

    def answer(self, crops: Tensor) -> Outputs:
        """Run uint8 crops [N, 3, S, S] of any strides; returns when the answers are in host memory."""
        with torch.inference_mode():
            placed = crops.to(self.device).contiguous(memory_format=self.variant.layout)
            return to_outputs(self._module(placed))

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
