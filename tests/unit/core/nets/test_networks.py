"""Every network is what its description says, and answers the same compiled as eager."""

import pytest
import torch
from torch import nn

from core.nets.compact import CompactNetwork
from core.nets.registry import NETWORKS
from core.nets.seed import SeedNetwork
from core.nets.servable import Servable


def _crops(count: int, size_px: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size_px, size_px), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_servable_gives_unit_embeddings_and_one_logit_a_person(name: str) -> None:
    spec = NETWORKS[name]
    servable = Servable(spec.build(4, spec.input_size_px)).eval()
    embeddings, logits = servable(_crops(2, spec.input_size_px))
    assert embeddings.shape == (2, servable.embedding_dim)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(2), atol=1e-5)
    assert logits.shape == (2, 4)
    assert embeddings.dtype == logits.dtype == torch.float32


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_compiled_and_frozen_answers_as_eager(name: str) -> None:
    spec = NETWORKS[name]
    servable = Servable(spec.build(4, spec.input_size_px)).eval()
    frozen = torch.jit.freeze(torch.jit.script(servable))
    crops = _crops(2, spec.input_size_px)
    with torch.inference_mode():
        for eager, compiled in zip(servable(crops), frozen(crops), strict=True):
            assert torch.allclose(eager, compiled, atol=1e-5)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_dropping_classes_leaves_the_others_as_they_were(name: str) -> None:
    spec = NETWORKS[name]
    network = spec.build(5, spec.input_size_px).eval()
    features = torch.randn(3, network.embedding_dim)
    before = network.classify(features)
    network.keep_classes(2)
    after = network.classify(features)
    assert after.shape == (3, 2)
    assert torch.allclose(after, before[:, :2], atol=1e-5)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_blank_crop_gives_finite_answers(name: str) -> None:
    spec = NETWORKS[name]
    servable = Servable(spec.build(3, spec.input_size_px)).eval()
    embeddings, logits = servable(torch.zeros(1, 3, spec.input_size_px, spec.input_size_px, dtype=torch.uint8))
    assert embeddings.isfinite().all()
    assert logits.isfinite().all()


def test_the_seed_network_is_the_seed_documents() -> None:
    network = SeedNetwork(40)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.out_channels, layer.kernel_size, layer.padding) for layer in convolutions] == [
        (32, (3, 3), (0, 0)),
        (64, (3, 3), (0, 0)),
        (128, (3, 3), (0, 0)),
    ]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [(128 * 17 * 17, 512), (512, 40)]
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in network.modules()) == 3
    assert network.dropout.share == 0.5


def test_the_seed_network_drops_features_in_training_only() -> None:
    network = SeedNetwork(3, 30)
    features = torch.ones(1, 512)
    assert not torch.equal(network.train().classify(features), network.classify(features))
    assert torch.equal(network.eval().classify(features), network.classify(features))


def test_exposure_does_not_change_the_compact_networks_mind() -> None:
    torch.manual_seed(0)
    network = CompactNetwork(3).eval()
    x = torch.rand(2, 3, 64, 64)
    normal, dark = (nn.functional.normalize(network.embed(photo), dim=1) for photo in (x, 0.5 * x + 0.1))
    assert (normal * dark).sum(dim=1).min() > 0.95


def test_the_compact_networks_logits_are_scaled_cosines_to_its_gallery() -> None:
    network = CompactNetwork(5, scale=10.0)
    features = torch.randn(4, 128)
    cosines = nn.functional.normalize(features, dim=1) @ network.gallery().T
    assert torch.allclose(network.classify(features), 10.0 * cosines, atol=1e-5)


def test_the_nearest_of_several_prototypes_makes_the_logit_also_when_compiled() -> None:
    network = CompactNetwork(classes=4).eval()
    several = torch.nn.functional.normalize(torch.randn(3, 2, network.embedding_dim), dim=2)
    several = several * torch.tensor([0.9, 1.1]).reshape(1, 2, 1)
    network.head.set_prototypes(several)
    servable = Servable(network)
    frozen = torch.jit.freeze(torch.jit.script(servable.eval()))
    crops = _crops(5, 64)
    for module in (servable, frozen):
        embeddings, logits = module(crops)
        products = torch.einsum("nd,ckd->nck", embeddings, several)
        assert torch.allclose(logits, 16.0 * products.amax(dim=2), atol=1e-4), "each counts for as much as it is long"
    network.keep_classes(2)
    assert torch.allclose(servable(crops)[1], logits[:, :2], atol=1e-4)
    assert "prim::If" not in str(frozen.graph)


def test_the_compact_network_refuses_a_size_it_cannot_halve_four_times() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        CompactNetwork(3, 70)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_no_branch_is_left_in_a_frozen_network(name: str) -> None:
    """One would make the compact network take twice as long to load: core/nets/norm.py."""
    spec = NETWORKS[name]
    frozen = torch.jit.freeze(torch.jit.script(Servable(spec.build(4, spec.input_size_px)).eval()))
    assert "prim::If" not in str(frozen.graph)
