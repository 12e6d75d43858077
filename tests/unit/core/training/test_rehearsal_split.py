"""A rehearsal never sees some people and photos, and always keeps something of each person it knows."""

import pytest
import torch

from core.training.rehearsal import seen_crops, unseen_crops
from core.training.split import renumbered, split_for_rehearsals, split_into_folds
from tests.unit.core.training.learning import make_crops


def _labels(*photos: int) -> torch.Tensor:
    return torch.arange(len(photos)).repeat_interleave(torch.tensor(photos))


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("photos", [(5,) * 40, (1,) * 8, (1, 2, 3, 9, 30), (2, 3), (3,) * 130])
def test_each_rehearsal_uses_every_photo_once_and_keeps_one_of_every_person(photos: tuple[int, ...]) -> None:
    labels = _labels(*photos)
    splits = split_for_rehearsals(labels, _seeded())
    assert splits
    for split in splits:
        rows = torch.cat([split.train, split.held_out, split.strangers])
        assert rows.sort().values.tolist() == list(range(len(labels)))
        assert labels[split.train].unique().tolist() == split.people.tolist()
        assert set(labels[split.strangers].tolist()).isdisjoint(split.people.tolist())
        assert set(labels[split.held_out].tolist()) <= set(split.people.tolist())


def test_two_rehearsals_each_leave_out_another_quarter_of_the_people_and_photos_of_half_of_the_others() -> None:
    labels = _labels(*[5] * 40)
    first, second = split_for_rehearsals(labels, _seeded())
    for split in (first, second):
        assert len(split.people) == 30
        assert len(split.held_out) == 15
        assert len(split.strangers) == 50
    assert set(first.strangers.tolist()).isdisjoint(second.strangers.tolist())


def test_of_many_people_one_rehearsal_leaves_out_enough() -> None:
    [split] = split_for_rehearsals(_labels(*[5] * 120), _seeded())
    assert len(split.strangers) == 5 * 30
    assert len(split.held_out) == 90


def test_nobody_is_left_out_of_three() -> None:
    [split] = split_for_rehearsals(_labels(3, 3, 3), _seeded())
    assert len(split.strangers) == 0
    assert len(split.held_out) == 3


def test_a_single_photo_a_person_is_never_held_out() -> None:
    for split in split_for_rehearsals(_labels(1, 1, 1, 1), _seeded()):
        assert len(split.held_out) == 0
        assert len(split.strangers) == 1


def test_where_nothing_can_be_left_out_nothing_is_rehearsed() -> None:
    assert split_for_rehearsals(_labels(1, 1), _seeded()) == []


def test_the_same_seed_leaves_out_the_same_photos_and_another_leaves_out_others() -> None:
    labels = _labels(*[4] * 12)
    first, again, other = (split_for_rehearsals(labels, _seeded(seed))[0] for seed in (1, 1, 2))
    assert first.held_out.tolist() == again.held_out.tolist()
    assert first.held_out.tolist() != other.held_out.tolist()


def test_the_rehearsals_own_people_are_numbered_first() -> None:
    split = split_for_rehearsals(_labels(*[2] * 8), _seeded())[0]
    numbers = renumbered(split, 8)
    assert numbers.sort().values.tolist() == list(range(8))
    assert numbers[split.people].tolist() == list(range(6))


def test_strangers_bear_numbers_that_the_rehearsal_does_not_know() -> None:
    train = make_crops([3] * 8)
    split = split_for_rehearsals(train.labels, _seeded())[0]
    unseen = unseen_crops(train, split)
    assert seen_crops(train, split).labels.unique().tolist() == list(range(6))
    assert unseen.strangers.labels.min() >= 6
    assert unseen.held_out.labels.max() < 6


@pytest.mark.parametrize("photos", [(5,) * 40, (1,) * 8, (1, 2, 3, 9, 30), (2, 3)])
def test_folds_leave_each_person_out_once(photos: tuple[int, ...]) -> None:
    labels = _labels(*photos)
    splits = split_into_folds(labels, 10, _seeded())
    assert len(splits) == min(10, len(photos))
    left_out = torch.cat([labels[split.strangers].unique() for split in splits])
    assert sorted(left_out.tolist()) == list(range(len(photos)))
    assert any(len(split.held_out) for split in splits) == any(count > 1 for count in photos)
    for split in splits:
        rows = torch.cat([split.train, split.held_out, split.strangers])
        assert rows.sort().values.tolist() == list(range(len(labels)))
