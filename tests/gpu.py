"""What tests of devices share: the devices, why there is no GPU here, and what a GPU's memory holds.

`python -m tests.gpu` prints a sentence where there is none, and nothing where there is one.
"""

from pathlib import Path
from typing import TypeVar

import pytest
import torch


def why_no_gpu() -> str | None:
    """Say why tests of GPUs cannot run here; None where they can."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    if not Path("/dev/nvidiactl").exists():
        return "this machine has no NVIDIA GPU, or no driver for it (there is no /dev/nvidiactl)"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} (CUDA {torch.version.cuda}) finds no GPU that it can use; try nvidia-smi"
    return None


Test = TypeVar("Test")

NO_GPU = why_no_gpu()
ON_GPU = (pytest.mark.gpu, pytest.mark.skipif(NO_GPU is not None, reason=f"no NVIDIA GPU: {NO_GPU}"))
"""The marks of a test, or of one of its parameters, that needs a GPU."""
GPU = "cuda:0"
DEVICES = ("cpu", pytest.param(GPU, marks=ON_GPU))
"""What a test of any device is run on: its body is known to work where there is no GPU."""
on_every_device = pytest.mark.parametrize("device", DEVICES)


def needs_gpu(test: Test) -> Test:
    """Mark a test that makes sense on a GPU alone."""
    for mark in ON_GPU:
        test = mark(test)
    return test


def device_bytes(device: str) -> tuple[int, int]:
    """Return what torch's tensors take of a GPU's memory, and what torch holds of it; zeros on a CPU."""
    if torch.device(device).type == "cpu":
        return 0, 0
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)


if __name__ == "__main__" and NO_GPU is not None:
    print(f"The tests that need a GPU are skipped: {NO_GPU}.")  # noqa: T201 - that is what it is for
