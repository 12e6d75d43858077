"""Which devices this machine has, found out without importing torch here: a node's parent and the CLI stay light."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from core.errors import InputError

_ASK_TORCH = "import torch; print(*map(torch.cuda.get_device_name, range(torch.cuda.device_count())), sep='\\n')"


def cuda_devices() -> list[str]:
    """Return the names of the CUDA devices that torch can use here, by number."""
    if not Path("/dev/nvidiactl").exists():
        return []  # no driver; asking torch would take seconds
    asked = subprocess.run([sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, check=True)
    return [line for line in asked.stdout.splitlines() if line]


def pin_devices(devices: Sequence[str]) -> None:
    """Leave this process's future children the devices they are to use, in this order.

    Args:
        devices: `cpu` alone, or different `cuda:N`, numbered as this process sees them.

    Raises:
        InputError: one is not there, or they do not go together.
    """
    if list(devices) == ["cpu"]:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    if "cpu" in devices or len(set(devices)) < len(devices):
        raise InputError(
            f"{', '.join(devices)} do not go together. Nothing was started. Give cpu alone, or different cuda:N."
        )
    names = cuda_devices()
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    numbers = [_number(device, names) for device in devices]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible[number] if visible else str(number) for number in numbers)


def _number(device: str, names: Sequence[str]) -> int:
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number.isdecimal() or int(number) >= len(names):
        there = ", ".join(["cpu", *(f"cuda:{index} ({name})" for index, name in enumerate(names))])
        raise InputError(f"There is no device {device!r} here. Nothing was started. Choose one of: {there}.")
    return int(number)
