"""How long an embedding is: a similarity counts for less where a network found much to say, and for more where little.

Similarity is the inner product. Where a network's features are short, photos of one person are less similar to each
other, and those of two people are not: docs/decisions/0028-lengths.md has the measurement.

Light: neither numpy nor torch.
"""

import math
from dataclasses import dataclass

LEAST, MOST = 0.8, 1.1
"""Bounds of an embedding's length. Features of what is hardly a face are shorter than those of any face that was
measured, and would count for most."""
ROUNDING = 1e-3
"""By which a length may lie beyond its bounds."""


@dataclass(frozen=True, kw_only=True)
class FeatureLength:
    """What the length of a backbone's features says."""

    typical: float
    """Length of the features of a photo as most are, above 0: their embedding has length 1."""
    power: float
    """Embeddings have length `(features' length / typical) ** -power`, within the bounds; 0..1."""

    def __post_init__(self) -> None:
        """Refuse numbers that say nothing.

        Raises:
            ValueError: one is out of its range.
        """
        if not (math.isfinite(self.typical) and self.typical > 0.0 and 0.0 <= self.power <= 1.0):
            raise ValueError(f"a length above 0 and a power in 0..1 are needed, not {self.typical} and {self.power}")


SAYS_NOTHING = FeatureLength(typical=1.0, power=0.0)
"""Of networks for which nobody measured it: all embeddings have length 1."""
