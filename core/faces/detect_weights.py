"""Reads YuNet's weights from its ONNX file into the torch module, convolution by convolution. Runs nothing."""

from collections import Counter
from itertools import chain

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from core.errors import WeightsUnreadableError
from core.faces.detect_network import SeparableConv, YuNet

Conv = tuple[Tensor, Tensor]
"""Weight and bias."""

_HEADS = ("cls", "obj", "bbox", "kps")
"""The order of a head's channels here."""
_HEADS_IN_FILE = ("cls", "bbox", "obj", "kps")
_HEAD_CHANNELS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_LEVELS = 3
_OPERATORS = Counter(Conv=53, Relu=15, MaxPool=4, Resize=2, Add=2, Transpose=12, Reshape=12, Sigmoid=6)


def read_yunet(data: bytes) -> YuNet:
    """Build YuNet from the bytes of `face_detection_yunet_2023mar.onnx`.

    The file's network takes BGR; the stem's channels are turned round here, so that this one takes RGB.

    Args:
        data: the file's bytes.

    Returns:
        The network on the CPU, for inference.

    Raises:
        WeightsUnreadableError: the bytes are no ONNX file, or one of another network.
    """
    convs = _read_convolutions(data)
    network = YuNet().eval().requires_grad_(False)
    stem, *separable = _fillable(network)
    expected = [_shape(stem), *chain.from_iterable((_shape(pair.point), _shape(pair.depth)) for pair in separable)]
    body, heads = convs[: len(expected)], convs[len(expected) :]
    _check_shapes(body, expected)
    _fill(stem, (body[0][0].flip(1), body[0][1]))
    for number, pair in enumerate(separable):
        _fill(pair.point, body[1 + 2 * number])
        _fill(pair.depth, body[2 + 2 * number])
    _fill_heads(network, heads)
    return network


def _fillable(network: YuNet) -> tuple[nn.Conv2d, *tuple[SeparableConv, ...]]:
    """List the stem and all separable convolutions before the heads, in the order of the file."""
    blocks = (network.block0, network.block1, network.block2, network.block3, network.block4, network.block5)
    laterals = (network.lateral32, network.lateral16, network.lateral8)
    parts = chain.from_iterable(part.modules() for part in (*blocks, *laterals))
    return network.stem, *(part for part in parts if isinstance(part, SeparableConv))


def _read_convolutions(data: bytes) -> list[Conv]:
    """Return weight and bias of every convolution, in the order of the graph."""
    try:
        graph = onnx.load_model_from_string(data).graph
    except Exception as error:  # protobuf's own, which is not a dependency of this project
        raise _unreadable(f"it is no ONNX file ({error})") from error
    operators = Counter(node.op_type for node in graph.node)
    if operators != _OPERATORS:
        raise _unreadable(f"its graph is another network's ({dict(operators)})")
    constants = {constant.name: constant for constant in graph.initializer}
    return [
        (_read(constants, node.input[1]), _read(constants, node.input[2]))
        for node in graph.node
        if node.op_type == "Conv" and len(node.input) == 3
    ]


def _read(constants: dict[str, onnx.TensorProto], name: str) -> Tensor:
    constant = constants.get(name)
    if constant is None or constant.data_location == onnx.TensorProto.EXTERNAL:
        raise _unreadable(f"its weight {name!r} is not in it")
    try:
        array = numpy_helper.to_array(constant).astype(np.float32)
    except (ValueError, TypeError) as error:
        raise _unreadable(f"its weight {name!r} is damaged ({error})") from error
    if not np.isfinite(array).all():
        raise _unreadable(f"its weight {name!r} holds numbers that are not finite")
    return torch.from_numpy(array.copy())


def _shape(conv: nn.Conv2d) -> tuple[int, ...]:
    return tuple(conv.weight.shape)


def _check_shapes(convs: list[Conv], expected: list[tuple[int, ...]]) -> None:
    found = [tuple(weight.shape) for weight, _ in convs]
    if found != expected or any(bias.shape != weight.shape[:1] for weight, bias in convs):
        number = next(
            (n for n, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), len(found)
        )
        raise _unreadable(f"convolution {number} has another shape than YuNet's")


def _fill(conv: nn.Conv2d, values: Conv) -> None:
    weight, bias = values
    conv.load_state_dict({"weight": weight, "bias": bias})


def _fill_heads(network: YuNet, convs: list[Conv]) -> None:
    """Join the four heads of each level into one: their channels do not mix after the first convolution."""
    widths = [_HEAD_CHANNELS[head] for head in _HEADS_IN_FILE for _ in range(_LEVELS)]
    _check_shapes(convs, list(chain.from_iterable(((width, 64, 1, 1), (width, 1, 3, 3)) for width in widths)))
    for level, joined in enumerate((network.head8, network.head16, network.head32)):
        starts = [2 * (_HEADS_IN_FILE.index(head) * _LEVELS + level) for head in _HEADS]
        _fill(joined.point, _join([convs[start] for start in starts]))
        _fill(joined.depth, _join([convs[start + 1] for start in starts]))


def _join(convs: list[Conv]) -> Conv:
    return torch.cat([weight for weight, _ in convs]), torch.cat([bias for _, bias in convs])


def _unreadable(fact: str) -> WeightsUnreadableError:
    return WeightsUnreadableError(
        f"The detector's weights cannot be used: {fact}. No photo was looked at. "
        "Put back the file face_detection_yunet_2023mar.onnx as it was published."
    )
