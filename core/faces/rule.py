"""The reject rule of a model version: when a similarity is enough for a name, and how sure that name is.

Light: neither numpy nor torch.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from core.faces.impostors import ImpostorScores

DEFAULT_FPIR = 0.01
"""Share of strangers that may get a name unless another is asked for."""


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
    people: int | None = None
    """Size of the gallery that threshold and confidence are for; None in rules of before it was recorded."""
    impostors: ImpostorScores | None = None
    """How similar strangers are to single people, which tells the threshold of another size; None where it is not
    known."""
    stranger_share: float | None = None
    """Share of strangers among the faces that the confidence takes for granted, 0..1; None where it was not stated."""

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
        if (self.people is not None and self.people < 1) or not 0.0 <= (self.stranger_share or 0.0) <= 1.0:
            raise ValueError(f"people {self.people} must be >= 1 and stranger_share {self.stranger_share} in 0..1")

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a rule as a manifest holds it; what rules of before did not have stays None.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        values = {**document, "calibration": tuple(document["calibration"])}
        if values.get("impostors") is not None:
            values["impostors"] = ImpostorScores(**values["impostors"])
        return cls(**values)

    def for_gallery_of(self, people: int) -> "RejectRule":
        """Return the rule for a gallery of another size.

        A stranger's best similarity grows with the gallery. The threshold moves by as much as impostor scores say, and
        the confidence with it. Where they are not known, the rule stays as it is and its basis says so.

        Args:
            people: in the gallery, >= 1.
        """
        if people == self.people:
            return self
        if self.people is None or self.impostors is None or not 0.0 < self.fpir_target < 1.0:
            return dataclasses.replace(self, basis=f"{self.basis}; not adjusted to the gallery of {people:,}")
        share = self.fpir_target
        moved = self.impostors.threshold(share, people) - self.impostors.threshold(share, self.people)
        intercept, w_similarity, w_margin = self.calibration
        return dataclasses.replace(
            self,
            threshold=self.threshold + moved,
            calibration=(intercept - w_similarity * moved, w_similarity, w_margin),
            people=people,
            basis=f"{self.basis}; moved by {moved:+.3f} to a gallery of {people:,}",
        )
