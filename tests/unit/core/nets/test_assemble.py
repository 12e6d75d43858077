"""A network is built as its record says, for batches of any size, and one that does not hold together is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import WeightsUnreadableError
from core.nets.assemble import assemble
from core.nets.layers import Affine, ReverseChannels
from core.nets.read_onnx import read_onnx
from tests.unit.core.nets.onnx_graphs import one_node, onnx_bytes, steps

RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def small_network() -> nn.Module:
    """Convolution, PReLU, a squeeze-and-excite gate, a joint, and a dense layer."""
    nodes = steps(
        ("Conv", ["x", "w"], {"pads": [1, 1, 1, 1]}),
        ("PRelu", ["v0", "slope"], {}),
        ("GlobalAveragePool", ["v1"], {}),
        ("Sigmoid", ["v2"], {}),
        ("Mul", ["v1", "v3"], {}),
        ("Concat", ["v4", "x"], {"axis": 1}),
        ("Reshape", ["v5", "rows"], {}),
        ("Gemm", ["v6", "dense"], {"transB": 1}),
    )
    constants = {
        "w": floats(4, 3, 3, 3),
        "slope": floats(1),
        "rows": np.array([1, -1], np.int64),
        "dense": floats(6, 112),
    }
    return assemble(read_onnx(onnx_bytes(nodes, constants)), 4)


def test_a_network_can_be_scripted_and_frozen_for_batches_of_any_size() -> None:
    eager = nn.Sequential(small_network()).eval()
    scripted = torch.jit.script(eager)
    frozen = torch.jit.freeze(scripted)
    for count in (1, 2, 5):
        x = torch.from_numpy(floats(count, 3, 4, 4))
        with torch.inference_mode():
            expected = eager(x)
            assert expected.shape == (count, 6)
            for compiled in (scripted, frozen):
                assert torch.allclose(compiled(x), expected, atol=1e-5)


def test_the_answer_to_a_crop_does_not_depend_on_its_batch() -> None:
    network, x = small_network(), torch.from_numpy(floats(4, 3, 4, 4))
    alone = torch.cat([network(row[None]) for row in x])
    assert torch.allclose(network(x), alone, atol=1e-5)


def test_what_is_done_to_the_crops_first_comes_in_its_order() -> None:
    before = [
        ReverseChannels(),
        Affine(torch.full((1, 3, 1, 1), 2.0), torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)),
    ]
    network = assemble(read_onnx(one_node("Sigmoid")), 4, before)
    x = torch.from_numpy(floats(2, 3, 4, 4))
    expected = torch.sigmoid(2.0 * x.flip(1) + torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1))
    assert torch.allclose(network(x), expected)


def test_what_does_not_lead_to_the_answer_is_dropped() -> None:
    nodes = [*steps(("Relu", ["x"], {})), *steps(("Sigmoid", ["x"], {}), ("Tanh", ["v0"], {}))[:1]]
    network = assemble(read_onnx(onnx_bytes(nodes)), 4)
    assert [type(child) for child in network.children()] == [nn.ReLU]


def test_a_network_of_another_input_size_does_not_fit() -> None:
    data = onnx_bytes(steps(("Flatten", ["x"], {}), ("Gemm", ["v0", "w"], {})), {"w": floats(48, 5)})
    with pytest.raises(WeightsUnreadableError, match=r"does not fit together at Gemm \(node 'n1'\)"):
        assemble(read_onnx(data), 5)


def test_a_value_that_nobody_makes_is_missing() -> None:
    with pytest.raises(WeightsUnreadableError, match="'gone'"):
        assemble(read_onnx(onnx_bytes(steps(("Add", ["x", "gone"], {})))), 4)


def test_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(WeightsUnreadableError, match="not finite"):
        assemble(read_onnx(one_node("Add", np.float32(np.nan))), 4)


def test_an_answer_without_the_picture_is_refused() -> None:
    data = onnx_bytes(steps(("Identity", ["c"], {})), {"c": floats(1, 5)})
    with pytest.raises(WeightsUnreadableError, match="does not depend on the picture"):
        assemble(read_onnx(data), 4)
