"""The reject rule of a model version: when a similarity is enough for a name, and how sure that name is.

Light: neither numpy nor torch.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from core.faces.impostors import ImpostorScores

DEFAULT_FPIR = 0.01
"""Share of strangers that may get a name unless another is asked for."""
FPIR_RANGE = (0.0001, 0.2)
"""Beyond, no number of labels tells a threshold, or most strangers have somebody's name."""
OTHER_FPIRS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2)
"""Shares that a rule keeps thresholds for beside its own: a job can ask for any between the first and the last."""


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """Where strangers are refused, for one share of them that may get a name."""

    fpir: float
    """Share of strangers that reach it, above 0, below 1."""
    threshold: float
    """Least similarity to the nearest person; above 1 it names nobody."""
    margin: float
    """Least lead over the runner-up in similarity, >= 0."""

    def __post_init__(self) -> None:
        """Refuse what is no operating point.

        Raises:
            ValueError: a number is not finite or out of its range.
        """
        if not (0.0 < self.fpir < 1.0 and math.isfinite(self.threshold) and 0.0 <= self.margin < math.inf):
            raise ValueError(f"an operating point needs 0 < fpir < 1, a threshold and a margin >= 0, not {self}")


@dataclass(frozen=True, kw_only=True)
class RejectRule:
    """When the nearest person's name is given, and the calibration of the stated confidence."""

    threshold: float
    """Least similarity to the nearest person, -1..1. A threshold above 1 names nobody."""
    margin: float
    """Least lead over the runner-up in similarity, >= 0."""
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
    other_points: tuple[OperatingPoint, ...] = ()
    """Thresholds for other shares of strangers, of OTHER_FPIRS, ascending by share; empty where labels did not tell."""

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
        values["other_points"] = tuple(OperatingPoint(**point) for point in values.get("other_points") or ())
        return cls(**values)

    def at_fpir(self, share: float) -> "RejectRule":
        """Return the rule that lets another share of strangers pass.

        Between two shares that thresholds are known for, they are interpolated along the logarithm of the share. Where
        none is known, the rule stays as it is and its basis says so.

        Args:
            share: of strangers that may get a name, within FPIR_RANGE.
        """
        if share == self.fpir_target:
            return self
        below = [point for point in self.other_points if point.fpir <= share]
        above = [point for point in self.other_points if point.fpir >= share]
        if not below or not above:
            return dataclasses.replace(self, basis=f"{self.basis}; not adjusted to {share:.3g} of strangers")
        low, high = below[-1], above[0]
        way = 0.0 if low is high else math.log(share / low.fpir) / math.log(high.fpir / low.fpir)
        return dataclasses.replace(
            self,
            threshold=low.threshold + way * (high.threshold - low.threshold),
            margin=low.margin + way * (high.margin - low.margin),
            fpir_target=share,
            basis=f"{self.basis}; at {share:.3g} of strangers as asked",
        )

    def for_job(self, fpir: float | None) -> "RejectRule":
        """Return the rule for a job that asks for this share of strangers; None asks for none of its own."""
        return self if fpir is None else self.at_fpir(fpir)

    def knows_fpir(self, share: float) -> bool:
        """Whether `at_fpir` has a threshold for this share of strangers."""
        return self.at_fpir(share).fpir_target == share

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
        shift = functools.partial(_shift, self.impostors, self.people, people)
        moved = shift(self.fpir_target)
        intercept, w_similarity, w_margin = self.calibration
        return dataclasses.replace(
            self,
            threshold=self.threshold + moved,
            calibration=(intercept - w_similarity * moved, w_similarity, w_margin),
            people=people,
            other_points=tuple(
                dataclasses.replace(point, threshold=point.threshold + shift(point.fpir)) for point in self.other_points
            ),
            basis=f"{self.basis}; moved by {moved:+.3f} to a gallery of {people:,}",
        )


def _shift(impostors: ImpostorScores, before: int, after: int, share: float) -> float:
    """Return how much further a gallery of `after` people pushes a threshold than one of `before`."""
    return impostors.threshold(share, after) - impostors.threshold(share, before)
