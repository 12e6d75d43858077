"""The reject rule of a model version: when a similarity is enough for a name, and how sure that name is.

Light: neither numpy nor torch.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RejectRule:
    """When the nearest person's name is given, and the calibration of the stated confidence."""

    threshold: float
    """Least cosine similarity to the nearest person, -1..1. A threshold above 1 names nobody."""
    margin: float
    """Least lead over the runner-up in cosine similarity, >= 0."""
    fpir_target: float
    """Share of strangers that may get a name, 0..1: what the threshold was chosen for."""
    basis: str
    """How threshold and margin were chosen, in words."""
    calibration: tuple[float, float, float]
    """(intercept, w_similarity, w_margin): P(right) = 1 / (1 + exp(-(intercept + w_similarity * s + w_margin * m)))."""

    def __post_init__(self) -> None:
        """Refuse a rule that would name everybody or nobody by accident.

        Raises:
            ValueError: a number is not finite or out of its range.
        """
        numbers = (self.threshold, self.margin, self.fpir_target, *self.calibration)
        if len(self.calibration) != 3 or not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"a reject rule needs finite numbers and three of calibration, not {numbers}")
        if self.margin < 0.0 or not 0.0 <= self.fpir_target <= 1.0:
            raise ValueError(f"margin {self.margin} must be >= 0 and fpir_target {self.fpir_target} in 0..1")
