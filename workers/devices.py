"""Which devices this machine has, found out without importing torch here: a node's parent and the CLI stay light."""

import os
import subprocess
import sys
from pathlib import Path

from core.errors import InputError

_ASK_TORCH = "import torch; print(*map(torch.cuda.get_device_name, range(torch.cuda.device_count())), sep='\\n')"


def cuda_devices() -> list[str]:
    """Return the names of the CUDA devices that torch can use here, by number."""
    if not Path("/dev/nvidiactl").exists():
        return []  # no driver; asking torch would take seconds
    asked = subprocess.run([sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, check=True)
    return [line for line in asked.stdout.splitlines() if line]


def pin_device(device: str) -> None:
    """Leave this process's future children the one device they are to use.

    Args:
        device: `cpu` or `cuda:N`, numbered as this process sees them.

    Raises:
        InputError: it is not there.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    names = cuda_devices()
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number.isdecimal() or int(number) >= len(names):
        there = ", ".join(["cpu", *(f"cuda:{index} ({name})" for index, name in enumerate(names))])
        raise InputError(f"There is no device {device!r} here. Nothing was started. Choose one of: {there}.")
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[int(number)] if visible else number
