"""An ONNX file is read as it is written, and one that cannot be used is refused in words."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from core.errors import WeightsUnreadableError
from core.nets.graph import Dialect, Node
from core.nets.read_onnx import read_onnx
from tests.unit.core.nets.onnx_graphs import one_node, onnx_bytes, steps


def test_a_graph_is_read_as_it_is_written() -> None:
    graph = read_onnx(
        one_node("Conv", np.ones((4, 3, 1, 1), np.float32), opset=13, pads=[0, 0, 0, 0], auto_pad="VALID")
    )
    assert (graph.dialect, graph.opset) == (Dialect.ONNX, 13)
    assert graph.nodes == (
        Node(
            name="the node",
            operator="Conv",
            attributes={"auto_pad": "VALID", "pads": (0, 0, 0, 0)},
            inputs=("x", "c0"),
            outputs=("y",),
        ),
    )
    assert (graph.input, graph.output) == ("x", "y")
    assert np.array_equal(graph.constants["c0"], np.ones((4, 3, 1, 1)))


@pytest.mark.parametrize(
    ("stored", "read"), [("float16", np.float32), ("float64", np.float32), ("int32", np.int64), ("int64", np.int64)]
)
def test_weights_become_float32_or_int64(stored: str, read: type) -> None:
    constant = read_onnx(one_node("Add", np.array([1, -2, 3], stored))).constants["c0"]
    assert constant.dtype == read
    assert constant.tolist() == [1, -2, 3]


def test_constants_may_be_nodes() -> None:
    tensor = onnx.numpy_helper.from_array(np.float32([0.5]))
    for options, expected in (
        ({"value": tensor}, [0.5]),
        ({"value_float": 0.5}, 0.5),
        ({"value_ints": [1, 2]}, [1, 2]),
    ):
        graph = read_onnx(onnx_bytes(steps(("Constant", [], options), ("Add", ["x", "v0"], {}))))
        assert graph.constants["v0"].tolist() == expected
        assert [node.operator for node in graph.nodes] == ["Add"]


def test_a_node_without_a_name_is_named_by_its_number() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    assert read_onnx(onnx_bytes([node])).nodes[0].name == "number 0"


def _with(change: str) -> bytes:
    model = onnx.load_model_from_string(one_node("Add", np.ones(3, np.float32)))
    tensor = model.graph.initializer[0]
    if change == "external":
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.data")
    elif change == "type":
        tensor.data_type = TensorProto.STRING
    elif change == "size":
        tensor.raw_data = tensor.raw_data[:-4]
    elif change == "outputs":
        model.graph.output.add(name="z")
    elif change == "inputs":
        del model.graph.input[:]
    elif change == "opset":
        del model.opset_import[:]
    return bytes(model.SerializeToString())


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no network"),
    "a page": (b"<html><body>Not found</body></html>", "no ONNX file"),
    "cut off": (one_node("Add", np.ones(300, np.float32))[:-100], "no ONNX file"),
    "weights elsewhere": (_with("external"), "lie in weights.data"),
    "text for weights": (_with("type"), "type STRING"),
    "weights that are cut": (_with("size"), "do not fit their shape"),
    "two answers": (_with("outputs"), "2 outputs (y, z)"),
    "no picture": (_with("inputs"), "0 inputs"),
    "no standard operators": (_with("opset"), "standard operators"),
    "a constant of words": (
        onnx_bytes(steps(("Constant", [], {"value_string": "a"}), ("Add", ["x", "v0"], {}))),
        "given as 'value_string'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_in_words(case: str) -> None:
    data, words = BROKEN[case]
    with pytest.raises(WeightsUnreadableError, match=r"cannot be read.*No model was made") as refusal:
        read_onnx(data)
    assert words in str(refusal.value)
