"""What figures depend on beside the code: the machine and the versions of what computes."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """Return the machine and the versions that speed and rounding depend on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu_name(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def describe_environment(devices: Sequence[str], threads: int) -> dict[str, Any]:
    """Return what the bits of a trained network depend on beside its data, configuration and seed.

    Args:
        devices: as torch calls them.
        threads: that compute.
    """
    return {"facefleet": _own_version(), **describe_machine(), "device": ",".join(devices), "threads": threads}


def _own_version() -> str:
    try:
        return version("facefleet")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
