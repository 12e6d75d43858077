"""Reads OpenVINO IR (a `.xml` graph and the `.bin` of its constants) of versions 10 and 11 as a graph record.

Bytes in, record out; opens no file. After docs.openvino.ai, "Intermediate Representation format".
"""

import graphlib
import math
from collections.abc import Iterator, Mapping
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from core.errors import WeightsUnreadableError
from core.nets.graph import Array, Dialect, Graph, Node

_VERSIONS = (10, 11)
_DTYPES = {"f16": np.float16, "f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64}


def read_openvino(xml: bytes, weights: bytes) -> Graph:
    """Read a network.

    Args:
        xml: bytes of the `.xml` file. Entities are not expanded: a document that declares any is refused.
        weights: bytes of the `.bin` file.

    Returns:
        Its graph; constants of 16-bit floats become float32, integers int64.

    Raises:
        WeightsUnreadableError: this is no such network, or a constant lies outside `weights`.
    """
    root = _parse(xml)
    try:
        return _read_net(root, weights)
    except (KeyError, ValueError, graphlib.CycleError) as error:
        raise _unreadable(f"its graph is broken ({error})") from error


def _parse(xml: bytes) -> Element:
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    try:
        parser.Parse(xml, True)
        return builder.close()
    except (expat.ExpatError, AssertionError) as error:
        raise _unreadable(f"it is not XML ({error})") from error


def _refuse_doctype(name: str, *_: object) -> NoReturn:
    raise _unreadable(f"it declares a document type ({name}), which no such file does")


def _read_net(root: Element, weights: bytes) -> Graph:
    version = int(root.get("version", "0"))
    if root.tag != "net" or version not in _VERSIONS:
        raise _unreadable(f"it is <{root.tag} version={version}>, and versions {_VERSIONS} of <net> are read")
    sources = _sources(root)
    constants: dict[str, Array] = {}
    nodes: dict[str, Node] = {}
    for layer in root.iterfind("layers/layer"):
        node = _read_node(layer, sources)
        if node.operator == "Const":
            constants[node.outputs[0]] = _read_constant(node, weights)
        else:
            nodes[layer.attrib["id"]] = node
    ordered = [nodes[key] for key in _in_order(nodes, sources)]
    return Graph(
        dialect=Dialect.OPENVINO,
        opset=version,
        nodes=tuple(node for node in ordered if node.operator not in ("Parameter", "Result")),
        constants=constants,
        input=_only(ordered, "Parameter").outputs[0],
        output=_only(ordered, "Result").inputs[0],
    )


def _sources(root: Element) -> dict[tuple[str, str], str]:
    """Return which value enters each port: (layer, port) -> name of the value, `layer:port` of where it is made."""
    return {
        (edge.attrib["to-layer"], edge.attrib["to-port"]): f"{edge.attrib['from-layer']}:{edge.attrib['from-port']}"
        for edge in root.iterfind("edges/edge")
    }


def _read_node(layer: Element, sources: Mapping[tuple[str, str], str]) -> Node:
    key, data = layer.attrib["id"], layer.find("data")
    kind, version = layer.attrib["type"], layer.attrib["version"]
    return Node(
        name=layer.get("name", key),
        operator=kind if version == "opset1" else f"{version}.{kind}",  # a later set may give a name new rules
        attributes=dict(data.attrib) if data is not None else {},
        inputs=tuple(sources[key, port] for port in _ports(layer, "input")),
        outputs=tuple(f"{key}:{port}" for port in _ports(layer, "output")),
    )


def _ports(layer: Element, side: str) -> Iterator[str]:
    return (port.attrib["id"] for port in layer.iterfind(f"{side}/port"))


def _read_constant(node: Node, weights: bytes) -> Array:
    """Cut a constant out of the `.bin`, after checking that it lies inside and has the size of its shape."""
    stated = {name: str(value) for name, value in node.attributes.items()}
    dtype = _DTYPES.get(stated["element_type"])
    if dtype is None:
        raise _unreadable(f"its constant {node.name} is of type {stated['element_type']}; {sorted(_DTYPES)} are read")
    shape = tuple(int(side) for side in stated["shape"].split(",") if side.strip())
    offset, size = int(stated["offset"]), int(stated["size"])
    due = math.prod(shape) * np.dtype(dtype).itemsize
    if size != due or min(shape, default=1) < 1:
        raise _unreadable(f"its constant {node.name} has {size} bytes where its shape {shape} needs {due}")
    if not 0 <= offset <= len(weights) - size:
        raise _unreadable(
            f"its constant {node.name} lies at bytes {offset} to {offset + size} of a .bin of {len(weights)} bytes"
        )
    raw = np.frombuffer(weights, np.dtype(dtype).newbyteorder("<"), count=math.prod(shape), offset=offset)
    shaped = raw.reshape(shape)
    return shaped.astype(np.float32) if raw.dtype.kind == "f" else shaped.astype(np.int64)


def _in_order(nodes: Mapping[str, Node], sources: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Return the layers so that each comes after those it takes values from."""
    before: dict[str, set[str]] = {key: set() for key in nodes}
    for (key, _), source in sources.items():
        maker = source.partition(":")[0]
        if key in nodes and maker in nodes:
            before[key].add(maker)
    return iter(graphlib.TopologicalSorter(before).static_order())


def _only(nodes: list[Node], operator: str) -> Node:
    found = [node for node in nodes if node.operator == operator]
    if len(found) != 1:
        raise _unreadable(f"it has {len(found)} layers of type {operator}, and an embedder has one")
    return found[0]


def _unreadable(fact: str) -> WeightsUnreadableError:
    return WeightsUnreadableError(
        f"The OpenVINO network cannot be read: {fact}. No model was made from it. "
        "Get both of its files again from their source."
    )
