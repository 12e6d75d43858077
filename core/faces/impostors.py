"""How similar people are who have nothing to do with each other, and what follows for a gallery of any size.

Light: neither numpy nor torch.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

_TAIL_SHARE = 0.05
"""The upper tail begins where this share of the scores lies above."""
_TAIL_START_NORMAL = NormalDist().inv_cdf(1.0 - _TAIL_SHARE)


@dataclass(frozen=True, kw_only=True)
class ImpostorScores:
    """The distribution of similarities of photos to single people whom they do not show.

    Below the tail each half of it is normal; in the tail it is a generalised Pareto distribution, which is what the
    tail of nearly any distribution comes to (Pickands, "Statistical inference using extreme order statistics", 1975).
    The shape below is that of face-reidentification-retail-0095, measured in
    docs/decisions/0014-thresholds-for-any-gallery.md.
    """

    centre: float
    """Median."""
    spread: float
    """Half the distance of the quantiles at 10 % and 90 %, divided by 1.2816: a normal distribution's deviation."""
    tail_start: float = 1.72
    """Where the upper twentieth begins, in spreads above the centre."""
    tail_scale: float = 0.575
    """Mean excess over the tail's start as the tail begins, in spreads."""
    tail_shape: float = -0.075
    """Below 0: the tail ends somewhere."""

    def __post_init__(self) -> None:
        """Refuse numbers that describe no distribution.

        Raises:
            ValueError: a number is not finite, or a size is not above 0, or the tail has no end.
        """
        numbers = (self.centre, self.spread, self.tail_start, self.tail_scale, self.tail_shape)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"impostor scores need finite numbers, not {numbers}")
        if (
            self.spread <= 0.0
            or not 0.0 < self.tail_start < 2.0 * _TAIL_START_NORMAL
            or self.tail_scale <= 0.0
            or self.tail_shape >= 0.0
        ):
            raise ValueError(f"impostor scores need sizes above 0 and a tail that ends, not {numbers}")

    def share_above(self, similarity: float, people: int) -> float:
        """Return the probability that a stranger is at least so similar to the nearest of some people, 0..1.

        The similarities to single people count as independent; the people who look like the same stranger are few.
        """
        single = self._single_share((similarity - self.centre) / self.spread)
        return 1.0 if single >= 1.0 else -math.expm1(people * math.log1p(-single))

    def threshold(self, share: float, people: int) -> float:
        """Return the similarity that a stranger reaches to the nearest of some people with this probability.

        Args:
            share: above 0, below 1.
            people: in the gallery, >= 1.
        """
        single = -math.expm1(math.log1p(-share) / people)
        return self.centre + self.spread * self._standard_score(single)

    def _single_share(self, z: float) -> float:
        """Return the share of scores that lie more than `z` spreads above the centre."""
        if z <= self.tail_start:
            return 1.0 - NormalDist().cdf(z / self._stretch(z > 0.0))
        left = 1.0 + self.tail_shape * (z - self.tail_start) / self.tail_scale
        return _TAIL_SHARE * math.pow(left, -1.0 / self.tail_shape) if left > 0.0 else 0.0

    def _standard_score(self, share: float) -> float:
        """Return how many spreads above the centre this share of the scores begins."""
        if share >= _TAIL_SHARE:
            return NormalDist().inv_cdf(1.0 - share) * self._stretch(share < 0.5)
        excess = (math.pow(share / _TAIL_SHARE, -self.tail_shape) - 1.0) / self.tail_shape
        return self.tail_start + self.tail_scale * excess

    def _stretch(self, upper: bool) -> float:
        """Return how much wider than normal one half of the body is, so that it meets the tail and keeps the spread."""
        wider = self.tail_start / _TAIL_START_NORMAL
        return wider if upper else 2.0 - wider


@dataclass(frozen=True, kw_only=True)
class PublishedScores:
    """What is known of a pretrained backbone's similarities before any user has labelled a photo."""

    impostors: ImpostorScores
    """Of photos to people whom they do not show."""
    genuine_mean: float
    """Of two photos of one person, above 0, at most 1."""
    genuine_deviation: float
    """Of that, from pair to pair and from person to person, above 0."""
    measured_on: str
    """In words."""

    def __post_init__(self) -> None:
        """Refuse figures that no backbone has.

        Raises:
            ValueError: one is out of its range.
        """
        if not 0.0 < self.genuine_mean <= 1.0 or not 0.0 < self.genuine_deviation < 1.0:
            raise ValueError(f"genuine scores are in 0..1, not {self.genuine_mean} and {self.genuine_deviation}")

    def genuine_to_mean_of(self, photos: float) -> float:
        """Return the mean similarity of a photo to the mean direction of so many others of the same person, >= 1."""
        rho = self.genuine_mean
        return rho / math.sqrt((1.0 + (photos - 1.0) * rho) / photos)
