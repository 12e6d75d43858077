"""Writes tiny OpenVINO IR files for the tests of the importer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.nets.graph import Graph
from core.nets.read_openvino import read_openvino

_NAMES = {"float16": "f16", "float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64"}


@dataclass
class IrFile:
    """An IR file being written; layers are numbered from 0, the input."""

    size_px: int = 4
    version: int = 11
    layers: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    weights: bytes = b""

    def __post_init__(self) -> None:
        side = self.size_px
        self._layer("Parameter", f'shape="1,3,{side},{side}" element_type="f32"', inputs=0)

    def constant(self, array: np.ndarray) -> int:
        """Add a constant; return its number."""
        shape = ", ".join(map(str, array.shape))
        where = f'offset="{len(self.weights)}" size="{array.nbytes}"'
        self.weights += array.tobytes()
        return self._layer("Const", f'element_type="{_NAMES[array.dtype.name]}" shape="{shape}" {where}', inputs=0)

    def operator(self, kind: str, inputs: Sequence[int], data: str = "", opset: str = "opset1") -> int:
        """Add an operator on layers; return its number."""
        number = self._layer(kind, data, inputs=len(inputs), opset=opset)
        for port, source in enumerate(inputs):
            self.edges.append(f'<edge from-layer="{source}" from-port="out" to-layer="{number}" to-port="{port}"/>')
        return number

    def xml(self, output: int) -> bytes:
        """Write the file with this layer as the answer."""
        self.operator("Result", [output])
        body = f"<layers>{''.join(self.layers)}</layers><edges>{''.join(self.edges)}</edges>"
        return f'<?xml version="1.0"?><net name="tiny" version="{self.version}">{body}</net>'.encode()

    def read(self, output: int) -> Graph:
        """Write and read the file."""
        return read_openvino(self.xml(output), self.weights)

    def _layer(self, kind: str, data: str, *, inputs: int, opset: str = "opset1") -> int:
        number = len(self.layers)
        takes = "".join(f'<port id="{port}"/>' for port in range(inputs))
        gives = "" if kind == "Result" else '<output><port id="out"/></output>'
        self.layers.append(
            f'<layer id="{number}" name="layer {number}" type="{kind}" version="{opset}"><data {data}/>'
            f"<input>{takes}</input>{gives}</layer>"
        )
        return number


def openvino_graph(kind: str, *constants: np.ndarray, data: str = "", size_px: int = 4, opset: str = "opset1") -> Graph:
    """Read a network of one operator on the picture and then the constants."""
    ir = IrFile(size_px=size_px)
    inputs = [0, *(ir.constant(array) for array in constants)]
    return ir.read(ir.operator(kind, inputs, data, opset))
