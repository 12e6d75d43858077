"""Fine-tuning begins where a head alone would, moves the backbone a little, and leaves the weights it began from."""

import dataclasses
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from core.errors import RunCancelledError
from core.faces.impostors import ImpostorScores, PublishedScores
from core.nets.imported import Embedder
from core.nets.servable import Arithmetic
from core.training.finetune import begin_from
from core.training.loop import answer
from core.training.request import TrainedNetwork
from core.training.train import train_network
from tests.unit.core.training.learning import draw_crop, load_drawn, make_crops, make_request

if TYPE_CHECKING:
    from core.records import EpochProgress


def small_embedder() -> Embedder:
    """A backbone with few weights."""
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.PReLU(8), nn.AdaptiveAvgPool2d(4), nn.Flatten()]
    backbone = nn.Sequential(Arithmetic(), *layers, nn.Linear(128, 24))
    embedder = Embedder(nn.Identity(), backbone, input_size_px=64, embedding_dim=24)
    return embedder.requires_grad_(False).eval()


def weights(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return small_embedder()


@pytest.fixture(scope="module")
def trained(embedder: Embedder) -> TrainedNetwork:
    return train(embedder, epochs=2)


def train(embedder: Embedder, **changes: object) -> TrainedNetwork:
    request = make_request([3] * 6, recipe="finetune", **changes)
    return train_network(
        request,
        load_crop=load_drawn,
        on_epoch=lambda epoch: None,
        should_stop=lambda: False,
        pretrained=begin_from(embedder, "small"),
    )


def test_a_network_begins_with_the_mean_of_each_persons_photos(embedder: Embedder) -> None:
    real = make_crops([3, 2], 64)
    build = begin_from(embedder, "small").build
    assert build is not None
    network = build(real, 4)
    seen = answer(network, real.crops, torch.device("cpu")).embeddings
    means = torch.stack([seen[:3].mean(0), seen[3:].mean(0)])
    gallery = network.gallery()
    assert gallery is not None
    assert torch.allclose(gallery[:2], nn.functional.normalize(means, dim=1), atol=1e-5)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_backbone_learns_in_a_copy_of_its_own(embedder: Embedder, trained: TrainedNetwork) -> None:
    before = weights(small_embedder().backbone)
    after = weights(trained.network.network.backbone)
    moved = [float((new - old).abs().max()) for new, old in zip(after, before, strict=True)]
    assert min(moved) > 0.0, "all of it learns"
    assert max(moved) < 0.05, "in small steps"
    assert all(map(torch.equal, weights(embedder.backbone), before))


def test_what_comes_of_it_names_whom_it_learned_and_can_be_served(trained: TrainedNetwork) -> None:
    assert (trained.backbone, trained.recipe, trained.embedding_dim) == ("small", "finetune", 24)
    crops = torch.stack([torch.from_numpy(draw_crop(person, 77, 64)).permute(2, 0, 1) for person in range(6)])
    with torch.inference_mode():
        _, logits = torch.jit.script(trained.network)(crops)
    assert logits.argmax(dim=1).tolist() == [0, 1, 2, 3, 4, 5]
    assert "left out of rehearsals" in trained.rule.basis


def test_the_same_seed_gives_the_same_weights(embedder: Embedder, trained: TrainedNetwork) -> None:
    again = train(embedder, epochs=2)
    assert all(map(torch.equal, weights(again.network), weights(trained.network)))


def test_a_run_that_was_cut_off_goes_on_to_the_same_bits(
    embedder: Embedder, trained: TrainedNetwork, tmp_path_factory: pytest.TempPathFactory
) -> None:
    told: list[EpochProgress] = []
    options = {"load_crop": load_drawn, "checkpoints": tmp_path_factory.mktemp("checkpoints")}
    request = make_request([3] * 6, recipe="finetune", epochs=2)
    with pytest.raises(RunCancelledError):
        train_network(
            request,
            on_epoch=told.append,
            should_stop=lambda: bool(told),
            pretrained=begin_from(embedder, "small"),
            **options,  # type: ignore[arg-type]
        )
    resumed = train_network(
        dataclasses.replace(request),
        on_epoch=told.append,
        should_stop=lambda: False,
        pretrained=begin_from(embedder, "small"),
        **options,  # type: ignore[arg-type]
    )
    assert [epoch.epoch for epoch in told] == [1, 1, 2]
    assert all(map(torch.equal, weights(resumed.network), weights(trained.network)))


def test_its_rule_is_chosen_from_what_is_published_of_its_backbone_and_the_people_left_out(embedder: Embedder) -> None:
    published = PublishedScores(
        impostors=ImpostorScores(centre=0.05, spread=0.1),
        genuine_mean=0.7,
        genuine_deviation=0.1,
        measured_on="patterns",
    )
    trained = train_network(
        make_request([3] * 12, recipe="finetune", epochs=1),
        load_crop=load_drawn,
        on_epoch=lambda epoch: None,
        should_stop=lambda: False,
        pretrained=begin_from(embedder, "small", published),
    )
    assert trained.rule.impostors is not None
    assert trained.rule.impostors.centre > published.impostors.centre, "these patterns resemble each other more"
    assert "the published operating point of small, which 24 photos of 8 people" in trained.rule.basis
    assert trained.rule.people == 12
