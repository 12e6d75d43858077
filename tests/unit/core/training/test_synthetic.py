"""Made-up people are nobody's photo, differ from each other, and are made the same way for the same seed."""

import torch

from core.training.synthetic import make_people
from tests.unit.core.training.learning import make_crops


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_made_up_people_are_numbered_after_the_real_ones() -> None:
    made_up = make_people(make_crops([3, 2, 4]), 5, _seeded())
    assert made_up.labels.unique().tolist() == [3, 4, 5, 6, 7]
    assert made_up.crops.dtype == torch.uint8
    assert len(made_up.crops) == len(made_up.labels)


def test_a_made_up_person_is_nobodys_photo() -> None:
    real = make_crops([3, 3, 3])
    made_up = make_people(real, 3, _seeded())
    distances = (made_up.crops[:, None].float() - real.crops[None].float()).abs().mean(dim=(2, 3, 4))
    assert distances.min() > 5.0


def test_making_people_is_seeded() -> None:
    real = make_crops([3, 3, 3])
    first, again, other = (make_people(real, 4, _seeded(seed)).crops for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
