"""Freezing a compiled network: structure and weights become one graph, in the precision that it is run in.

On a CPU this and reading the unfrozen network take more than half of a swap, so an artifact holds frozen copies too.
"""

import torch

from core.errors import ModelParityError


def freeze_network(module: torch.jit.ScriptModule, precision: torch.dtype) -> torch.jit.ScriptModule:
    """Freeze a loaded servable.

    Args:
        module: taken over; one that is frozen already is returned as it is.
        precision: what the backbone computes in; the crops' preparation, the head and all answers stay float32.

    Raises:
        ModelParityError: it has no backbone of its own, so that is not known to be right.
    """
    if precision is not torch.float32:
        backbone = getattr(getattr(module, "network", None), "backbone", None)
        if backbone is None:
            raise ModelParityError("The model has no backbone that can be run in low precision; it is run in float32.")
        backbone.to(precision)
    if not hasattr(module, "training"):  # what is frozen already has no mode any more
        return module
    frozen: torch.jit.ScriptModule = torch.jit.freeze(module)
    return frozen
