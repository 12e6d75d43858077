"""The layers of imported networks that torch.nn lacks. Scriptable; the first axis is always the batch."""

import torch
from torch import Tensor, nn


class Affine(nn.Module):
    """`x * scale + shift` with constants: batch norm, and arithmetic with constants.

    Args:
        scale, shift: float32, broadcast with x; as many axes as x, the first of length 1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [N, ...] to the same shape."""
        return x * self.scale + self.shift


class ReverseChannels(nn.Module):
    """RGB to BGR, and back."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same with the channels in reverse order."""
        return x.flip(1)


class Sum(nn.Module):
    """`a + b`, broadcast."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Add."""
        return a + b


class Difference(nn.Module):
    """`a - b`, broadcast."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Subtract."""
        return a - b


class Product(nn.Module):
    """`a * b`, broadcast."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply."""
        return a * b


class Quotient(nn.Module):
    """`a / b`, broadcast."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Divide."""
        return a / b


class Concatenation(nn.Module):
    """Values side by side along one axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, parts: list[Tensor]) -> Tensor:
        """Join."""
        return torch.cat(parts, dim=self.axis)


class Reshape(nn.Module):
    """Another shape for each item of the batch.

    Args:
        item_shape: lengths of all axes but the first.
    """

    def __init__(self, item_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.item_shape = list(item_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, ...] to [N, *item_shape]."""
        return x.reshape([x.shape[0]] + self.item_shape)  # noqa: RUF005 - TorchScript unpacks no lists


class Permutation(nn.Module):
    """Axes in another order, the first in its place."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        super().__init__()
        self.axes = list(axes)

    def forward(self, x: Tensor) -> Tensor:
        """Permute."""
        return x.permute(self.axes)


class Mean(nn.Module):
    """The mean over some axes of each item."""

    def __init__(self, axes: tuple[int, ...], *, keep: bool) -> None:
        super().__init__()
        self.axes = list(axes)
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        """Average; the axes stay with length 1 when they are kept."""
        return x.mean(self.axes, keepdim=self.keep)


class Clamp(nn.Module):
    """`min(max(x, low), high)`."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low = low
        self.high = high

    def forward(self, x: Tensor) -> Tensor:
        """Clamp."""
        return x.clamp(self.low, self.high)


class HardSigmoid(nn.Module):
    """`min(max(slope * x + offset, 0), 1)`."""

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.slope = slope
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        """Map to 0..1."""
        return (self.slope * x + self.offset).clamp(0.0, 1.0)
