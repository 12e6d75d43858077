"""Every ONNX operator answers as the reference implementation of the standard; what is not known is refused by name."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from core.errors import UnknownOperatorError
from core.nets.assemble import assemble
from core.nets.operators_onnx import ONNX_CONSTANTS, ONNX_OPERATORS
from core.nets.read_onnx import read_onnx
from tests.unit.core.nets.onnx_graphs import one_node, onnx_bytes, steps

RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def integers(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def batch_norm(channels: int) -> list[np.ndarray]:
    return [floats(channels), floats(channels), floats(channels), np.abs(floats(channels)) + 0.1]


def after_flatten(operator: str, *constants: np.ndarray, **attributes: object) -> bytes:
    """Write `operator(Flatten(x), ...)`: [1, 48]."""
    names = [f"c{number}" for number in range(len(constants))]
    nodes = steps(("Flatten", ["x"], {}), (operator, ["v0", *names], attributes))
    return onnx_bytes(nodes, dict(zip(names, constants, strict=True)))


def viewed_by_its_shape() -> bytes:
    """Write what `x.view(x.size(0), -1)` is exported as."""
    nodes = steps(
        ("Shape", ["x"], {}),
        ("Gather", ["v0", "zero"], {"axis": 0}),
        ("Unsqueeze", ["v1", "axes"], {}),
        ("Concat", ["v2", "rest"], {"axis": 0}),
        ("Reshape", ["x", "v3"], {}),
    )
    constants = {"zero": np.array(0, np.int64), "axes": integers(0), "rest": integers(-1)}
    return onnx_bytes(nodes, constants)


CASES: dict[str, Callable[[], bytes]] = {
    "Add constant": lambda: one_node("Add", floats(1, 3, 1, 1)),
    "Add": lambda: onnx_bytes(steps(("Relu", ["x"], {}), ("Add", ["v0", "x"], {}))),
    "AveragePool": lambda: one_node("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool padded": lambda: one_node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "AveragePool counted": lambda: one_node("AveragePool", kernel_shape=[3, 3], pads=[0, 1, 2, 1], count_include_pad=1),
    "AveragePool all": lambda: one_node("AveragePool", kernel_shape=[4, 4]),
    "BatchNormalization": lambda: one_node("BatchNormalization", *batch_norm(3), epsilon=1e-3),
    "BatchNormalization dense": lambda: after_flatten("BatchNormalization", *batch_norm(48)),
    "Cast": lambda: one_node("Cast", to=1),
    "Clip": lambda: one_node("Clip", np.float32(-0.5), np.float32(0.3)),
    "Clip old": lambda: one_node("Clip", min=0.0, max=6.0, opset=6),
    "Concat": lambda: onnx_bytes(steps(("Relu", ["x"], {}), ("Concat", ["v0", "x"], {"axis": 1}))),
    "Conv": lambda: one_node("Conv", floats(4, 3, 3, 3), floats(4), pads=[1, 1, 1, 1], strides=[2, 2]),
    "Conv uneven": lambda: one_node("Conv", floats(4, 3, 3, 2), pads=[0, 1, 2, 0], dilations=[1, 2]),
    "Conv same upper": lambda: one_node(
        "Conv", floats(4, 3, 2, 2), auto_pad="SAME_UPPER", strides=[1, 1], kernel_shape=[2, 2]
    ),
    "Conv same lower": lambda: one_node(
        "Conv", floats(4, 3, 2, 2), auto_pad="SAME_LOWER", strides=[1, 1], kernel_shape=[2, 2]
    ),
    "Conv valid": lambda: one_node("Conv", floats(4, 3, 3, 3), auto_pad="VALID"),
    "Conv depthwise": lambda: one_node("Conv", floats(6, 1, 3, 3), group=3),
    "Div constant": lambda: one_node("Div", floats(3, 1, 1)),
    "Div": lambda: onnx_bytes(
        steps(("Sigmoid", ["x"], {}), ("Div", ["x", "v0"], {})),
    ),
    "Dropout": lambda: one_node("Dropout", np.float32(0.5)),
    "Flatten": lambda: one_node("Flatten"),
    "Gemm": lambda: after_flatten("Gemm", floats(5, 48), floats(5), transB=1, alpha=0.5, beta=2.0),
    "Gemm plain": lambda: after_flatten("Gemm", floats(48, 5)),
    "GlobalAveragePool": lambda: one_node("GlobalAveragePool"),
    "HardSigmoid": lambda: one_node("HardSigmoid", alpha=0.3, beta=0.4),
    "HardSwish": lambda: one_node("HardSwish"),
    "Identity": lambda: one_node("Identity"),
    "LeakyRelu": lambda: one_node("LeakyRelu", alpha=0.2),
    "MatMul": lambda: after_flatten("MatMul", floats(48, 5)),
    "MatMul turned": lambda: onnx_bytes(
        steps(("Flatten", ["x"], {}), ("Transpose", ["w"], {"perm": [1, 0]}), ("MatMul", ["v0", "v1"], {})),
        {"w": floats(5, 48)},
    ),
    "MaxPool": lambda: one_node("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "MaxPool uneven": lambda: one_node("MaxPool", kernel_shape=[3, 3], pads=[0, 1, 2, 0], strides=[1, 2]),
    "MaxPool even up": lambda: one_node("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "Mul constant": lambda: one_node("Mul", floats(1, 3, 1, 1)),
    "Mul": lambda: onnx_bytes(steps(("GlobalAveragePool", ["x"], {}), ("Mul", ["x", "v0"], {}))),
    "PRelu one": lambda: one_node("PRelu", floats(1)),
    "PRelu channels": lambda: one_node("PRelu", floats(3, 1, 1)),
    "PRelu dense": lambda: after_flatten("PRelu", floats(48)),
    "ReduceMean": lambda: one_node("ReduceMean", axes=[2, 3], keepdims=0),
    "ReduceMean input": lambda: one_node("ReduceMean", integers(-1, -2), opset=18),
    "Relu": lambda: one_node("Relu"),
    "Reshape": lambda: one_node("Reshape", integers(0, -1, 2)),
    "Reshape of one": lambda: one_node("Reshape", integers(1, 48)),
    "Shape": viewed_by_its_shape,
    "Sigmoid": lambda: one_node("Sigmoid"),
    "Softmax": lambda: after_flatten("Softmax", axis=1),
    "Squeeze": lambda: onnx_bytes(
        steps(("GlobalAveragePool", ["x"], {}), ("Squeeze", ["v0", "axes"], {})), {"axes": integers(2, -1)}
    ),
    "Sub": lambda: onnx_bytes(steps(("Relu", ["x"], {}), ("Sub", ["v0", "x"], {}))),
    "Sub constant": lambda: one_node("Sub", np.float32(127.5)),
    "Sub from constant": lambda: onnx_bytes(steps(("Sub", ["c", "x"], {})), {"c": np.float32(1.0)}),
    "Tanh": lambda: one_node("Tanh"),
    "Transpose": lambda: one_node("Transpose", perm=[0, 2, 3, 1]),
    "Unsqueeze": lambda: one_node("Unsqueeze", integers(1)),
    "Unsqueeze old": lambda: one_node("Unsqueeze", axes=[-1], opset=11),
}


@pytest.mark.parametrize("case", CASES)
def test_an_operator_answers_as_the_standards_reference(case: str) -> None:
    """A batch of three, where the file says one."""
    data = CASES[case]()
    reference = ReferenceEvaluator(onnx.load_model_from_string(data))
    x = 2.0 * floats(3, 3, 4, 4)
    expected = np.concatenate([reference.run(None, {"x": row[None]})[0] for row in x])
    with torch.no_grad():
        answer = assemble(read_onnx(data), 4)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=2e-5)


def test_every_operator_has_a_case() -> None:
    assert {case.split()[0] for case in CASES} == set(ONNX_OPERATORS)
    used = {node.op_type for case in CASES.values() for node in onnx.load_model_from_string(case()).graph.node}
    assert set(ONNX_CONSTANTS) <= used | {"Cast", "Identity"}


@pytest.mark.parametrize("operator", ["Identity", "Cast"])
def test_weights_may_pass_through_nodes_that_change_nothing(operator: str) -> None:
    weight = floats(4, 3, 1, 1)
    options = {"to": 1} if operator == "Cast" else {}
    data = onnx_bytes(steps((operator, ["w"], options), ("Conv", ["x", "v0"], {})), {"w": weight.astype(np.float16)})
    x = floats(2, 3, 4, 4)
    answer = assemble(read_onnx(data), 4)(torch.from_numpy(x)).detach().numpy()
    expected = np.einsum("oi,nihw->nohw", weight.astype(np.float16).astype(np.float32)[..., 0, 0], x)
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)


REFUSED: dict[str, Callable[[], bytes]] = {
    "an option": lambda: one_node("Conv", floats(4, 3, 3, 3), auto_pad="SIDEWAYS"),
    "an attribute": lambda: one_node("Relu", leak=0.1),
    "training": lambda: one_node("BatchNormalization", *batch_norm(3), training_mode=1),
    "dropping": lambda: one_node("Dropout", np.float32(0.5), np.array(True)[()].astype(np.int64)),
    "lines": lambda: one_node("Conv", floats(4, 3, 3, 3, 3), kernel_shape=[3, 3, 3]),
    "rounding up": lambda: one_node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "uncounted": lambda: one_node("AveragePool", kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
    "old softmax": lambda: one_node("Softmax", axis=1, opset=11),
    "across the batch": lambda: one_node("ReduceMean", axes=[0], keepdims=1),
    "without a batch": lambda: one_node("Reshape", integers(-1)),
    "another batch": lambda: one_node("Reshape", integers(2, -1)),
    "moved batch": lambda: one_node("Transpose", perm=[1, 0, 2, 3]),
    "flat batch": lambda: one_node("Flatten", axis=0),
    "slopes along a row": lambda: one_node("PRelu", floats(4)),
    "turned input": lambda: after_flatten("Gemm", floats(1, 5), transA=1),
    "of a constant": lambda: onnx_bytes(steps(("Div", ["c", "x"], {})), {"c": np.float32(1.0)}),
    "of weights": lambda: onnx_bytes(steps(("Relu", ["w"], {}), ("Add", ["x", "v0"], {})), {"w": floats(1)}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_is_refused_and_never_guessed(case: str) -> None:
    with pytest.raises(UnknownOperatorError, match="does not know"):
        assemble(read_onnx(REFUSED[case]()), 4)


def test_an_unknown_operator_is_named_with_its_node_and_those_that_are_known() -> None:
    with pytest.raises(UnknownOperatorError, match=r"'Einsum' \(node 'the node'\).*Add, AveragePool, .*Unsqueeze"):
        assemble(read_onnx(one_node("Einsum", equation="nchw->nchw")), 4)


def test_an_operator_of_another_domain_is_not_taken_for_the_standards() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"], name="the node", domain="com.example")
    with pytest.raises(UnknownOperatorError, match=r"com\.example\.Relu"):
        assemble(read_onnx(onnx_bytes([node])), 4)
