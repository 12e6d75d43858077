"""What the open-set scorecard holds: the photos it is made from, its figures, and their form in JSON.

How the figures are worked out is in core.training.scoring; what each means is in docs/scorecard.md.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.training.curves import CoveragePoint, ReliabilityBin

NO_GROUP = -1
_DIGITS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredPhotos:
    """What a model said of photos, one row a photo that could be read."""

    person: NDArray[np.int64]
    """[N] who it shows, numbered 0..P-1 without gaps; whoever shares a number is drawn together in resamples."""
    found: NDArray[np.bool_]
    """[N] whether a face was found."""
    similarity: NDArray[np.float64]
    """[N] to the nearest person, which thresholds are set on; -inf where none gives a name: there is no face, or it is
    below the quality gate."""
    right: NDArray[np.bool_]
    """[N] whether the candidate is whom the photo shows, named or not; false for strangers and without a face."""
    named: NDArray[np.bool_]
    """[N] whether the model's own rule gave a name."""
    confidence: NDArray[np.float64]
    """[N] stated for the candidate, 0..1; NaN where none is stated."""
    group: NDArray[np.int64]
    """[N] number of the person's group; NO_GROUP where none is known."""

    def __len__(self) -> int:
        return len(self.person)

    @property
    def people(self) -> int:
        """How many different people the photos show."""
        return int(self.person.max()) + 1 if len(self) else 0

    @property
    def stated(self) -> NDArray[np.bool_]:
        """[N] whether a confidence is stated."""
        return np.isfinite(self.confidence)

    def people_of(self, group: int) -> int:
        """How many different people a group has."""
        return len(np.unique(self.person[self.group == group]))


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of photos, with its 95 % interval."""

    rate: float | None
    """0..1; None of no photos."""
    low: float | None
    high: float | None
    """Ends of the interval; None with too few people to say."""
    count: int
    of: int
    """Photos that count, out of so many."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that is no share of photos, with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class RateAtFpir:
    """How many known people are named when a threshold lets a stated share of these very strangers get a name."""

    fpir: float
    tpir: Rate | None
    """None where there are too few strangers to set that threshold."""
    threshold: float | None
    """Similarity above which a name is given; None where any is enough."""
    strangers_needed: int
    """Different strangers that it takes to tell so small a share."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One threshold, or one share of strangers that may get a name."""

    fpir: float
    tpir: float
    low: float | None
    high: float | None
    """Ends of the TPIR's interval; None with too few people to say."""


@dataclass(frozen=True, kw_only=True)
class GroupFigures:
    """How the people of one group fare, and how far from all other photos."""

    name: str
    people: int
    rank1: Rate
    tpir: Rate
    tpir_difference: Figure
    """TPIR less that of all other known people; -1..1."""
    strangers: int
    """Different strangers of this group."""
    fpir: Rate
    fpir_difference: Figure
    """FPIR less that of all other strangers; -1..1."""


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """All figures. Known people come first, strangers second where both are counted."""

    photos: tuple[int, int]
    people: tuple[int, int]
    no_face: tuple[int, int]
    low_quality: tuple[int, int]
    no_group: tuple[int, int]
    """Photos of people who are in no group."""
    rank1: Rate
    """Known people's photos whose nearest person is right, named or not."""
    tpir: Rate
    """Known people's photos that got their own name by the model's rule."""
    named_wrong: Rate
    """Known people's photos that got another's name."""
    fpir: Rate
    """Strangers' photos that got a name by the model's rule."""
    fpir_target: float
    """What the rule was chosen for."""
    unknown_recall: Rate
    """Strangers' photos that got no name."""
    wrong_names: Rate
    """Of all names given, those that are wrong."""
    tpir_at_fpir: tuple[RateAtFpir, ...]
    expected_calibration_error: Figure
    reliability: tuple[ReliabilityBin, ...]
    curve: tuple[CurvePoint, ...]
    coverage: tuple[CoveragePoint, ...]
    groups: tuple[GroupFigures, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the scorecard as JSON values; intervals and curves have six places. docs/scorecard.md has the keys."""
        document = asdict(self)
        for name in ("photos", "people", "no_face", "low_quality", "no_group"):
            document[name] = dict(zip(("known", "strangers"), document[name], strict=True))
        rounded: dict[str, Any] = _rounded(document)
        return rounded


def _rounded(value: Any) -> Any:
    """Round every number that is no whole one, at any depth, but for quotients of two counts."""
    if isinstance(value, dict):
        return {name: each if name == "rate" else _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, _DIGITS) if isinstance(value, float) else value
