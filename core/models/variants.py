"""The ways to run one network on a device. Which is the fastest is found out by core/models/tuner.py.

How a network is run in one of them is in core/models/runner.py.
"""

from dataclasses import dataclass

import torch

from core.models.openvino import require_openvino
from core.models.parity import BFLOAT16_TOLERANCE, SERVING_TOLERANCE, Tolerance
from core.records import EngineKind


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
    openvino: bool = False
    """Let OpenVINO compute it, and not torch. It lays crops out, fuses operators and chooses where bfloat16 is good."""

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

_OPENVINO = Variant(name="openvino", openvino=True)
_BF16_OPENVINO = Variant(name="bf16_openvino", openvino=True, precision=torch.bfloat16)

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
OPENVINO_VARIANTS = (_BF16_OPENVINO, _OPENVINO)
"""Of CPUs, before all others, where they are asked for."""
_BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def variants_for(device: torch.device, engine: EngineKind = EngineKind.TORCH) -> tuple[Variant, ...]:
    """Return the ways that are worth trying on a device: those in bfloat16 only where its arithmetic is wired in.

    Without such instructions they are right too, but slow: 47 images/s against 145 (face-reidentification-retail-0095,
    one Xeon core with AVX512 alone).

    Args:
        device: where.
        engine: what may compute on a CPU; a GPU is torch's alone.

    Raises:
        SettingError: OpenVINO is asked for and not installed.
    """
    variants = VARIANTS[device.type]
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        has_bfloat16 = any(capabilities.get(name, False) for name in _BF16_INSTRUCTIONS)
        if engine is EngineKind.OPENVINO:
            require_openvino()
            variants = (*OPENVINO_VARIANTS, *variants)
    return tuple(variant for variant in variants if has_bfloat16 or variant.precision is not torch.bfloat16)
