"""Writes tiny ONNX files for the tests of the importer."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def onnx_bytes(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    size_px: int = 4,
) -> bytes:
    """Write a network from `x` [1, 3, S, S] to `y`."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size_px, size_px])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return bytes(model.SerializeToString())


def one_node(operator: str, *constants: np.ndarray, opset: int = 17, size_px: int = 4, **attributes: object) -> bytes:
    """Write a network of one node: its inputs are `x` and then the constants."""
    named = {f"c{number}": array for number, array in enumerate(constants)}
    node = helper.make_node(operator, ["x", *named], ["y"], name="the node", **attributes)
    return onnx_bytes([node], named, opset=opset, size_px=size_px)


def steps(*nodes: tuple[str, Sequence[str], Mapping[str, object]]) -> list[onnx.NodeProto]:
    """Make nodes of (operator, inputs, attributes): each gives `v0`, `v1`, ..., the last `y`."""
    last = len(nodes) - 1
    return [
        helper.make_node(
            operator, list(inputs), ["y" if number == last else f"v{number}"], name=f"n{number}", **options
        )
        for number, (operator, inputs, options) in enumerate(nodes)
    ]
