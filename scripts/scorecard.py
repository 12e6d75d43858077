"""Counts what a model did with photos whose people are known: the closed-set and the open-set scorecard.

Pure counting: reads no photo and runs no network.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.records import FaceOutcome, FaceResult, ItemOutcome, PhotoResult

_RANKS = 5
_ERRORS_KEPT = 20


@dataclass(kw_only=True)
class Tally:
    """What became of a set of photos."""

    photos: int = 0
    errors: int = 0
    """Photos that could not be used; they count in no rate."""
    nearest_right: int = 0
    """The nearest person is the right one, named or not."""
    in_top5: int = 0
    named_right: int = 0
    named_wrong: int = 0
    unknown: int = 0
    ambiguous: int = 0
    low_quality: int = 0
    no_face: int = 0

    @property
    def refused(self) -> int:
        """Photos that could be used and got no name."""
        return self.unknown + self.ambiguous + self.low_quality + self.no_face

    @property
    def usable(self) -> int:
        """Photos that the rates are of."""
        return self.photos - self.errors

    def add(self, result: PhotoResult, truth: int | None) -> None:
        """Count one photo.

        Args:
            result: its outcome.
            truth: the person's id; None for somebody whom the model does not know.
        """
        self.photos += 1
        face = main_face(result)
        if result.outcome is ItemOutcome.ERROR:
            self.errors += 1
        elif face is None:
            self.no_face += 1
        else:
            self._add_face(face, truth)

    def share(self, count: int) -> float | None:
        """Return a count as a share of the usable photos."""
        return count / self.usable if self.usable else None

    def _add_face(self, face: FaceResult, truth: int | None) -> None:
        self.nearest_right += truth is not None and face.candidate_id == truth
        self.in_top5 += truth is not None and truth in {ranked.person_id for ranked in face.top_k[:_RANKS]}
        if face.outcome is FaceOutcome.IDENTIFIED:
            self.named_right += face.person_id == truth
            self.named_wrong += face.person_id != truth
        elif face.outcome is FaceOutcome.AMBIGUOUS:
            self.ambiguous += 1
        elif face.outcome is FaceOutcome.LOW_QUALITY:
            self.low_quality += 1
        else:
            self.unknown += 1


@dataclass(kw_only=True)
class Scorecard:
    """The tallies of one evaluation, filled photo by photo."""

    names: Mapping[int, str]
    """Current names by person id."""
    known: Tally = field(default_factory=Tally)
    """Photos of people whom the model knows."""
    people: dict[str, Tally] = field(default_factory=dict)
    """The same by name."""
    not_enrolled: dict[str, Tally] = field(default_factory=dict)
    """Photos of named people whom the model does not know."""
    strangers: Tally | None = None
    confusions: Counter[tuple[int, int]] = field(default_factory=Counter)
    """How often somebody (first) looked most like somebody else (second)."""
    first_errors: list[dict[str, str]] = field(default_factory=list)

    def add(self, result: PhotoResult, name: str, truth: int | None) -> None:
        """Count a photo of the person of this name; `truth` is None when the model does not know them."""
        self._keep_error(result)
        by_name = self.people if truth is not None else self.not_enrolled
        by_name.setdefault(name, Tally()).add(result, truth)
        if truth is None:
            return
        self.known.add(result, truth)
        face = main_face(result)
        if face is not None and face.candidate_id not in {None, truth}:
            self.confusions[truth, face.candidate_id or 0] += 1

    def add_stranger(self, result: PhotoResult) -> None:
        """Count a photo of somebody who must get no name."""
        self._keep_error(result)
        self.strangers = self.strangers or Tally()
        self.strangers.add(result, None)

    @property
    def errors(self) -> int:
        """All photos that could not be used."""
        others = sum(tally.errors for tally in self.not_enrolled.values())
        return self.known.errors + others + (self.strangers.errors if self.strangers else 0)

    def to_json(self) -> dict[str, Any]:
        """Return the scorecard as a document."""
        known = self.known
        return {
            "photos": known.photos,
            "errors": known.errors,
            "rank1_accuracy": known.share(known.nearest_right),
            "top5_accuracy": known.share(known.in_top5),
            "named_right": known.named_right,
            "named_wrong": known.named_wrong,
            "refused": {
                "unknown": known.unknown,
                "ambiguous": known.ambiguous,
                "low_quality": known.low_quality,
                "no_face": known.no_face,
            },
            "tpir": known.share(known.named_right),
            "people": [{"name": name, **_person(tally)} for name, tally in self.people.items()],
            "confusions": self.list_confusions(),
            "not_enrolled": [
                {"name": name, "photos": tally.photos, "named": tally.named_wrong}
                for name, tally in self.not_enrolled.items()
            ],
            "strangers": _strangers(self.strangers),
            "first_errors": self.first_errors,
        }

    def list_confusions(self) -> list[dict[str, Any]]:
        """Return who looked most like whom instead, most frequent first."""
        return [
            {"is": self.names.get(truth), "nearest": self.names.get(nearest), "photos": count}
            for (truth, nearest), count in self.confusions.most_common()
        ]

    def _keep_error(self, result: PhotoResult) -> None:
        if result.error is not None and len(self.first_errors) < _ERRORS_KEPT:
            error = result.error
            self.first_errors.append({"uri": result.uri, "code": error.code, "message": error.message})


def main_face(result: PhotoResult) -> FaceResult | None:
    """Return the face that a photo is about: of those that pass the quality gate, or else of all, the largest and most
    central. Right for photos that were taken, or cut, of one person.

    By how much a face's area exceeds twice the square of its distance from the photo's middle, as in InsightFace's
    `FaceAnalysis.get`. On 826 press photos of LFW that is always the face nearest the middle, whom the photo is
    labelled for; the largest is somebody else in two: docs/benchmarks.md has what that costs.
    """
    return max(result.faces, key=lambda face: (not face.quality_reasons, _prominence(face, result)), default=None)


def _prominence(face: FaceResult, photo: PhotoResult) -> float:
    x1, y1, x2, y2 = face.box_xyxy_px
    right, down = x1 + x2 - (photo.width_px or 0), y1 + y2 - (photo.height_px or 0)  # twice as far from the middle
    return (x2 - x1) * (y2 - y1) - (right**2 + down**2) / 2.0


def _person(tally: Tally) -> dict[str, Any]:
    return {
        "photos": tally.photos,
        "errors": tally.errors,
        "nearest_right": tally.nearest_right,
        "named_right": tally.named_right,
        "named_wrong": tally.named_wrong,
        "refused": tally.refused,
    }


def _strangers(tally: Tally | None) -> dict[str, Any] | None:
    if tally is None:
        return None
    named = tally.named_wrong
    return {"photos": tally.photos, "errors": tally.errors, "named": named, "fpir": tally.share(named)}
