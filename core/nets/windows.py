"""Convolutions and pools: what slides a window over a map, with padding done exactly as the file says."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.nets.layers import Mean
from core.nets.site import Flow, Site

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window and its steps; height first, in pixels."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    before: Pair
    """Padding above and to the left."""
    after: Pair
    """Padding below and to the right."""

    @property
    def is_symmetric(self) -> bool:
        """Whether the padding is the same on both sides."""
        return self.before == self.after


def same_padding(sizes: Sequence[int], kernel: Pair, stride: Pair, dilation: Pair, *, lower: bool) -> tuple[Pair, Pair]:
    """Return the padding that gives `ceil(size / stride)` positions; the odd pixel goes first when `lower`.

    Both ONNX (`SAME_UPPER`) and OpenVINO (`same_upper`) define it so.
    """
    totals = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        positions = -(-size // s)
        totals.append(max(0, (positions - 1) * s + d * (k - 1) + 1 - size))
    small = (totals[0] // 2, totals[1] // 2)
    large = (totals[0] - small[0], totals[1] - small[1])
    return (large, small) if lower else (small, large)


def pair(site: Site, name: str, numbers: tuple[int, ...]) -> Pair:
    """Return the two numbers of an attribute; maps of one or three dimensions are not known."""
    if len(numbers) != 2:
        raise site.refuse(f"with {name}={numbers!r} (maps have two dimensions here)")
    return numbers[0], numbers[1]


def convolve(site: Site, x: Flow, weight: Tensor, bias: Tensor | None, window: Window, groups: int) -> Flow:
    """Apply a convolution.

    Args:
        site: whose.
        x: float [N, C, H, W].
        weight: float32 [O, C / groups, KH, KW].
        bias: float32 [O], or None.
        window: its window.
        groups: into how many the channels are divided.
    """
    padding = window.before
    if not window.is_symmetric:
        x, padding = site.apply(nn.ZeroPad2d(_sides(window)), x), (0, 0)
    layer = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d,
        weight.shape[1] * groups,
        weight.shape[0],
        kernel_size=window.kernel,
        stride=window.stride,
        padding=padding,
        dilation=window.dilation,
        groups=groups,
        bias=bias is not None,
    )
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.flatten().clone())
    return site.apply(layer, x)


def max_pool(site: Site, x: Flow, window: Window, *, ceil: bool) -> Flow:
    """Apply a maximum over windows; what is padded never wins."""
    _check_rounding(site, x, window, ceil=ceil)
    padding = window.before
    # torch pads by at most half a window by itself
    if not window.is_symmetric or any(2 * p > k for p, k in zip(padding, window.kernel, strict=True)):
        x, padding = site.apply(nn.ConstantPad2d(_sides(window), -torch.inf), x), (0, 0)
    return site.apply(nn.MaxPool2d(window.kernel, window.stride, padding, window.dilation), x)


def average_pool(site: Site, x: Flow, window: Window, *, ceil: bool, count_padding: bool) -> Flow:
    """Apply a mean over windows; over the whole map it is the mean of each channel."""
    _check_rounding(site, x, window, ceil=ceil)
    padding = window.before
    if window.dilation != (1, 1):
        raise site.refuse(f"with dilations={window.dilation}")
    if window.kernel == x.shape[2:] and padding == window.after == (0, 0):
        return site.apply(Mean((2, 3), keep=True), x)
    if not window.is_symmetric or any(2 * p > k for p, k in zip(padding, window.kernel, strict=True)):
        if not count_padding:
            raise site.refuse(f"with padding {window.before} and {window.after} that does not count")
        x, padding = site.apply(nn.ZeroPad2d(_sides(window)), x), (0, 0)
    return site.apply(nn.AvgPool2d(window.kernel, window.stride, padding, count_include_pad=count_padding), x)


def _sides(window: Window) -> tuple[int, int, int, int]:
    """Return the padding as torch wants it: left, right, top, bottom."""
    (top, left), (bottom, right) = window.before, window.after
    return left, right, top, bottom


def _check_rounding(site: Site, x: Flow, window: Window, *, ceil: bool) -> None:
    """Refuse to round the number of positions up where that makes a difference: formats disagree on what it means."""
    if not ceil:
        return
    for axis in range(2):
        reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1
        free = x.shape[2 + axis] + window.before[axis] + window.after[axis] - reach
        if free % window.stride[axis]:
            raise site.refuse("that rounds the number of its windows up")
