"""What the operators of both dialects come down to: arithmetic, shapes, activations, dense layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.nets.layers import (
    Affine,
    Concatenation,
    Difference,
    HardSigmoid,
    Mean,
    Permutation,
    Product,
    Quotient,
    Reshape,
    Sum,
)
from core.nets.site import Flow, Operator, Site, Value


def affine(site: Site, x: Flow, scale: Tensor | float, shift: Tensor | float) -> Flow:
    """Apply `x * scale + shift`, constants broadcast as numpy does."""
    parts = []
    for part in (scale, shift):
        constant = torch.as_tensor(part, dtype=torch.float32)
        if constant.ndim > len(x.shape) or (constant.ndim == len(x.shape) and constant.shape[0] != 1):
            raise site.refuse(f"with a constant of shape {tuple(constant.shape)} on {x.shape}")
        parts.append(constant.reshape([1] * (len(x.shape) - constant.ndim) + list(constant.shape)).clone())
    return site.apply(Affine(*parts), x)


def add(site: Site) -> Flow:
    """Add two values, one of which may be constant."""
    flows, constant = _operands(site)
    return site.apply(Sum(), *flows) if constant is None else affine(site, flows[0], 1.0, constant)


def multiply(site: Site) -> Flow:
    """Multiply two values, one of which may be constant."""
    flows, constant = _operands(site)
    return site.apply(Product(), *flows) if constant is None else affine(site, flows[0], constant, 0.0)


def subtract(site: Site) -> Flow:
    """Subtract two values, one of which may be constant."""
    flows, constant = _operands(site)
    if constant is None:
        return site.apply(Difference(), *flows)
    if isinstance(site.inputs[0], Flow):
        return affine(site, flows[0], 1.0, -constant)
    return affine(site, flows[0], -1.0, constant)


def divide(site: Site) -> Flow:
    """Divide two values, or one by a constant."""
    flows, constant = _operands(site)
    if constant is None:
        return site.apply(Quotient(), *flows)
    return affine(site, site.flow(0), 1.0 / constant.double(), 0.0)


def _operands(site: Site) -> tuple[list[Flow], Tensor | None]:
    """Return the values of a sum or product, and the constant where there is one."""
    flows = [value for value in site.inputs if isinstance(value, Flow)]
    constants = [value for value in site.inputs if isinstance(value, Tensor)]
    if len(flows) + len(constants) != 2 or not flows:
        raise site.refuse(f"on {len(site.inputs)} values")
    return flows, constants[0] if constants else None


def unary(layer: type[nn.Module]) -> Operator:
    """Make the operator of a layer that has no options."""
    return lambda site: site.apply(layer(), site.flow())


def identity(site: Site) -> Value:
    """Pass a value on."""
    return site.flow()


def leaky_relu(site: Site, slope: float) -> Flow:
    """Scale what is below zero."""
    return site.apply(nn.LeakyReLU(slope), site.flow())


def prelu(site: Site, slope: Tensor) -> Flow:
    """Scale what is below zero, by one slope or by one a channel.

    One slope becomes a LeakyReLU: TorchScript's fast paths know it and do not know PReLU.

    Args:
        site: whose.
        slope: float32, one number, or one a channel: [C, 1, 1] for a map, broadcast as numpy does.
    """
    if slope.numel() == 1:
        return leaky_relu(site, float(slope.item()))
    x = site.flow()
    sides = [1] * (len(x.shape) - slope.ndim) + list(slope.shape)
    if len(sides) != len(x.shape) or not sides[1] == slope.numel() == x.shape[1]:
        raise site.refuse(f"with slopes of shape {tuple(slope.shape)} on {x.shape}")
    layer = nn.PReLU(slope.numel())
    layer.weight = nn.Parameter(slope.flatten().clone())
    return site.apply(layer, x)


def hard_sigmoid(site: Site, slope: float, offset: float) -> Flow:
    """Clamp a line to 0..1."""
    return site.apply(HardSigmoid(slope, offset), site.flow())


def hard_swish(site: Site) -> Flow:
    """Apply `x * hard sigmoid(x)` with slope 1/6 and offset 1/2."""
    return site.apply(nn.Hardswish(), site.flow())


def softmax(site: Site, axis: int) -> Flow:
    """Turn numbers along an axis into shares."""
    x = site.flow()
    return site.apply(nn.Softmax(dim=item_axis(site, x, axis)), x)


def linear(site: Site, x: Flow, weight: Tensor, bias: Tensor | None) -> Flow:
    """Apply a dense layer to the last axis.

    Args:
        site: whose.
        x: float [N, ..., I].
        weight: float32 [O, I].
        bias: float32, broadcast to [O], or None.
    """
    if weight.ndim != 2:
        raise site.refuse(f"with a matrix of shape {tuple(weight.shape)}")
    outputs, inputs = weight.shape
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias is not None)  # type: ignore[no-untyped-call]
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        if bias.numel() not in (1, outputs):
            raise site.refuse(f"with a bias of shape {tuple(bias.shape)} for {outputs} outputs")
        layer.bias = nn.Parameter(bias.flatten().expand(outputs).clone())
    return site.apply(layer, x)


def reshape(site: Site, shape: Sequence[int]) -> Flow:
    """Give every item another shape.

    Args:
        site: whose.
        shape: of a batch of one; one length may be -1.

    Raises:
        UnknownOperatorError: the first axis would no longer be the batch.
    """
    x = site.flow()
    try:
        wanted = tuple(x.example.reshape(tuple(shape)).shape)
    except RuntimeError:
        raise site.refuse(f"from {x.shape} to {tuple(shape)}") from None
    if not wanted or wanted[0] != 1:
        raise site.refuse(f"from {x.shape} to {wanted}, where the first axis is not the batch")
    return x if wanted == x.shape else site.apply(Reshape(wanted[1:]), x)


def squeeze(site: Site, axes: Sequence[int]) -> Flow:
    """Drop axes of length 1."""
    shape = site.flow().shape
    dropped = {item_axis(site, site.flow(), axis) for axis in axes}
    if any(shape[axis] != 1 for axis in dropped):
        raise site.refuse(f"of axes {tuple(axes)} of {shape}")
    return reshape(site, [side for axis, side in enumerate(shape) if axis not in dropped])


def unsqueeze(site: Site, axes: Sequence[int]) -> Flow:
    """Put in axes of length 1."""
    shape = site.flow().shape
    ndim = len(shape) + len(axes)
    added = {axis % ndim for axis in axes}
    sides = iter(shape)
    return reshape(site, [1 if axis in added else next(sides) for axis in range(ndim)])


def transpose(site: Site, order: Sequence[int]) -> Flow:
    """Put the axes in another order, the batch staying first."""
    x = site.flow()
    if not order or order[0] != 0:
        raise site.refuse(f"that moves the batch ({tuple(order)})")
    return site.apply(Permutation(tuple(order)), x)


def concatenate(site: Site, axis: int) -> Flow:
    """Put values side by side."""
    flows = [site.flow(index) for index in range(len(site.inputs))]
    return site.apply(Concatenation(item_axis(site, flows[0], axis)), *flows)


def mean(site: Site, axes: Sequence[int], *, keep: bool) -> Flow:
    """Average over axes."""
    x = site.flow()
    if not axes:
        raise site.refuse("without axes")
    return site.apply(Mean(tuple(item_axis(site, x, axis) for axis in axes), keep=keep), x)


def item_axis(site: Site, x: Flow, axis: int) -> int:
    """Return an axis counted from the front; it must not be the batch's."""
    ndim = len(x.shape)
    if not (-ndim <= axis < ndim) or axis % ndim == 0:
        raise site.refuse(f"along axis {axis} of {x.shape}")
    return axis % ndim
