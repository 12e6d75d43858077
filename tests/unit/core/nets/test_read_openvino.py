"""An IR file is read as it is written, and a broken or hostile one is refused in words."""

import numpy as np
import pytest

from core.errors import WeightsUnreadableError
from core.nets.graph import Dialect, Node
from core.nets.read_openvino import read_openvino
from tests.unit.core.nets.openvino_graphs import IrFile, openvino_graph


def test_a_graph_is_read_as_it_is_written() -> None:
    graph = openvino_graph("Convolution", np.ones((4, 3, 1, 1), np.float32), data='strides="1, 1"')
    assert (graph.dialect, graph.opset) == (Dialect.OPENVINO, 11)
    assert graph.nodes == (
        Node(
            name="layer 2",
            operator="Convolution",
            attributes={"strides": "1, 1"},
            inputs=("0:out", "1:out"),
            outputs=("2:out",),
        ),
    )
    assert (graph.input, graph.output) == ("0:out", "2:out")
    assert np.array_equal(graph.constants["1:out"], np.ones((4, 3, 1, 1)))


@pytest.mark.parametrize(
    ("stored", "read"), [("float16", np.float32), ("float64", np.float32), ("int32", np.int64), ("int64", np.int64)]
)
def test_constants_become_float32_or_int64(stored: str, read: type) -> None:
    array = np.array([1, -2, 3], stored)
    constant = openvino_graph("Add", array).constants["1:out"]
    assert constant.dtype == read
    assert constant.tolist() == [1, -2, 3]


def test_layers_may_stand_in_any_order() -> None:
    ir = IrFile()
    first = ir.operator("ReLU", [0])
    second = ir.operator("Sigmoid", [first])
    ir.layers.reverse()
    assert [node.operator for node in ir.read(second).nodes] == ["ReLU", "Sigmoid"]


def test_version_10_is_read_and_others_are_not() -> None:
    for version in (10, 11):
        ir = IrFile(version=version)
        assert ir.read(ir.operator("ReLU", [0])).opset == version
    for version in (7, 12):
        ir = IrFile(version=version)
        with pytest.raises(WeightsUnreadableError, match=f"version={version}"):
            ir.read(ir.operator("ReLU", [0]))


def good() -> tuple[bytes, bytes]:
    ir = IrFile()
    xml = ir.xml(ir.operator("Add", [0, ir.constant(np.ones((1, 3, 1, 1), np.float32))]))
    return xml, ir.weights


BROKEN: dict[str, tuple[bytes, bytes, str]] = {
    "empty": (b"", b"", "not XML"),
    "a page": (b"<html><body>Not found</body></html>", b"", "<html version=0>"),
    "binary": (bytes(range(256)), b"", "not XML"),
    "cut off": (good()[0][:-20], good()[1], "not XML"),
    "a cut .bin": (good()[0], good()[1][:-1], "of a .bin of 11 bytes"),
    "an offset before the .bin": (good()[0].replace(b'offset="0"', b'offset="-4"'), good()[1], "bytes -4 to 8"),
    "an offset behind the .bin": (good()[0].replace(b'offset="0"', b'offset="9"'), good()[1], "bytes 9 to 21"),
    "a size that is not the shape's": (good()[0].replace(b'size="12"', b'size="8"'), good()[1], "needs 12"),
    "a shape of nothing": (good()[0].replace(b"1, 3, 1, 1", b"1, 0, 1, 1"), good()[1], "needs 0"),
    "an unknown type": (
        good()[0].replace(b'element_type="f32" shape="1, ', b'element_type="u4" shape="1, '),
        b"",
        "u4",
    ),
    "a number that is none": (good()[0].replace(b'offset="0"', b'offset="x"'), good()[1], "broken"),
    "no answer": (good()[0].replace(b'"Result"', b'"ReLU"'), good()[1], "0 layers of type Result"),
    "no picture": (good()[0].replace(b'"Parameter"', b'"ReLU"'), good()[1], "0 layers of type Parameter"),
    "no edges": (good()[0].replace(b"edge ", b"egde "), good()[1], "broken"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_in_words(case: str) -> None:
    xml, weights, words = BROKEN[case]
    with pytest.raises(WeightsUnreadableError, match=r"cannot be read.*No model was made") as refusal:
        read_openvino(xml, weights)
    assert words in str(refusal.value)


def test_a_circle_is_refused() -> None:
    ir = IrFile()
    node = ir.operator("Add", [0, 0])
    ir.edges[-1] = ir.edges[-1].replace('from-layer="0"', f'from-layer="{node}"')
    with pytest.raises(WeightsUnreadableError, match="broken"):
        ir.read(node)


def test_entities_are_never_expanded() -> None:
    """A billion laughs, and a file of the machine: a document type is refused before anything of it is used."""
    for declared in ('<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">', '<!ENTITY a SYSTEM "file:///etc/hostname">'):
        xml = f'<?xml version="1.0"?><!DOCTYPE net [{declared}]><net name="&a;" version="11"/>'.encode()
        with pytest.raises(WeightsUnreadableError, match=r"document type \(net\)"):
            read_openvino(xml, b"")
