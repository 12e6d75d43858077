"""Which torch device a name means, whether this machine has it, and what it is."""

from dataclasses import dataclass

import torch

from core.errors import SettingError
from core.machine import cpu_name
from core.models.openvino import openvino_version
from core.models.variants import VARIANTS
from core.records import EngineKind


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


@dataclass(frozen=True, kw_only=True)
class DeviceDescription:
    """What decides how fast a device runs a network, beside the network."""

    name: str
    """The processor's or GPU's name."""
    capabilities: tuple[str, ...]
    """Instructions that a processor has, sorted; a GPU's compute capability."""
    threads: int
    """Cores that a network may use in this process; 0 on a GPU."""
    libraries: tuple[str, ...]
    """What computes there, with versions."""


def describe_device(device: torch.device, engine: EngineKind = EngineKind.TORCH) -> DeviceDescription:
    """Return what a device of this machine is, for this process, and what may compute there."""
    torch_version = f"torch {torch.__version__}"
    if device.type == "cuda":
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        major, minor = torch.cuda.get_device_capability(device)
        return DeviceDescription(
            name=torch.cuda.get_device_name(device),
            capabilities=(f"sm_{major}{minor}",),
            threads=0,
            libraries=(torch_version, f"cuda {torch.version.cuda}", f"cudnn {cudnn}"),
        )
    capabilities = torch.cpu.get_capabilities()
    openvino = engine is EngineKind.OPENVINO
    return DeviceDescription(
        name=cpu_name(),
        capabilities=tuple(sorted(name for name, has in capabilities.items() if has is True)),
        threads=torch.get_num_threads(),
        libraries=(torch_version, f"openvino {openvino_version()}") if openvino else (torch_version,),
    )


def local_devices() -> list[torch.device]:
    """Return the devices of this machine that models may run on."""
    return [torch.device("cpu"), *(torch.device("cuda", index) for index in range(torch.cuda.device_count()))]
