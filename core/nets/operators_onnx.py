"""The operators of ONNX that are known. To add one, write its function and name it in a table below.

After the ONNX operator schemas (onnx.ai/onnx/operators), opsets 7 and later.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from core.nets import operators as shared
from core.nets.layers import Clamp
from core.nets.site import Flow, Operator, Site, Value
from core.nets.windows import Window, average_pool, convolve, max_pool, pair, same_padding

_FLOATS, _INTEGERS = (1, 10, 11), (6, 7)  # onnx.TensorProto: FLOAT, FLOAT16, DOUBLE; INT32, INT64


def _convolution(site: Site) -> Flow:
    weight, bias = site.constant(1), site.constant(2) if site.has(2) else None
    window = _window(site, tuple(weight.shape[2:]))
    return convolve(site, site.flow(), weight, bias, window, groups=site.integer("group", 1))


def _max_pool(site: Site) -> Flow:
    site.only("storage_order", "0")
    return max_pool(site, site.flow(), _window(site, None), ceil=site.flag("ceil_mode", default=False))


def _average_pool(site: Site) -> Flow:
    ceil, count_padding = site.flag("ceil_mode", default=False), site.flag("count_include_pad", default=False)
    return average_pool(site, site.flow(), _window(site, None), ceil=ceil, count_padding=count_padding)


def _window(site: Site, kernel: tuple[int, ...] | None) -> Window:
    size = pair(site, "kernel_shape", site.integers("kernel_shape", kernel))
    if kernel is not None and size != kernel:
        raise site.refuse(f"with kernel_shape={size} and weights of {kernel}")
    stride = pair(site, "strides", site.integers("strides", (1, 1)))
    dilation = pair(site, "dilations", site.integers("dilations", (1, 1)))
    pads = site.integers("pads", (0, 0, 0, 0))  # top, left, bottom, right
    before, after = pair(site, "pads", pads[: len(pads) // 2]), pair(site, "pads", pads[len(pads) // 2 :])
    auto = site.text("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        lower = auto == "SAME_LOWER"
        before, after = same_padding(site.flow().shape[2:], size, stride, dilation, lower=lower)
    elif auto == "VALID":
        before = after = (0, 0)
    elif auto != "NOTSET":
        raise site.refuse(f"with auto_pad={auto!r}")
    return Window(kernel=size, stride=stride, dilation=dilation, before=before, after=after)


def _batch_norm(site: Site) -> Flow:
    """Normalise by the statistics of training: (x - mean) / sqrt(variance + epsilon) * scale + bias."""
    x = site.flow()
    site.ignore("momentum")  # of training
    site.only("training_mode", "0")
    site.only("spatial", "1", *(("0",) if len(x.shape) == 2 else ()))  # without a map it makes no difference
    scale, bias, mean, variance = (site.constant(index).double() for index in range(1, 5))
    factor = scale / torch.sqrt(variance + site.number("epsilon", 1e-5))
    channels = [1, -1] + [1] * (len(x.shape) - 2)
    return shared.affine(site, x, factor.reshape(channels), (bias - mean * factor).reshape(channels))


def _prelu(site: Site) -> Flow:
    return shared.prelu(site, site.constant(1))


def _leaky_relu(site: Site) -> Flow:
    return shared.leaky_relu(site, site.number("alpha", 0.01))


def _clip(site: Site) -> Flow:
    """Take limits from attributes (opset 6) or inputs (opset 11)."""
    low = site.constant_number(1) if site.has(1) else site.number("min", -math.inf)
    high = site.constant_number(2) if site.has(2) else site.number("max", math.inf)
    return site.apply(Clamp(low, high), site.flow())


def _hard_sigmoid(site: Site) -> Flow:
    return shared.hard_sigmoid(site, site.number("alpha", 0.2), site.number("beta", 0.5))


def _softmax(site: Site) -> Flow:
    """Take the last axis; before opset 13 other axes had another meaning, and axis 1 was the default."""
    axis, ndim = site.integer("axis", 1 if len(site.flow().shape) == 2 else None), len(site.flow().shape)
    if axis not in (-1, ndim - 1):
        raise site.refuse(f"along axis {axis} of {site.flow().shape}")
    return shared.softmax(site, axis)


def _gemm(site: Site) -> Flow:
    """Apply `alpha * x @ b + beta * c`."""
    if site.flag("transA", default=False):
        raise site.refuse("with transA=1")
    alpha, beta, matrix = site.number("alpha", 1.0), site.number("beta", 1.0), site.constant(1)
    weight = matrix if site.flag("transB", default=False) else matrix.t()
    bias = beta * site.constant(2) if site.has(2) else None
    return shared.linear(site, site.flow(), alpha * weight, bias)


def _matmul(site: Site) -> Flow:
    return shared.linear(site, site.flow(), site.constant(1).t(), None)


def _reshape(site: Site) -> Flow:
    shape, old = site.constant_integers(1), site.flow().shape
    if not site.flag("allowzero", default=False):
        shape = tuple(old[axis] if side == 0 and axis < len(old) else side for axis, side in enumerate(shape))
    return shared.reshape(site, shape)


def _flatten(site: Site) -> Flow:
    if site.integer("axis", 1) != 1:
        raise site.refuse("along another axis than 1")
    return shared.reshape(site, (1, -1))


def _axes(site: Site) -> tuple[int, ...]:
    """Take axes from an attribute (before opset 13, for means 18) or from the second input."""
    return site.constant_integers(1) if site.has(1) else site.integers("axes")


def _squeeze(site: Site) -> Flow:
    return shared.squeeze(site, _axes(site))


def _unsqueeze(site: Site) -> Flow:
    return shared.unsqueeze(site, _axes(site))


def _transpose(site: Site) -> Flow:
    return shared.transpose(site, site.integers("perm"))


def _concatenate(site: Site) -> Flow:
    return shared.concatenate(site, site.integer("axis"))


def _mean(site: Site) -> Flow:
    site.only("noop_with_empty_axes", "0")
    return shared.mean(site, _axes(site), keep=site.flag("keepdims", default=True))


def _global_average_pool(site: Site) -> Flow:
    return shared.mean(site, range(2, len(site.flow().shape)), keep=True)


def _dropout(site: Site) -> Value:
    """Pass the value on: nothing is dropped outside training."""
    site.ignore("ratio", "seed")
    if site.has(2) and site.constant_number(2):
        raise site.refuse("in training mode")
    return site.flow()


def _cast(site: Site) -> Value:
    site.only("to", *map(str, _FLOATS))
    return site.flow()


def _shape(site: Site) -> Tensor:
    """Return the shape of a batch of one, which `shared.reshape` takes for one item of any batch."""
    return torch.tensor(site.flow().shape)


ONNX_OPERATORS: Mapping[str, Operator] = {
    "Add": shared.add,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concatenate,
    "Conv": _convolution,
    "Div": shared.divide,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": shared.hard_swish,
    "Identity": shared.identity,
    "LeakyRelu": _leaky_relu,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mul": shared.multiply,
    "PRelu": _prelu,
    "ReduceMean": _mean,
    "Relu": shared.unary(nn.ReLU),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": shared.unary(nn.Sigmoid),
    "Softmax": _softmax,
    "Squeeze": _squeeze,
    "Sub": shared.subtract,
    "Tanh": shared.unary(nn.Tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""On values that depend on the picture."""


