"""A head on a frozen backbone, as a run: what it gives, what it leaves out, and that it serves what it measured."""

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from core.errors import RunCancelledError, TooFewPeopleError
from core.nets.imported import Embedder
from core.nets.servable import Arithmetic
from core.training.head import train_head
from core.training.prototypes import HEAD
from core.training.request import TrainedNetwork, TrainingRequest
from tests.unit.core.training.learning import draw_crop, example, load_drawn, make_request

if TYPE_CHECKING:
    from core.records import EpochProgress


def tiny_embedder() -> Embedder:
    """A backbone without weights: the mean colours of sixteen fields, about their common middle."""
    return Embedder(
        nn.Identity(),
        nn.Sequential(Arithmetic(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.LayerNorm(48, elementwise_affine=False)),
        input_size_px=64,
        embedding_dim=48,
    ).eval()


def train(request: TrainingRequest, **changes: Any) -> TrainedNetwork:
    values: dict[str, Any] = {
        "backbone": "tiny",
        "load_crop": load_drawn,
        "on_epoch": lambda epoch: None,
        "should_stop": lambda: False,
    }
    return train_head(request, tiny_embedder(), **{**values, **changes})


@pytest.fixture(scope="module")
def trained() -> TrainedNetwork:
    return train(make_request([3] * 6, epochs=None))


def test_the_network_names_whom_it_learned(trained: TrainedNetwork) -> None:
    crops = torch.stack([torch.from_numpy(draw_crop(person, 77, 64)).permute(2, 0, 1) for person in range(6)])
    with torch.inference_mode():
        embeddings, logits = torch.jit.script(trained.network)(crops)
    assert logits.argmax(dim=1).tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.allclose(logits, HEAD.scale * embeddings @ trained.gallery.T, atol=1e-4)
    assert torch.allclose(trained.gallery.norm(dim=1), torch.ones(6), atol=1e-5)


def test_a_run_says_what_it_was_made_from(trained: TrainedNetwork) -> None:
    assert (trained.backbone, trained.recipe, trained.input_size_px) == ("tiny", "head", 64)
    assert (trained.train_count, trained.test_count, trained.skipped) == (18, 6, ())
    assert [epoch.epoch for epoch in trained.epochs] == list(range(1, HEAD.epochs + 1))
    assert "18 photos of 6 people left out" in trained.rule.basis
    assert trained.metrics["test"]["rank1_accuracy"] == 1.0
    assert trained.metrics["rehearsal"]["stranger_people"] == 6
    assert json.loads(json.dumps(trained.metrics)) == trained.metrics


def test_people_and_photos_that_cannot_be_used_are_left_out_and_listed() -> None:
    request = make_request([3, 3, 3])
    broken = (*(photo for photo in request.train if photo.class_index != 1), example(1, 99))
    trained = train(make_request([3, 3, 3], train=broken, test=(*request.test, example(9, 0, class_index=-1))))
    assert [person.name for person in trained.classes] == ["P0", "P2"]
    assert [photo.uri for photo in trained.skipped] == ["drawn:1/99"]
    assert trained.metrics["people_without_photos"] == ["P1"]
    assert (trained.train_count, trained.test_count) == (6, 3)  # of P1, nothing is asked
    assert trained.metrics["test"]["strangers_refused"] + trained.metrics["test"]["strangers_named"] == 1


def test_the_same_request_gives_the_same_gallery() -> None:
    first, second = (train(make_request([2] * 4, epochs=3)) for _ in range(2))
    assert torch.equal(first.gallery, second.gallery)


def test_each_epoch_is_told_with_held_out_figures() -> None:
    told: list[EpochProgress] = []
    train(make_request([5] * 4, epochs=3), on_epoch=told.append)
    assert [(epoch.epoch, epoch.epochs) for epoch in told] == [(1, 3), (2, 3), (3, 3)]
    assert all(epoch.val_accuracy is not None for epoch in told)


def test_one_person_is_too_few() -> None:
    with pytest.raises(TooFewPeopleError):
        train(make_request([3]))


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_a_run_stops_when_it_is_asked_to(asked: int) -> None:
    answers = iter([False] * asked + [True] * 100)
    with pytest.raises(RunCancelledError):
        train(make_request([2] * 4, epochs=5), should_stop=lambda: next(answers))
