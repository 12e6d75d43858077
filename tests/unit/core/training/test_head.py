"""A head on a frozen backbone, as a run: what it gives, what it leaves out, and that it serves what it measured."""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from core.errors import RunCancelledError, TooFewPeopleError
from core.faces.impostors import ImpostorScores, PublishedScores
from core.nets.imported import Embedder
from core.nets.servable import Arithmetic
from core.training.head import train_head
from core.training.prototypes import HEAD
from core.training.request import TrainedNetwork, TrainingRequest
from tests.unit.core.training.learning import draw_crop, example, load_drawn, make_request

if TYPE_CHECKING:
    from core.records import EpochProgress


PUBLISHED = PublishedScores(
    impostors=ImpostorScores(centre=0.1, spread=0.15), genuine_mean=0.9, genuine_deviation=0.05, measured_on="nothing"
)


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


def test_one_person_is_enough_and_nobody_is_not() -> None:
    alone = train(make_request([3], epochs=2), published=PUBLISHED)
    assert [person.name for person in alone.classes] == ["P0"]
    assert alone.rule.people == 1
    assert alone.rule.threshold == pytest.approx(PUBLISHED.impostors.threshold(0.01, 1), abs=1e-3)
    assert "published operating point of tiny" in alone.rule.basis
    assert alone.metrics["rehearsal"]["stranger_photos"] == 0
    with pytest.raises(TooFewPeopleError):
        train(make_request([3], train=(example(0, 99),)))


def test_labelled_strangers_raise_the_threshold_and_are_not_learned() -> None:
    request = make_request([3] * 4, epochs=2)
    alike = tuple(example(person, 50 + photo, class_index=-1) for person in range(4) for photo in range(40))
    plain, warned = (
        train(dataclasses.replace(request, train=(*request.train, *more)), published=PUBLISHED) for more in ((), alike)
    )
    assert torch.equal(plain.gallery, warned.gallery)
    assert warned.rule.threshold > plain.rule.threshold
    assert "160 photos of labelled strangers" in warned.rule.basis
    assert (warned.train_count, warned.metrics["labelled_strangers"]) == (12, 160)


def test_a_hard_negative_is_pushed_away_from_whom_it_was_taken_for() -> None:
    request = make_request([3] * 4, epochs=HEAD.epochs)
    mistaken = example(9, 0, class_index=-1)
    trained = [
        train(dataclasses.replace(request, train=(*request.train, *more)))
        for more in ((), (dataclasses.replace(mistaken, not_classes=(2,)),))
    ]
    crop = torch.from_numpy(draw_crop(9, 0, 64)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        vector = trained[0].network(crop)[0][0]
    before, after = (float(vector @ each.gallery[2]) for each in trained)
    assert after < before - 0.005 or before < 0.15
    assert trained[1].metrics["hard_negatives"] == 1


def test_the_share_of_strangers_that_is_asked_for_is_the_rules() -> None:
    request = make_request([2] * 4, epochs=1)
    rules = [train(dataclasses.replace(request, fpir=f), published=PUBLISHED).rule for f in (0.1, 0.001)]
    assert [rule.fpir_target for rule in rules] == [0.1, 0.001]
    assert rules[0].threshold < rules[1].threshold


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_a_run_stops_when_it_is_asked_to(asked: int) -> None:
    answers = iter([False] * asked + [True] * 100)
    with pytest.raises(RunCancelledError):
        train(make_request([2] * 4, epochs=5), should_stop=lambda: next(answers))
