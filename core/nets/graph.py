"""A network as its file describes it: nodes, constants, inputs and outputs. The one record that all readers give.

Says nothing about what an operator means; `core/nets/assemble.py` builds the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32] | NDArray[np.int64]
Attribute = str | int | float | tuple[int, ...] | tuple[float, ...]


class Dialect(StrEnum):
    """Whose names and rules the operators of a graph follow."""

    OPENVINO = "OpenVINO IR"  # attributes are text
    ONNX = "ONNX"  # attributes have types


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator at work."""

    name: str
    """As the file calls it: what a message names."""
    operator: str
    """What it does, in the words of the dialect."""
    attributes: Mapping[str, Attribute]
    inputs: tuple[str, ...]
    """Names of values; an input that is left out has the empty name."""
    outputs: tuple[str, ...]
    """Names of the values that it makes."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A network of one picture input and one output."""

    dialect: Dialect
    opset: int
    """Version of the operators' rules: the opset of ONNX, the IR version of OpenVINO."""
    nodes: tuple[Node, ...]
    """In an order in which every value is made before it is used."""
    constants: Mapping[str, Array]
    """By the name of the value: float32 and int64, whatever the file held."""
    input: str
    """Name of the value that the picture comes in by."""
    output: str
    """Name of the value that is the answer."""
