"""Augmentation of a whole batch at once, as tensor operations on its device. Labels are never changed here."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

_NOD = 0.7  # heads turn further than they nod


@dataclass(frozen=True, kw_only=True)
class AugmentPolicy:
    """How far a photo may be changed. Every amount is the limit of a uniform draw to both sides; 0 switches it off."""

    rotate_deg: float = 0.0
    shift: float = 0.0
    """Share of the crop's side."""
    shear: float = 0.0
    """Tangent of the angle."""
    zoom: float = 0.0
    """Relative change of the scale, each axis for itself."""
    elastic: float = 0.0
    """Deviation of a smooth random displacement, as a share of half the crop's side."""
    turn: float = 0.0
    """How far the middle moves against the edges, as a share of half the crop's side: a head that turns; up and down
    0.7 times as far."""
    flip: bool = False
    """Mirror left-right, every second photo."""
    brightness: float = 0.0
    """Added to values in 0..1."""
    contrast: float = 0.0
    """Logarithm of the factor about the crop's mean."""
    gamma: float = 0.0
    """Logarithm of the exponent."""
    side_light: float = 0.0
    """Height of an added ramp of light, to each side of the middle."""
    grey: float = 0.0
    """Share of photos turned to shades of grey."""
    blur: float = 0.0
    """Share of photos softened."""
    erase: float = 0.0
    """Share of photos of which one rectangle is painted over."""


def augment(crops: Tensor, policy: AugmentPolicy, generator: torch.Generator) -> Tensor:
    """Change each crop at random, within the policy.

    Args:
        crops (Tensor[N, 3, S, S]): uint8 RGB on any device.
        policy: what may be changed and how far.
        generator: on the CPU; the only source of randomness.

    Returns:
        float32 [N, 3, S, S] on the same device, about 0..1 (light may lead out of it). Empty corners take the nearest
        pixel.
    """
    draw = _Draw(len(crops), generator, crops.device)
    x = crops.to(torch.float32) / 255.0
    x = F.grid_sample(x, _grid(x, policy, draw), padding_mode="border", align_corners=False)
    x = _soften(x, policy, draw)
    x = _relight(x, policy, draw)
    return _erase(x, policy, draw)


class _Draw:
    """One random number a photo at a time."""

    def __init__(self, count: int, generator: torch.Generator, device: torch.device) -> None:
        self.count = count
        self.generator = generator
        self.device = device

    def uniform(self, low: float = -1.0, high: float = 1.0) -> Tensor:
        """Return float32 [N] in low..high."""
        return (low + (high - low) * torch.rand(self.count, generator=self.generator)).to(self.device)

    def chance(self, share: float) -> Tensor:
        """Return bool [N, 1, 1, 1], true for about this share."""
        return _per_photo(self.uniform(0.0, 1.0) < share)

    def normal(self, *shape: int) -> Tensor:
        """Return float32 [N, *shape] of deviation 1."""
        return torch.randn(self.count, *shape, generator=self.generator).to(self.device)


def _per_photo(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _grid(x: Tensor, policy: AugmentPolicy, draw: _Draw) -> Tensor:
    """Return where each output pixel is taken from, float32 [N, S, S, 2] as `grid_sample` wants it."""
    angle = draw.uniform() * math.radians(policy.rotate_deg)
    shear = draw.uniform() * policy.shear
    scale_x, scale_y = (1.0 + draw.uniform() * policy.zoom for _ in range(2))
    if policy.flip:
        scale_x = scale_x * torch.where(draw.uniform() < 0.0, -1.0, 1.0)
    shift_x, shift_y = (draw.uniform() * 2.0 * policy.shift for _ in range(2))
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([cos * scale_x, (shear - sin) * scale_y, shift_x], dim=1)
    row_y = torch.stack([sin * scale_x, cos * scale_y, shift_y], dim=1)
    grid = F.affine_grid(torch.stack([row_x, row_y], dim=1), list(x.shape), align_corners=False)
    if policy.elastic:
        grid = grid + smooth_displacement(policy.elastic * draw.normal(2, 5, 5), x.shape[-1])
    if policy.turn:
        grid = grid + _turned(grid, policy.turn, draw)
    return grid


def _turned(grid: Tensor, turn: float, draw: _Draw) -> Tensor:
    """Return by how much places (float32 [N, S, S, 2]) move when heads turn: most in the middle, not at the edges."""
    across, down = draw.uniform() * turn, draw.uniform() * _NOD * turn
    height = (1.0 - grid.clamp(-1.0, 1.0).square()).prod(dim=3, keepdim=True)
    return height * torch.stack([across, down], dim=1)[:, None, None]


def smooth_displacement(coarse: Tensor, size_px: int) -> Tensor:
    """Interpolate a coarse field of displacements (float32 [N, 2, K, K]) to float32 [N, size_px, size_px, 2].

    Bicubic, as two products with a small matrix: `F.interpolate` over all photos took 4 ms of a batch's 25.
    """
    knots = coarse.shape[-1]
    unit = torch.eye(knots, device=coarse.device)[None, None]
    weights = F.interpolate(unit, size=(size_px, knots), mode="bicubic", align_corners=True)[0, 0]  # [S, K]
    return (weights @ coarse @ weights.T).permute(0, 2, 3, 1)


def _soften(x: Tensor, policy: AugmentPolicy, draw: _Draw) -> Tensor:
    if policy.grey:
        x = torch.where(draw.chance(policy.grey), x.mean(dim=1, keepdim=True), x)
    if policy.blur:
        rows = torch.nonzero(draw.chance(policy.blur).flatten()).flatten()
        x = x.index_copy(0, rows, _blurred(x[rows]))
    return x


def _blurred(x: Tensor) -> Tensor:
    """Average each pixel with its neighbours, 1:2:1 both ways; as a convolution it took 12 ms of a batch's 25."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    x = 0.25 * (x[..., :-2] + x[..., 2:]) + 0.5 * x[..., 1:-1]
    return 0.25 * (x[..., :-2, :] + x[..., 2:, :]) + 0.5 * x[..., 1:-1, :]


def _relight(x: Tensor, policy: AugmentPolicy, draw: _Draw) -> Tensor:
    if policy.gamma:
        x = x.clamp(1e-4, 1.0) ** _per_photo((draw.uniform() * policy.gamma).exp())
    if policy.contrast:
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = mean + (x - mean) * _per_photo((draw.uniform() * policy.contrast).exp())
    if policy.brightness:
        x = x + _per_photo(draw.uniform() * policy.brightness)
    if policy.side_light:
        ramp = torch.linspace(-1.0, 1.0, x.shape[-1], device=x.device)
        across, down = (_per_photo(draw.uniform() * policy.side_light) for _ in range(2))
        x = x + across * ramp + down * ramp[:, None]
    return x


def _erase(x: Tensor, policy: AugmentPolicy, draw: _Draw) -> Tensor:
    """Paint one rectangle of 10-40 % of the side in one shade over some photos (Zhong et al., 2017)."""
    if not policy.erase:
        return x
    place = torch.linspace(0.0, 1.0, x.shape[-1], device=x.device)
    across = (place - draw.uniform(0.0, 1.0)[:, None]).abs() < draw.uniform(0.05, 0.2)[:, None]  # [N, S]
    down = (place - draw.uniform(0.0, 1.0)[:, None]).abs() < draw.uniform(0.05, 0.2)[:, None]
    inside = (down[:, :, None] & across[:, None, :])[:, None] & draw.chance(policy.erase)  # [N, 1, S, S]
    return torch.where(inside, _per_photo(draw.uniform(0.0, 1.0)), x)
