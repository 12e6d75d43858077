"""Constant arithmetic disappears into its neighbours wherever that changes no answer, and stays where it would."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, fx, nn

from core.nets.fold import fold_constants, take_first_affine
from core.nets.layers import Affine, Mean, ReverseChannels


def affine(channels: int = 3, *, axes: int = 4, seed: int = 0, shift: bool = True) -> Affine:
    generator = torch.Generator().manual_seed(seed)
    shape = [1, channels] + [1] * (axes - 2)
    offset = torch.randn(shape, generator=generator) if shift else torch.zeros(shape)
    return Affine(torch.randn(shape, generator=generator), offset)


def chain(*modules: nn.Module) -> fx.GraphModule:
    root, graph = nn.Module(), fx.Graph()
    node = graph.placeholder("x")
    for number, module in enumerate(modules):
        root.add_module(f"m{number}", module)
        node = graph.call_module(f"m{number}", (node,))
    graph.output(node)
    return fx.GraphModule(root, graph)


def folded(network: fx.GraphModule) -> list[type]:
    """Fold and return what is left, in order."""
    fold_constants(network, network.graph)
    network.delete_all_unused_submodules()
    network.recompile()
    calls = [node for node in network.graph.nodes if node.op == "call_module"]
    return [type(network.get_submodule(str(node.target))) for node in calls]


def crops() -> Tensor:
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(9))


CHAINS: dict[str, tuple[Sequence[nn.Module], list[type]]] = {
    "after a convolution": ([nn.Conv2d(3, 4, 3, padding=1), affine(4)], [nn.Conv2d]),
    "after a convolution without bias": ([nn.Conv2d(3, 4, 3, bias=False), affine(4)], [nn.Conv2d]),
    "after one with groups": ([nn.Conv2d(3, 6, 3, groups=3), affine(6)], [nn.Conv2d]),
    "twice": ([nn.Conv2d(3, 4, 1), affine(4), affine(4, seed=1)], [nn.Conv2d]),
    "one number for all": (
        [nn.Conv2d(3, 4, 1), Affine(torch.full((1, 1, 1, 1), 2.0), torch.ones(1, 1, 1, 1))],
        [nn.Conv2d],
    ),
    "after a dense layer": ([Mean((2, 3), keep=False), nn.Linear(3, 5), affine(5, axes=2)], [Mean, nn.Linear]),
    "after a dense layer on a map": ([nn.Linear(6, 6), affine(3)], [nn.Linear, Affine]),
    "before a convolution": ([affine(), nn.Conv2d(3, 4, 3)], [nn.Conv2d]),
    "before a padded one": ([affine(), nn.Conv2d(3, 4, 3, padding=1)], [Affine, nn.Conv2d]),
    "scaling before a padded one": ([affine(shift=False), nn.Conv2d(3, 4, 3, padding=1)], [nn.Conv2d]),
    "before one with groups": ([affine(), nn.Conv2d(3, 3, 3, groups=3)], [Affine, nn.Conv2d]),
    "each pixel its own": (
        [nn.Conv2d(3, 4, 1), Affine(torch.randn(1, 1, 6, 6), torch.zeros(1, 1, 1, 1))],
        [nn.Conv2d, Affine],
    ),
    "reversed channels": ([ReverseChannels(), affine(), nn.Conv2d(3, 4, 3, padding=1)], [Affine, nn.Conv2d]),
    "reversed channels of groups": ([ReverseChannels(), nn.Conv2d(3, 3, 3, groups=3)], [ReverseChannels, nn.Conv2d]),
    "something in between": ([nn.Conv2d(3, 4, 1), nn.ReLU(), affine(4)], [nn.Conv2d, nn.ReLU, Affine]),
}


@pytest.mark.parametrize("case", CHAINS)
def test_what_is_left_answers_as_before(case: str) -> None:
    modules, left = CHAINS[case]
    network, x = chain(*modules), crops()
    with torch.no_grad():
        before = network(x)
        assert folded(network) == left
        torch.testing.assert_close(network(x), before, atol=1e-5, rtol=1e-5)


def test_what_two_need_is_left_alone() -> None:
    root, graph = nn.Module(), fx.Graph()
    root.add_module("conv", nn.Conv2d(3, 3, 1))
    root.add_module("affine", affine())
    conv = graph.call_module("conv", (graph.placeholder("x"),))
    graph.output((conv, graph.call_module("affine", (conv,))))
    assert folded(fx.GraphModule(root, graph)) == [nn.Conv2d, Affine]


def test_the_arithmetic_at_the_front_can_be_taken_out() -> None:
    network, x = chain(affine(), nn.Conv2d(3, 4, 3, padding=1)), crops()
    with torch.no_grad():
        before = network(x)
        first = take_first_affine(network)
        assert isinstance(first, Affine)
        torch.testing.assert_close(network(first(x)), before)
    assert [type(child) for child in network.children()] == [nn.Conv2d]


def test_a_network_that_begins_otherwise_is_left_whole() -> None:
    network = chain(nn.Conv2d(3, 4, 3))
    assert isinstance(take_first_affine(network), nn.Identity)
    assert [type(child) for child in network.children()] == [nn.Conv2d]
