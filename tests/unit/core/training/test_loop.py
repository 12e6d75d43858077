"""One network learns: it improves, its sampler is fair, and it stops when asked to."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from core.errors import RunCancelledError
from core.training.loop import Epoch, Learner, _is_fast_in_bf16, answer, new_learner, sample_rows
from core.training.recipes import RECIPES, Recipe
from core.training.side_by_side import train_side_by_side
from tests.gpu import on_every_device
from tests.unit.core.training.learning import QUICK, make_crops, train_one_epoch


def _learner(recipe: Recipe = QUICK, epochs: int = 8, device: str = "cpu") -> Learner:
    torch.manual_seed(0)
    return new_learner(recipe, make_crops([4, 4, 4]), epochs=epochs, seed=0, device=torch.device(device))


@on_every_device
def test_a_network_learns_to_tell_three_patterns_apart(device: str) -> None:
    recipe = dataclasses.replace(QUICK, fewest_steps=8)
    learner = _learner(recipe, device=device)
    figures = [train_one_epoch(learner, epoch) for epoch in range(8)]
    unseen = make_crops([8, 8, 8])
    right = answer(learner.network, unseen.crops, learner.device).logits[:, :3].argmax(dim=1) == unseen.labels
    assert figures[-1].loss < figures[0].loss
    assert right.float().mean() > 0.8


@on_every_device
def test_an_epoch_is_computed_in_mixed_precision_where_that_is_fast(device: str) -> None:
    learner = _learner(device=device)
    before = [weight.detach().clone() for weight in learner.network.parameters()]
    seen: set[torch.dtype] = set()
    first = next(module for module in learner.network.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))

    figures = train_one_epoch(learner)

    assert seen == {torch.bfloat16 if _is_fast_in_bf16(torch.device(device)) else torch.float32}
    assert math.isfinite(figures.loss)
    weights = list(learner.network.parameters())
    assert {(weight.dtype, str(weight.device)) for weight in weights} == {(torch.float32, device)}
    assert all(weight.isfinite().all() for weight in weights)
    assert not all(torch.equal(one, other) for one, other in zip(before, weights, strict=True))


def test_the_learning_rate_rises_and_then_falls_to_almost_nothing() -> None:
    learner = _learner(epochs=20)
    rates = [train_one_epoch(learner, epoch).learning_rate for epoch in (0, 2, 10, 19)]
    assert rates[0] < rates[1]
    assert rates[1] > rates[2] > rates[3]
    assert rates[3] < 0.02 * QUICK.learning_rate


def test_a_stop_is_honoured_before_the_next_batch() -> None:
    learner = _learner()
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    with pytest.raises(RunCancelledError):
        train_side_by_side([Epoch(learner, 0)], 1, lambda: True)
    assert all(torch.equal(before[name], value) for name, value in learner.network.state_dict().items())


def test_one_photo_a_person_is_enough_to_step() -> None:
    learner = new_learner(QUICK, make_crops([1, 1]), epochs=1, seed=0, device=torch.device("cpu"))
    assert train_one_epoch(learner).loss > 0.0


def test_the_seed_recipe_shows_every_photo_once_an_epoch() -> None:
    seed = RECIPES["seed"]
    rows = sample_rows(torch.tensor([0] * 9 + [1] * 3), 12, seed.balance, torch.Generator().manual_seed(0))
    assert rows.sort().values.tolist() == list(range(12))


def test_full_balance_draws_every_person_equally_often() -> None:
    labels = torch.tensor([0] * 20 + [1] * 2 + [2] * 5)
    rows = sample_rows(labels, 300, 1.0, torch.Generator().manual_seed(0))
    assert torch.bincount(labels[rows]).sub(100).abs().max() <= 1
    visits = torch.bincount(rows, minlength=27)
    assert visits[:20].max() - visits[:20].min() <= 1


def test_sampling_is_seeded() -> None:
    labels = torch.arange(5).repeat(4)
    first, again, other = (sample_rows(labels, 20, 0.5, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
