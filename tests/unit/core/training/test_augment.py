"""Augmentation changes photos, never more than its policy allows, and the same way for the same seed."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from core.training.augment import AugmentPolicy, augment
from core.training.recipes import RECIPES


def _crops(count: int = 6, size_px: int = 24) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size_px, size_px), dtype=torch.uint8, generator=_seeded(3))


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_an_empty_policy_only_scales_to_unit_range() -> None:
    crops = _crops()
    assert torch.allclose(augment(crops, AugmentPolicy(), _seeded()), crops / 255.0, atol=1e-4)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_the_same_seed_gives_the_same_photos_and_another_gives_others(recipe: str) -> None:
    policy = RECIPES[recipe].augment
    once, again, other = (augment(_crops(), policy, _seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.allclose(once, other, atol=0.05)
    assert once.isfinite().all()


def test_flipping_mirrors_some_photos_and_leaves_the_others() -> None:
    crops = _crops(count=20)
    changed = augment(crops, AugmentPolicy(flip=True), _seeded())
    mirrored = [torch.allclose(c, o.flip(2) / 255.0, atol=1e-3) for c, o in zip(changed, crops, strict=True)]
    kept = [torch.allclose(c, o / 255.0, atol=1e-3) for c, o in zip(changed, crops, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 0 < sum(mirrored) < 20


def test_empty_corners_take_the_nearest_pixel() -> None:
    white = torch.full((8, 3, 24, 24), 255, dtype=torch.uint8)
    policy = AugmentPolicy(rotate_deg=40.0, shift=0.2, shear=0.2, zoom=0.2)
    assert augment(white, policy, _seeded()).min() > 0.999


def test_a_shift_moves_by_no_more_than_its_share() -> None:
    line = torch.zeros(64, 3, 40, 40, dtype=torch.uint8)
    line[:, :, :, 20] = 255
    moved = augment(line, AugmentPolicy(shift=0.1), _seeded()).mean(dim=(1, 2)).argmax(dim=1) - 20
    assert moved.abs().max() <= 4
    assert moved.abs().max() >= 2


def test_a_turn_moves_the_middle_and_leaves_the_edges() -> None:
    ramp = torch.linspace(0, 255, 40).to(torch.uint8).expand(32, 3, 40, 40).contiguous()
    moved = (augment(ramp, AugmentPolicy(turn=0.25), _seeded()) - ramp / 255.0).abs()
    assert moved[..., [0, -1], :].max() < 0.02
    assert moved[..., [0, -1]].max() < 0.02
    assert 0.08 < moved[:, :, 20, 20].max() < 0.14  # 0.25 of half the side


def test_erasing_paints_one_shade_over_the_stated_share() -> None:
    crops = _crops(count=200)
    changed = (augment(crops, AugmentPolicy(erase=0.5), _seeded()) - crops / 255.0).abs().amax(dim=(1, 2, 3)) > 0.01
    assert 70 < int(changed.sum()) < 130


def test_grey_photos_have_three_equal_channels() -> None:
    grey = augment(_crops(), AugmentPolicy(grey=1.0), _seeded())
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-5)


def test_blurred_photos_are_averaged_one_two_one_both_ways() -> None:
    policy = AugmentPolicy(blur=1.0)
    kernel = torch.tensor([0.25, 0.5, 0.25])
    edged = F.pad(augment(_crops(), AugmentPolicy(), _seeded()), (1, 1, 1, 1), mode="replicate")
    wanted = F.conv2d(edged, (kernel[:, None] * kernel).expand(3, 1, 3, 3), groups=3)
    assert torch.allclose(augment(_crops(), policy, _seeded()), wanted, atol=1e-5)


@pytest.mark.parametrize("amount", ["brightness", "contrast", "gamma", "side_light", "blur", "elastic"])
def test_each_amount_changes_photos_by_itself(amount: str) -> None:
    policy = dataclasses.replace(AugmentPolicy(), **{amount: 0.5})
    assert (augment(_crops(), policy, _seeded()) - _crops() / 255.0).abs().max() > 0.02