def _cast_constant(site: Site) -> Tensor:
    kind = site.integer("to")
    if kind not in _FLOATS + _INTEGERS:
        raise site.refuse(f"with to={kind}")
    return site.constant(0).to(torch.float32 if kind in _FLOATS else torch.int64)


def _gather_constant(site: Site) -> Tensor:
    constant, indices = site.constant(0), site.constant(1)
    axis = range(constant.ndim)[site.integer("axis", 0)]
    picked = constant.index_select(axis, indices.flatten() % constant.shape[axis])
    return picked.reshape([*constant.shape[:axis], *indices.shape, *constant.shape[axis + 1 :]])


def _unsqueeze_constant(site: Site) -> Tensor:
    constant, axes = site.constant(0), _axes(site)
    for axis in sorted(axis % (constant.ndim + len(axes)) for axis in axes):
        constant = constant.unsqueeze(axis)
    return constant


def _concatenate_constants(site: Site) -> Tensor:
    return torch.cat([site.constant(index) for index in range(len(site.inputs))], dim=site.integer("axis"))


def _transpose_constant(site: Site) -> Tensor:
    return site.constant(0).permute(site.integers("perm"))


ONNX_CONSTANTS: Mapping[str, Operator] = {
    "Cast": _cast_constant,
    "Concat": _concatenate_constants,
    "Gather": _gather_constant,
    "Identity": lambda site: site.constant(0),
    "Transpose": _transpose_constant,
    "Unsqueeze": _unsqueeze_constant,
}
"""On constants alone: weights that are turned before they are used, and arithmetic with shapes."""
