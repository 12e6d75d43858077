"""A person's photos are grouped by what they look like, and each group gets a prototype of its own."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from core.training.loop import Learner, answer, new_learner
from core.training.recipes import SEED
from core.training.subclasses import group_means, split_classes
from tests.unit.core.training.learning import QUICK, make_crops

CPU = torch.device("cpu")


def _unit(*rows: tuple[float, float]) -> torch.Tensor:
    return F.normalize(torch.tensor(rows), dim=1)


def _learner(photos: tuple[int, ...] = (4, 4, 1), prototypes: int = 2) -> Learner:
    torch.manual_seed(0)
    recipe = dataclasses.replace(QUICK, prototypes=prototypes)
    return new_learner(recipe, make_crops(photos), epochs=1, seed=1, device=CPU)


def test_photos_of_two_kinds_make_two_groups() -> None:
    near_x, near_y = ((1.0, 0.1), (1.0, -0.1)), ((0.1, 1.0), (-0.1, 1.0))
    means = group_means(_unit(*near_x, *near_y), 2)
    assert sorted(means.round(decimals=4).tolist()) == [[0.0, 1.0], [1.0, 0.0]]


def test_one_group_is_the_mean_direction() -> None:
    assert torch.allclose(group_means(_unit((1.0, 0.0), (0.0, 1.0)), 1), _unit((1.0, 1.0)))


def test_equal_photos_are_no_obstacle() -> None:
    means = group_means(_unit((1.0, 0.0), (1.0, 0.0), (1.0, 0.0)), 3)
    assert torch.allclose(means, _unit(*[(1.0, 0.0)] * 3))


def test_each_person_gets_several_prototypes_and_made_up_people_go() -> None:
    learner = _learner()
    learned = learner.network.gallery()
    split_classes(learner)
    gallery = learner.network.gallery()
    assert learned is not None
    assert gallery is not None
    assert gallery.shape == (3, 2, learned.shape[1])
    assert torch.allclose(gallery.norm(dim=2), torch.ones(3, 2))
    assert torch.equal(gallery[2, 0], gallery[2, 1])  # one photo makes one group
    embeddings = answer(learner.network, learner.real.crops, CPU).embeddings
    assert torch.allclose(gallery[2, 0], F.normalize(learned[2] + embeddings[-1], dim=0), atol=1e-6)


def test_photos_lie_nearer_to_the_nearest_prototype_than_to_the_one_that_was_learned() -> None:
    learner = _learner((6, 6, 6))
    before = answer(learner.network, learner.real.crops, CPU).logits
    split_classes(learner)
    after = answer(learner.network, learner.real.crops, CPU).logits
    own = learner.real.labels[:, None]
    assert after.shape == (18, 3)
    assert (after.gather(1, own) > before.gather(1, own)).all()


@pytest.mark.parametrize("recipe", [dataclasses.replace(QUICK, prototypes=1), SEED])
def test_a_recipe_that_wants_none_changes_nothing(recipe: object) -> None:
    learner = new_learner(recipe, make_crops((2, 2), 64), epochs=1, seed=1, device=CPU)  # type: ignore[arg-type]
    before = answer(learner.network, learner.real.crops, CPU).logits
    split_classes(learner)
    assert torch.equal(before, answer(learner.network, learner.real.crops, CPU).logits)
