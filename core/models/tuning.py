"""What was measured of the ways to run a kind of network on a device, and which was chosen. Light: no torch.

Measuring is core/models/tuner.py's, keeping core/models/tuning_cache.py's.
"""

import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

FORMAT_VERSION = 1


class Fate(StrEnum):
    """What became of a way to run a network when the fastest was looked for."""

    MEASURED = "measured"  # it answers right, and was timed
    PARITY = "parity"  # its answers are not those of the golden batch
    FAILED = "failed"  # it does not run here at all
    OUT_OF_MEMORY = "out_of_memory"  # there was no room for it beside what else the device held
    BUDGET = "budget"  # the time for measuring was over before its turn


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to run a network, and what became of it."""

    variant: str
    """Its name in core/models/variants.py."""
    fate: Fate
    seconds: tuple[tuple[int, float], ...] = ()
    """(Crops at once, seconds they take) a batch size, ascending; empty unless it was measured."""
    reason: str | None = None
    """What stopped it, in the words of the error."""

    @property
    def images_per_s(self) -> float | None:
        """Crops a second in the largest batch size; None unless it was measured. On a CPU, a second of computing."""
        return self.seconds[-1][0] / self.seconds[-1][1] if self.seconds else None


@dataclass(frozen=True, kw_only=True)
class TuningKey:
    """What decides which way is the fastest, as far as is known. A tuning holds where all of it is the same."""

    backbone: str
    input_size_px: int
    embedding_dim: int
    buckets: tuple[int, ...]
    """Batch sizes, ascending."""
    device: str
    """The processor's or GPU's name."""
    capabilities: tuple[str, ...]
    """Instructions that it has, sorted; of a GPU, its compute capability."""
    threads: int
    """Cores that the network computes on; 0 on a GPU."""
    libraries: tuple[str, ...]
    """What computes there, with versions: torch, and CUDA and cuDNN on a GPU."""
    variants: tuple[str, ...]
    """The ways that are compared, in the order in which they are tried."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The fastest right way that was found, and what it was compared with."""

    variant: str
    """Name of the way that was chosen."""
    candidates: tuple[Candidate, ...]
    """All of them, in the order in which they were tried."""
    budget_s: float
    """Seconds that there were for measuring."""
    measured_at: datetime
    """Aware, UTC."""

    def __post_init__(self) -> None:
        """Refuse a choice that was not measured.

        Raises:
            ValueError: the way that was chosen is not among those that were measured.
        """
        if not any(each.variant == self.variant and each.seconds for each in self.candidates):
            raise ValueError(f"{self.variant!r} was chosen and not measured")

    @property
    def images_per_s(self) -> float | None:
        """Crops a second of the way that was chosen; see `Candidate.images_per_s`."""
        return next(each.images_per_s for each in self.candidates if each.variant == self.variant)

    def leaves_open(self, budget_s: float) -> bool:
        """Whether a process that has so much time might find a faster way: one was cut short, or found no room then."""
        fates = {each.fate for each in self.candidates}
        return Fate.OUT_OF_MEMORY in fates or (Fate.BUDGET in fates and budget_s > self.budget_s)


def to_json(key: TuningKey, tuning: Tuning) -> str:
    """Write a tuning and where it holds as strict JSON."""
    document = {
        "format_version": FORMAT_VERSION,
        "key": asdict(key),
        **asdict(tuning),
        "measured_at": tuning.measured_at.isoformat(),
    }
    return json.dumps(document, allow_nan=False, indent=1, ensure_ascii=False)


def from_json(text: str | bytes) -> tuple[TuningKey, Tuning]:
    """Read what `to_json` wrote.

    Raises:
        ValueError: it is something else, or in the format of another version.
    """
    try:
        document = json.loads(text)
        if document["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format is {document['format_version']!r}, not {FORMAT_VERSION}")
        tuning = Tuning(
            variant=_text(document["variant"]),
            candidates=tuple(_candidate(each) for each in document["candidates"]),
            budget_s=_seconds(document["budget_s"]),
            measured_at=_moment(document["measured_at"]),
        )
        return _key(document["key"]), tuning
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no tuning: {type(error).__name__} {error}") from error


def _key(values: dict[str, Any]) -> TuningKey:
    """Return a key whose lists are tuples again. A value of a wrong type makes it one that nobody asks for."""
    fields: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}
    return TuningKey(**fields)


def _candidate(values: dict[str, Any]) -> Candidate:
    reason = values["reason"]
    candidate = Candidate(
        variant=_text(values["variant"]),
        fate=Fate(values["fate"]),
        seconds=tuple((_count(bucket), _duration(taken)) for bucket, taken in values["seconds"]),
        reason=None if reason is None else _text(reason),
    )
    if bool(candidate.seconds) != (candidate.fate is Fate.MEASURED):
        raise ValueError(f"{candidate.variant!r} is {candidate.fate} and took {candidate.seconds}")
    return candidate


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is no batch size")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is no number of seconds")
    return float(value)


def _duration(value: Any) -> float:
    if not (seconds := _seconds(value)):
        raise ValueError("nothing takes no time")
    return seconds


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment
