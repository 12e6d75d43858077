"""The operators of OpenVINO IR that are known. To add one, write its function and name it in a table below.

Names of operators of a later set than opset1 begin with that set: `opset4.HSwish`. After docs.openvino.ai,
"Operation specifications".
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from core.nets import operators as shared
from core.nets.layers import Clamp
from core.nets.site import Flow, Operator, Site
from core.nets.windows import Window, average_pool, convolve, max_pool, pair, same_padding

_CASTS = {"f16": torch.float32, "f32": torch.float32, "i32": torch.int64, "i64": torch.int64}


def _arithmetic(operator: Operator) -> Operator:
    def broadcast(site: Site) -> Flow | Tensor:
        site.only("auto_broadcast", "numpy")
        site.ignore("m_pythondiv")  # says how integers are divided; what flows is float
        return operator(site)

    return broadcast


def _convolution(site: Site) -> Flow:
    weight = site.constant(1)
    return convolve(site, site.flow(), weight, None, _window(site, weight.shape[2:]), groups=1)


def _group_convolution(site: Site) -> Flow:
    weight = site.constant(1)  # [G, O / G, C / G, KH, KW]
    window = _window(site, weight.shape[3:])
    return convolve(site, site.flow(), weight.flatten(0, 1), None, window, groups=weight.shape[0])


def _max_pool(site: Site) -> Flow:
    ceil = _rounds_up(site)
    return max_pool(site, site.flow(), _window(site, site.integers("kernel")), ceil=ceil)


def _average_pool(site: Site) -> Flow:
    ceil, count_padding = _rounds_up(site), not site.flag("exclude-pad", default=True)
    window = _window(site, site.integers("kernel"))
    return average_pool(site, site.flow(), window, ceil=ceil, count_padding=count_padding)


def _rounds_up(site: Site) -> bool:
    rounding = site.text("rounding_type", "floor")
    if rounding not in ("floor", "ceil"):
        raise site.refuse(f"with rounding_type={rounding!r}")
    return rounding == "ceil"


def _window(site: Site, kernel: tuple[int, ...]) -> Window:
    size = pair(site, "kernel", tuple(kernel))
    stride = pair(site, "strides", site.integers("strides", (1, 1)))
    dilation = pair(site, "dilations", site.integers("dilations", (1, 1)))
    before = pair(site, "pads_begin", site.integers("pads_begin", (0, 0)))
    after = pair(site, "pads_end", site.integers("pads_end", (0, 0)))
    auto = site.text("auto_pad", "explicit")
    if auto == "valid":
        before = after = (0, 0)
    elif auto in ("same_upper", "same_lower"):
        lower = auto == "same_lower"
        before, after = same_padding(site.flow().shape[2:], size, stride, dilation, lower=lower)
    elif auto != "explicit":
        raise site.refuse(f"with auto_pad={auto!r}")
    return Window(kernel=size, stride=stride, dilation=dilation, before=before, after=after)


def _prelu(site: Site) -> Flow:
    """Take a list of slopes as one a channel."""
    slope = site.constant(1)
    if slope.ndim == 1:
        slope = slope.reshape([1, -1] + [1] * (len(site.flow().shape) - 2))
    return shared.prelu(site, slope)


def _clamp(site: Site) -> Flow:
    return site.apply(Clamp(site.number("min"), site.number("max")), site.flow())


def _hard_sigmoid(site: Site) -> Flow:
    return shared.hard_sigmoid(site, site.constant_number(1), site.constant_number(2))


def _softmax(site: Site) -> Flow:
    return shared.softmax(site, site.integer("axis", 1))


def _matmul(site: Site) -> Flow:
    if site.flag("transpose_a", default=False):
        raise site.refuse("with transpose_a")
    matrix = site.constant(1)
    return shared.linear(site, site.flow(), matrix if site.flag("transpose_b", default=False) else matrix.t(), None)


def _reshape(site: Site) -> Flow:
    shape, old = site.constant_integers(1), site.flow().shape
    if site.flag("special_zero", default=False):
        shape = tuple(old[axis] if side == 0 and axis < len(old) else side for axis, side in enumerate(shape))
    return shared.reshape(site, shape)


def _squeeze(site: Site) -> Flow:
    return shared.squeeze(site, site.constant_integers(1))


def _unsqueeze(site: Site) -> Flow:
    return shared.unsqueeze(site, site.constant_integers(1))


def _transpose(site: Site) -> Flow:
    return shared.transpose(site, site.constant_integers(1))


def _concatenate(site: Site) -> Flow:
    return shared.concatenate(site, site.integer("axis"))


def _mean(site: Site) -> Flow:
    return shared.mean(site, site.constant_integers(1), keep=site.flag("keep_dims", default=False))


def _convert(site: Site) -> Flow:
    site.only("destination_type", "f32", "f16")
    return site.flow()


OPENVINO_OPERATORS: Mapping[str, Operator] = {
    "Add": _arithmetic(shared.add),
    "AvgPool": _average_pool,
    "Clamp": _clamp,
    "Concat": _concatenate,
    "Convert": _convert,
    "Convolution": _convolution,
    "Divide": _arithmetic(shared.divide),
    "GroupConvolution": _group_convolution,
    "HardSigmoid": _hard_sigmoid,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Multiply": _arithmetic(shared.multiply),
    "PReLU": _prelu,
    "ReLU": shared.unary(nn.ReLU),
    "ReduceMean": _mean,
    "Reshape": _reshape,
    "Sigmoid": shared.unary(nn.Sigmoid),
    "SoftMax": _softmax,
    "Squeeze": _squeeze,
    "Subtract": _arithmetic(shared.subtract),
    "Tanh": shared.unary(nn.Tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "opset4.HSwish": shared.hard_swish,
    "opset4.Swish": shared.unary(nn.SiLU),
    "opset8.Softmax": _softmax,
}
"""On values that depend on the picture."""


def _convert_constant(site: Site) -> Tensor:
    wanted = site.text("destination_type")
    if wanted not in _CASTS:
        raise site.refuse(f"with destination_type={wanted!r}")
    return site.constant(0).to(_CASTS[wanted])


OPENVINO_CONSTANTS: Mapping[str, Operator] = {"Convert": _convert_constant}
"""On constants alone."""
