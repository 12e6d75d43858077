"""Every OpenVINO operator answers as its specification says, written in torch here; what is not known is refused."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import UnknownOperatorError
from core.nets.assemble import assemble
from core.nets.graph import Graph
from core.nets.operators_openvino import OPENVINO_OPERATORS
from tests.unit.core.nets.openvino_graphs import IrFile, openvino_graph

RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def integers(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


SCALARS = (np.float32(0.3), np.float32(0.4))
WEIGHT, GROUPED, CHANNELS, DENSE = floats(4, 3, 3, 3), floats(3, 2, 1, 3, 3), floats(1, 3, 1, 1), floats(4, 5)
W, G, C, D = (torch.from_numpy(array) for array in (WEIGHT, GROUPED, CHANNELS, DENSE))
PADS = 'strides="2, 2" dilations="1, 1" pads_begin="1, 1" pads_end="1, 1" auto_pad="explicit"'


def joined(kind: str, data: str = "", *, swapped: bool = False) -> Graph:
    """Read `kind(sigmoid(x), x)`, or the other way round."""
    ir = IrFile()
    inputs = [ir.operator("Sigmoid", [0]), 0]
    return ir.read(ir.operator(kind, inputs[::-1] if swapped else inputs, data))


def pooled(kind: str, *constants: np.ndarray, data: str = "") -> Graph:
    """Read `kind(mean over the map of x, ...)`."""
    ir = IrFile()
    mean = ir.operator("ReduceMean", [0, ir.constant(integers(2, 3))], 'keep_dims="true"')
    return ir.read(ir.operator(kind, [mean, *(ir.constant(array) for array in constants)], data))


def mean(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True)


CASES: dict[str, tuple[Callable[[], Graph], Callable[[Tensor], Tensor]]] = {
    "Add": (lambda: joined("Add", 'auto_broadcast="numpy"'), lambda x: x.sigmoid() + x),
    "Add constant": (lambda: openvino_graph("Add", CHANNELS), lambda x: x + C),
    "AvgPool": (
        lambda: openvino_graph(
            "AvgPool",
            data='kernel="2, 2" strides="2, 2" pads_begin="1, 1" pads_end="1, 1" exclude-pad="true"',
        ),
        lambda x: F.avg_pool2d(x, 2, 2, 1, count_include_pad=False),
    ),
    "AvgPool counted": (
        lambda: openvino_graph(
            "AvgPool", data='kernel="2, 2" strides="1, 1" pads_begin="0, 0" pads_end="1, 1" exclude-pad="false"'
        ),
        lambda x: F.avg_pool2d(F.pad(x, (0, 1, 0, 1)), 2, 1),
    ),
    "AvgPool all": (
        lambda: openvino_graph("AvgPool", data='kernel="4, 4" strides="4, 4" exclude-pad="true" rounding_type="floor"'),
        mean,
    ),
    "Clamp": (lambda: openvino_graph("Clamp", data='min="-0.5" max="0.3"'), lambda x: x.clamp(-0.5, 0.3)),
    "Concat": (lambda: joined("Concat", 'axis="-3"'), lambda x: torch.cat([x.sigmoid(), x], dim=1)),
    "Convert": (lambda: openvino_graph("Convert", data='destination_type="f32"'), lambda x: x),
    "Convolution": (
        lambda: openvino_graph("Convolution", WEIGHT, data=PADS),
        lambda x: F.conv2d(x, W, stride=2, padding=1),
    ),
    "Convolution same": (
        lambda: openvino_graph(
            "Convolution", WEIGHT[..., :2, :2].copy(), data='strides="1, 1" dilations="1, 1" auto_pad="same_upper"'
        ),
        lambda x: F.conv2d(F.pad(x, (0, 1, 0, 1)), W[..., :2, :2]),
    ),
    "Convolution valid": (
        lambda: openvino_graph("Convolution", WEIGHT, data='strides="1, 1" dilations="1, 1" auto_pad="valid"'),
        lambda x: F.conv2d(x, W),
    ),
    "Divide": (lambda: joined("Divide", swapped=True), lambda x: x / x.sigmoid()),
    "Divide constant": (lambda: openvino_graph("Divide", CHANNELS, data='m_pythondiv="true"'), lambda x: x / C),
    "GroupConvolution": (
        lambda: openvino_graph("GroupConvolution", GROUPED, data=PADS),
        lambda x: F.conv2d(x, G.reshape(6, 1, 3, 3), stride=2, padding=1, groups=3),
    ),
    "HardSigmoid": (lambda: openvino_graph("HardSigmoid", *SCALARS), lambda x: (0.3 * x + 0.4).clamp(0, 1)),
    "MatMul": (lambda: openvino_graph("MatMul", DENSE), lambda x: x @ D),
    "MatMul turned": (
        lambda: openvino_graph("MatMul", DENSE.T.copy(), data='transpose_a="false" transpose_b="true"'),
        lambda x: x @ D,
    ),
    "MaxPool": (
        lambda: openvino_graph(
            "MaxPool", data='kernel="3, 3" strides="1, 1" pads_begin="0, 1" pads_end="2, 1" rounding_type="ceil"'
        ),
        lambda x: F.max_pool2d(F.pad(x, (1, 1, 0, 2), value=-torch.inf), 3, 1),
    ),
    "Multiply": (lambda: joined("Multiply"), lambda x: x.sigmoid() * x),
    "Multiply constant": (lambda: openvino_graph("Multiply", CHANNELS), lambda x: x * C),
    "PReLU": (lambda: openvino_graph("PReLU", np.float32([0.2])), lambda x: F.leaky_relu(x, 0.2)),
    "PReLU channels": (lambda: openvino_graph("PReLU", CHANNELS.flatten()), lambda x: F.prelu(x, C.flatten())),
    "ReLU": (lambda: openvino_graph("ReLU"), torch.relu),
    "ReduceMean": (lambda: openvino_graph("ReduceMean", integers(2, -1)), lambda x: x.mean(dim=(2, 3))),
    "Reshape": (lambda: openvino_graph("Reshape", integers(1, -1)), lambda x: x.flatten(1)),
    "Reshape zero": (
        lambda: openvino_graph("Reshape", integers(0, 0, -1), data='special_zero="true"'),
        lambda x: x.flatten(2),
    ),
    "Sigmoid": (lambda: openvino_graph("Sigmoid"), torch.sigmoid),
    "SoftMax": (lambda: openvino_graph("SoftMax", data='axis="1"'), lambda x: x.softmax(1)),
    "Squeeze": (lambda: pooled("Squeeze", integers(-1, 2)), lambda x: x.mean(dim=(2, 3))),
    "Subtract": (lambda: joined("Subtract"), lambda x: x.sigmoid() - x),
    "Subtract constant": (lambda: openvino_graph("Subtract", CHANNELS), lambda x: x - C),
    "Tanh": (lambda: openvino_graph("Tanh"), torch.tanh),
    "Transpose": (lambda: openvino_graph("Transpose", integers(0, 2, 3, 1)), lambda x: x.permute(0, 2, 3, 1)),
    "Unsqueeze": (lambda: openvino_graph("Unsqueeze", integers(-1)), lambda x: x.unsqueeze(-1)),
    "opset4.HSwish": (lambda: openvino_graph("HSwish", opset="opset4"), F.hardswish),
    "opset4.Swish": (lambda: openvino_graph("Swish", opset="opset4"), F.silu),
    "opset8.Softmax": (
        lambda: openvino_graph("Softmax", data='axis="-1"', opset="opset8"),
        lambda x: x.softmax(-1),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_operator_answers_as_its_specification_says(case: str) -> None:
    graph, expected = CASES[case]
    x = torch.from_numpy(2.0 * floats(3, 3, 4, 4))
    with torch.no_grad():
        answer = assemble(graph(), 4)(x)
    torch.testing.assert_close(answer, expected(x), atol=2e-5, rtol=1e-5)


def test_every_operator_has_a_case() -> None:
    assert {case.split()[0] for case in CASES} == set(OPENVINO_OPERATORS)


def test_constants_of_half_precision_pass_a_conversion() -> None:
    ir = IrFile()
    constant = ir.operator("Convert", [ir.constant(CHANNELS.astype(np.float16))], 'destination_type="f32"')
    x = torch.from_numpy(floats(2, 3, 4, 4))
    answer = assemble(ir.read(ir.operator("Multiply", [0, constant])), 4)(x)
    torch.testing.assert_close(answer, x * C.half().float())


REFUSED: dict[str, Callable[[], Graph]] = {
    "an operator of a later set": lambda: openvino_graph("ReLU", opset="opset14"),
    "an unknown operator": lambda: openvino_graph("Einsum"),
    "broadcasting as PaddlePaddle does": lambda: openvino_graph("Add", CHANNELS, data='auto_broadcast="pdpd"'),
    "padding": lambda: openvino_graph("Convolution", WEIGHT, data='auto_pad="sideways"'),
    "rounding": lambda: openvino_graph("MaxPool", data='kernel="2, 2" rounding_type="nearest"'),
    "a flag": lambda: openvino_graph("AvgPool", data='kernel="2, 2" exclude-pad="perhaps"'),
    "a number": lambda: openvino_graph("Clamp", data='min="low" max="1"'),
    "a missing number": lambda: openvino_graph("Clamp", data='max="1"'),
    "a turned input": lambda: openvino_graph("MatMul", DENSE, data='transpose_a="true"'),
    "a kind of number": lambda: openvino_graph("Convert", data='destination_type="i32"'),
    "a batch that is squeezed": lambda: openvino_graph("Squeeze", integers(0)),
    "an attribute": lambda: openvino_graph("Sigmoid", data='steep="2"'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_is_refused_and_never_guessed(case: str) -> None:
    with pytest.raises(UnknownOperatorError, match="does not know"):
        assemble(REFUSED[case](), 4)
