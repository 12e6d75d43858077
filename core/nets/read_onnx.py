"""Reads an ONNX file as a graph record.

Bytes in, record out; opens no file, so weights that lie in other files are refused.
"""

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from core.errors import WeightsUnreadableError
from core.nets.graph import Array, Attribute, Dialect, Graph, Node

_OWN_DOMAINS = ("", "ai.onnx")
_KINDS = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.FLOAT16: np.float32,
    onnx.TensorProto.DOUBLE: np.float32,
    onnx.TensorProto.INT32: np.int64,
    onnx.TensorProto.INT64: np.int64,
}


def read_onnx(data: bytes) -> Graph:
    """Read a network.

    Args:
        data: bytes of the `.onnx` file.

    Returns:
        Its graph; constants of all float types become float32, integers int64.

    Raises:
        WeightsUnreadableError: this is no such network, or its weights lie in another file.
    """
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own, which nothing else here needs to know
        raise _unreadable(f"it is no ONNX file ({error})") from error
    opsets = {imported.domain: imported.version for imported in model.opset_import}
    opset = max((opsets.get(domain, 0) for domain in _OWN_DOMAINS), default=0)
    if opset < 1 or not model.graph.node:
        raise _unreadable("it holds no network in the standard operators")
    constants = {tensor.name: _read_tensor(tensor) for tensor in model.graph.initializer}
    nodes = []
    for number, proto in enumerate(model.graph.node):
        if proto.op_type == "Constant" and proto.domain in _OWN_DOMAINS:
            constants[proto.output[0]] = _read_constant(proto)
        else:
            nodes.append(_read_node(proto, number))
    return Graph(
        dialect=Dialect.ONNX,
        opset=opset,
        nodes=tuple(nodes),
        constants=constants,
        input=_only([value.name for value in model.graph.input if value.name not in constants], "inputs"),
        output=_only([value.name for value in model.graph.output], "outputs"),
    )


def _read_node(proto: Any, number: int) -> Node:
    own = proto.domain in _OWN_DOMAINS
    return Node(
        name=proto.name or f"number {number}",
        operator=proto.op_type if own else f"{proto.domain}.{proto.op_type}",
        attributes={attribute.name: _read_attribute(attribute) for attribute in proto.attribute},
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
    )


def _read_attribute(attribute: Any) -> Attribute:
    """Return a plain value; of a tensor or a graph only what it is, which no operator takes for a value."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, int | float):
        return value
    if attribute.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS):
        return tuple(value)
    return f"<{onnx.AttributeProto.AttributeType.Name(attribute.type).lower()}>"


def _read_constant(proto: Any) -> Array:
    """Read a `Constant` node, which gives its value as one of several attributes."""
    attribute = proto.attribute[0] if proto.attribute else onnx.AttributeProto()
    if attribute.type == onnx.AttributeProto.TENSOR:
        return _read_tensor(attribute.t)
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    if attribute.name not in kinds:
        raise _unreadable(f"its constant {proto.name or proto.output[0]} is given as {attribute.name!r}")
    return np.asarray(onnx.helper.get_attribute_value(attribute), kinds[attribute.name])


def _read_tensor(tensor: Any) -> Array:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        where = {entry.key: entry.value for entry in tensor.external_data}.get("location", "another file")
        raise _unreadable(f"the weights {tensor.name} lie in {where}; save it as one file")
    kind = _KINDS.get(tensor.data_type)
    if kind is None:
        name = onnx.TensorProto.DataType.Name(tensor.data_type)
        raise _unreadable(f"its weights {tensor.name} are of type {name}, which is not read")
    try:
        return numpy_helper.to_array(tensor).astype(kind)
    except (TypeError, ValueError) as error:
        raise _unreadable(f"its weights {tensor.name} do not fit their shape ({error})") from error


def _only(names: list[str], what: str) -> str:
    if len(names) != 1:
        raise _unreadable(f"it has {len(names)} {what} ({', '.join(names)}), and an embedder has one")
    return names[0]


def _unreadable(fact: str) -> WeightsUnreadableError:
    return WeightsUnreadableError(
        f"The ONNX network cannot be read: {fact}. No model was made from it. Get the file again from its source."
    )
