"""A backbone that stays as it is is compiled once, and what is compiled answers as the network does."""

import torch
from torch import Tensor

from core.models import scripting
from core.models.scripting import script_network
from core.nets.imported import Embedder, ImportedNetwork
from core.nets.registry import NETWORKS
from core.nets.servable import Servable
from tests.unit.core.training.test_head import tiny_embedder

CROPS = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def head_on(embedder: Embedder, people: int) -> Servable:
    torch.manual_seed(people)
    return Servable(ImportedNetwork(embedder, people)).eval().requires_grad_(False)


def answers(network: torch.nn.Module) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        embeddings, logits = network(CROPS)
    return embeddings, logits


def test_heads_on_one_backbone_share_what_was_compiled_and_answer_each_as_its_own() -> None:
    embedder = tiny_embedder()
    networks = [head_on(embedder, people) for people in (3, 5)]
    compiled = [script_network(network) for network in networks]
    assert len(scripting._compiled) == 1
    for network, script in zip(networks, compiled, strict=True):
        assert all(map(torch.equal, answers(network), answers(script)))
        assert network.network.backbone is embedder.backbone
    assert [len(answers(script)[1][0]) for script in compiled] == [3, 5]


def test_another_backbone_is_compiled_itself() -> None:
    one, other = head_on(tiny_embedder(), 3), head_on(tiny_embedder(), 3)
    script_network(one)
    script_network(other)
    assert list(scripting._compiled) == [other.network.backbone]


def test_weights_that_change_in_their_place_are_those_of_the_compiled_backbone() -> None:
    torch.manual_seed(0)
    network = Servable(NETWORKS["compact"].build(3, 64)).eval().requires_grad_(False)
    before = answers(script_network(network))
    with torch.no_grad():
        for parameter in network.network.backbone.parameters():
            parameter.mul_(1.5)
    after = answers(script_network(network))
    assert not torch.allclose(before[0], after[0])
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(answers(network), after, strict=True))


def test_a_backbone_that_learns_is_compiled_each_time() -> None:
    scripting._compiled.clear()
    network = Servable(NETWORKS["compact"].build(3, 64)).eval()
    embeddings, logits = answers(script_network(network))
    assert torch.allclose(embeddings, answers(network)[0], atol=1e-6)
    assert torch.allclose(logits, answers(network)[1], atol=1e-6)
    assert not scripting._compiled
