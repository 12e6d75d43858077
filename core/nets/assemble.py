"""Builds a torch module from a graph record: one module a node, then what can be merged is merged.

Operators are looked up in a table by dialect. One that is not there is refused by name, never guessed.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import fx, nn

from core.errors import UnknownOperatorError, WeightsUnreadableError
from core.nets.fold import fold_constants
from core.nets.graph import Dialect, Graph, Node
from core.nets.layers import Concatenation
from core.nets.operators_onnx import ONNX_CONSTANTS, ONNX_OPERATORS
from core.nets.operators_openvino import OPENVINO_CONSTANTS, OPENVINO_OPERATORS
from core.nets.site import Flow, Operator, Site, Value

_OPERATORS: Mapping[Dialect, Mapping[str, Operator]] = {
    Dialect.OPENVINO: OPENVINO_OPERATORS,
    Dialect.ONNX: ONNX_OPERATORS,
}
_CONSTANTS: Mapping[Dialect, Mapping[str, Operator]] = {
    Dialect.OPENVINO: OPENVINO_CONSTANTS,
    Dialect.ONNX: ONNX_CONSTANTS,
}


def assemble(graph: Graph, input_size_px: int, preprocessing: Sequence[nn.Module] = ()) -> fx.GraphModule:
    """Build a network.

    Args:
        graph: what its file says.
        input_size_px: S, the side of its square crops.
        preprocessing: modules that work on the crops before the graph does, in this order.

    Returns:
        A module from float32 [N, 3, S, S] to the graph's output for any N, whatever batch size the file was written
        for. It can be scripted and frozen; it has no batch norm or dropout left, so training mode changes nothing.

    Raises:
        UnknownOperatorError: it uses an operator, or an option of one, that is not known.
        WeightsUnreadableError: its parts do not fit together, or its answers are no numbers.
    """
    assembly = _Assembly(input_size_px)
    crops = assembly.crops
    for module in preprocessing:
        crops = assembly.emit(module, [crops])
    values: dict[str, Value] = {name: torch.from_numpy(array) for name, array in graph.constants.items()}
    values[graph.input] = crops
    with torch.no_grad():
        for node in graph.nodes:
            values[node.outputs[0]] = _build(graph, node, values, assembly)
        return assembly.finish(_value(values, graph.output, "its output"))


class _Assembly:
    """The network while it grows: torch.fx keeps who feeds whom."""

    def __init__(self, input_size_px: int) -> None:
        self._graph = fx.Graph()
        self._root = nn.Module()
        black = torch.zeros(1, 3, input_size_px, input_size_px)
        self.crops = Flow(node=self._graph.placeholder("crops"), example=black)

    def emit(self, module: nn.Module, flows: Sequence[Flow]) -> Flow:
        """Add a module and let it work on the example."""
        name = f"{type(module).__name__.lower()}_{len(self._graph.nodes)}"
        joins = isinstance(module, Concatenation)
        arguments = [flow.example for flow in flows]
        example = module(arguments) if joins else module(*arguments)
        self._root.add_module(name, module)
        nodes = tuple(flow.node for flow in flows)
        return Flow(node=self._graph.call_module(name, (list(nodes),) if joins else nodes), example=example)

    def finish(self, output: Value) -> fx.GraphModule:
        """Name the answer, drop what does not lead to it, and merge what can be merged."""
        if not isinstance(output, Flow):
            raise _unreadable("its answer does not depend on the picture")
        if not output.example.isfinite().all():
            raise _unreadable("its answer to a black picture is not finite")
        self._graph.output(output.node)
        network = fx.GraphModule(self._root, self._graph, class_name="ImportedBackbone")
        network.graph.eliminate_dead_code()
        fold_constants(network, network.graph)
        network.delete_all_unused_submodules()
        network.recompile()
        return network


def _build(graph: Graph, node: Node, values: Mapping[str, Value], assembly: _Assembly) -> Value:
    inputs = [_value(values, name, f"the node {node.name!r}") if name else None for name in node.inputs]
    flows = any(isinstance(value, Flow) for value in inputs)
    known = (_OPERATORS if flows else _CONSTANTS)[graph.dialect]
    operator = known.get(node.operator)
    if operator is None:
        raise UnknownOperatorError(
            f"The network uses the operator {node.operator!r} (node {node.name!r})"
            f"{'' if flows else ' on constants'}, which the importer does not know; of {graph.dialect} it knows "
            f"{', '.join(sorted(known))}. No model was made from it. Use another network, or teach the importer."
        )
    site = Site(node, inputs, assembly.emit)
    try:
        value = operator(site)
    except (RuntimeError, IndexError) as error:
        fact = (str(error).splitlines() or ["no reason given"])[0]
        raise _unreadable(f"it does not fit together at {site.what}: {fact}") from error
    site.finish()
    return value


def _value(values: Mapping[str, Value], name: str, user: str) -> Value:
    try:
        return values[name]
    except KeyError:
        raise _unreadable(f"{user} needs the value {name!r}, which no node before it makes") from None


def _unreadable(fact: str) -> WeightsUnreadableError:
    return WeightsUnreadableError(
        f"The network cannot be used: {fact}. No model was made from it. "
        "Check the input size that is stated for it, or get its files again from their source."
    )
