"""The rehearsal never sees some people and photos, and always keeps something of each person it knows."""

import pytest
import torch

from core.training.rehearsal import renumbered, unseen_crops
from core.training.split import split_for_rehearsal
from tests.unit.core.training.learning import make_crops


def _labels(*photos: int) -> torch.Tensor:
    return torch.arange(len(photos)).repeat_interleave(torch.tensor(photos))


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("photos", [(5,) * 40, (1,) * 8, (1, 2, 3, 9, 30), (2, 3), (1, 1)])
def test_every_photo_is_used_once_and_every_person_keeps_one(photos: tuple[int, ...]) -> None:
    labels = _labels(*photos)
    split = split_for_rehearsal(labels, _seeded())
    rows = torch.cat([split.train, split.held_out, split.strangers])
    assert rows.sort().values.tolist() == list(range(len(labels)))
    assert labels[split.train].unique().tolist() == split.people.tolist()
    assert set(labels[split.strangers].tolist()).isdisjoint(split.people.tolist())
    assert set(labels[split.held_out].tolist()) <= set(split.people.tolist())


def test_a_quarter_of_the_people_and_a_fifth_of_the_photos_are_left_out() -> None:
    split = split_for_rehearsal(_labels(*[5] * 40), _seeded())
    assert len(split.people) == 30
    assert len(split.held_out) == 30
    assert len(split.strangers) == 50


def test_nobody_is_left_out_of_three() -> None:
    split = split_for_rehearsal(_labels(3, 3, 3), _seeded())
    assert len(split.strangers) == 0
    assert len(split.held_out) == 3


def test_a_single_photo_a_person_is_never_held_out() -> None:
    split = split_for_rehearsal(_labels(1, 1, 1, 1), _seeded())
    assert len(split.held_out) == 0
    assert len(split.strangers) == 1


def test_the_same_seed_leaves_out_the_same_photos_and_another_leaves_out_others() -> None:
    labels = _labels(*[4] * 12)
    first, again, other = (split_for_rehearsal(labels, _seeded(seed)) for seed in (1, 1, 2))
    assert first.held_out.tolist() == again.held_out.tolist()
    assert first.held_out.tolist() != other.held_out.tolist()


def test_the_rehearsals_own_people_are_numbered_first() -> None:
    split = split_for_rehearsal(_labels(*[2] * 8), _seeded())
    numbers = renumbered(split, 8)
    assert numbers.sort().values.tolist() == list(range(8))
    assert numbers[split.people].tolist() == list(range(6))


def test_strangers_bear_numbers_that_the_rehearsal_does_not_know() -> None:
    train = make_crops([3] * 8)
    unseen = unseen_crops(train, split_for_rehearsal(train.labels, _seeded()))
    assert unseen.strangers.labels.min() >= 6
    assert unseen.held_out.labels.max() < 6


def test_two_people_leave_no_stranger() -> None:
    train = make_crops([3, 3])
    unseen = unseen_crops(train, split_for_rehearsal(train.labels, _seeded()))
    assert len(unseen.strangers) == 0
    assert len(unseen.held_out) == 2
