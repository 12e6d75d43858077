"""People who do not exist, made by blending two real ones and bending the result.

Training against them widens the space between the few real people, which is where strangers fall; docs/benchmarks.md
has the measured gain.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from core.training.augment import smooth_displacement
from core.training.dataset import CropSet

_BEND = 0.12  # deviation of the displacement, as a share of half the crop's side
_MOST_PHOTOS = 8  # of one made-up person


def make_people(real: CropSet, count: int, generator: torch.Generator) -> CropSet:
    """Make crops of people who do not exist.

    Each made-up person is the even blend of photos of two different people, bent by one fixed smooth displacement.

    Args:
        real: crops with labels 0..C-1, C >= 2.
        count: how many people to make.
        generator: decides who is blended and how they are bent.

    Returns:
        Crops with labels C..C+count-1.
    """
    classes = int(real.labels.max()) + 1
    rows_of = [torch.nonzero(real.labels == person).flatten() for person in range(classes)]
    crops = [_make_person(real.crops, rows_of, number % classes, generator) for number in range(count)]
    labels = [torch.full((len(made),), classes + number) for number, made in enumerate(crops)]
    return CropSet(crops=torch.cat(crops), labels=torch.cat(labels))


def _make_person(crops: Tensor, rows_of: list[Tensor], first: int, generator: torch.Generator) -> Tensor:
    """Blend person `first` with another: uint8 [M, 3, S, S]."""
    other = (first + 1 + int(torch.randint(len(rows_of) - 1, (), generator=generator))) % len(rows_of)
    count = min(len(rows_of[first]), len(rows_of[other]), _MOST_PHOTOS)
    pair = [crops[_some(rows_of[person], count, generator)].to(torch.float32) for person in (first, other)]
    return _bend(0.5 * (pair[0] + pair[1]), generator)


def _some(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:count]]


def _bend(x: Tensor, generator: torch.Generator) -> Tensor:
    """Displace all crops (float32 [M, 3, S, S], 0..255) alike; return uint8."""
    straight = F.affine_grid(torch.eye(2, 3)[None], [1, *x.shape[1:]], align_corners=False)
    bend = smooth_displacement(_BEND * torch.randn(1, 2, 4, 4, generator=generator), x.shape[-1])
    grid = (straight + bend).expand(len(x), -1, -1, -1)
    bent = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return bent.round().clamp(0, 255).to(torch.uint8)
