"""Which torch device a name means, and whether this machine has it."""

import torch

from core.errors import SettingError
from core.models.variants import VARIANTS


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
