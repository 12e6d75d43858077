"""Compiling networks to TorchScript. A backbone that stays as it is, under one head after another, is compiled once."""

import copy

import torch
from torch import nn

_compiled: dict[nn.Module, torch.jit.ScriptModule] = {}
"""The last backbone, by what it was compiled from; both hold the very same weights."""


def script_network(network: nn.Module) -> torch.jit.ScriptModule:
    """Compile a network; it is left as it is.

    A third of a second of the export of a head on face-reidentification-retail-0095 was compiling its backbone.
    """
    wrapped = getattr(network, "network", None)
    backbone = getattr(wrapped, "backbone", None)
    if not isinstance(wrapped, nn.Module) or not isinstance(backbone, nn.Module) or _learns(backbone):
        return _script(network)
    if backbone not in _compiled:
        _compiled.clear()
        _compiled[backbone] = _script(backbone)
    return _script(_with(network, "network", _with(wrapped, "backbone", _compiled[backbone])))


def _script(network: nn.Module) -> torch.jit.ScriptModule:
    scripted: torch.jit.ScriptModule = torch.jit.script(network)
    return scripted


def _learns(backbone: nn.Module) -> bool:
    return backbone.training or any(parameter.requires_grad for parameter in backbone.parameters())


def _with(module: nn.Module, name: str, part: nn.Module) -> nn.Module:
    """Return the same module with another part: all else is shared."""
    changed = copy.copy(module)
    changed._modules = {**module._modules, name: part}
    return changed
