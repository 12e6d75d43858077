"""What a core can compute at most, and what a network asks of it: the arithmetic limit that speeds are held against."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from core.models.artifact import Artifact

_TRIAL_S = 0.25
_MATRIX_SIDES = (512, 1024)
_CONVOLUTION_CHANNELS = (64, 128)


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The most that one core was seen to compute a second."""

    precision: str
    """`bfloat16` or `float32`."""
    flops_per_s: float
    """Multiplications and additions."""
    of: str
    """What it computed."""


def measure_peak(*, bfloat16: bool) -> Peak:
    """Measure multiplications of matrices and 3 x 3 convolutions in one precision; return the fastest.

    By the computing time of this thread, which other work on the machine stretches little. Sizes fit a core's cache.
    """
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    trials = [
        *((f"{side} x {side} matrices", *_matrices(side, dtype)) for side in _MATRIX_SIDES),
        *((f"3 x 3 convolutions of {width} channels", *_convolution(width, dtype)) for width in _CONVOLUTION_CHANNELS),
    ]
    with torch.inference_mode():
        speeds = [(flops / _seconds(compute), name) for name, flops, compute in trials]
    best, name = max(speeds)
    return Peak(precision=str(dtype).removeprefix("torch."), flops_per_s=best, of=name)


def count_embedder(artifact: "Artifact") -> int:
    """Count what the network of a model computes for one crop."""
    size = artifact.manifest.input_size_px
    module = artifact.load_module(torch.device("cpu"))
    return _count(lambda: module(torch.zeros((1, 3, size, size), dtype=torch.uint8)))


def count_detector(weights: bytes, height: int, width: int) -> int:
    """Count what YuNet computes for one photo of a size, from the bytes of its ONNX file."""
    from core.faces.detect_weights import read_yunet

    network = read_yunet(weights).eval()
    return _count(lambda: network(torch.zeros((1, 3, height, width))))


def _count(run: Callable[[], Any]) -> int:
    """Count the multiplications and additions of matrix products and convolutions: all else is next to nothing."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run()
    return int(counter.get_total_flops())


def _matrices(side: int, dtype: torch.dtype) -> tuple[int, Callable[[], Any]]:
    first, second = (torch.ones((side, side), dtype=dtype) for _ in range(2))
    return 2 * side**3, lambda: first @ second


def _convolution(channels: int, dtype: torch.dtype) -> tuple[int, Callable[[], Any]]:
    """Return a convolution as networks of this kind have them: 28 x 28, a batch of eight."""
    layer = nn.Conv2d(channels, channels, 3, padding=1).eval().to(dtype).to(memory_format=torch.channels_last)
    batch = torch.ones((8, channels, 28, 28), dtype=dtype).contiguous(memory_format=torch.channels_last)
    return 2 * 8 * 28 * 28 * 9 * channels**2, lambda: layer(batch)


def _seconds(compute: Callable[[], Any]) -> float:
    """Return the computing seconds of one run, warm."""
    compute()
    begun_s, runs = time.thread_time(), 0
    while (passed_s := time.thread_time() - begun_s) < _TRIAL_S:
        compute()
        runs += 1
    return passed_s / runs
