"""Dropout that draws from a generator of its owner's, not from torch's global one."""

from typing import ClassVar

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Sets a share of the features to zero while training, and scales the others up. Scriptable.

    With a generator for each network, several learn side by side and each still draws the same numbers every time.

    Args:
        share: of the features, 0..1.
    """

    __jit_ignored_attributes__: ClassVar[list[str]] = ["generator"]

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None
        """On the CPU; None for torch's global one."""

    def forward(self, x: Tensor) -> Tensor:
        """Map float [N, ...] to the same shape."""
        if self.training:
            return self._drop(x)
        return x

    @torch.jit.unused
    def _drop(self, x: Tensor) -> Tensor:
        kept = torch.rand(x.shape, generator=self.generator) >= self.share
        return x * kept.to(x.device) / (1.0 - self.share)
