"""Gathers what a model said of photos into the rows that the open-set scorecard takes."""

from dataclasses import dataclass, field

import numpy as np

from core.records import FaceOutcome, FaceResult, PhotoResult
from core.training.scorecard import NO_GROUP, ScoredPhotos
from scripts.scorecard import main_face


@dataclass(kw_only=True)
class Rows:
    """Photos of known people, or of strangers; those that could not be used are left out."""

    _people: dict[str, int] = field(default_factory=dict)
    _person: list[int] = field(default_factory=list)
    _group: list[int] = field(default_factory=list)
    _truth: list[int | None] = field(default_factory=list)
    _faces: list[FaceResult | None] = field(default_factory=list)

    def add(self, result: PhotoResult, person: str, truth: int | None, group: int | None) -> None:
        """Add a photo.

        Args:
            result: what the model said.
            person: what tells whom it shows apart from others.
            truth: that person's id; None for a stranger.
            group: number of the person's group; None where none is known.
        """
        if result.error is not None:
            return
        self._person.append(self._people.setdefault(person, len(self._people)))
        self._group.append(NO_GROUP if group is None else group)
        self._truth.append(truth)
        self._faces.append(main_face(result))

    def photos(self) -> ScoredPhotos:
        """Return the rows."""
        similarity = np.array([_number(face.similarity if face else None) for face in self._faces], np.float64)
        poor = [face is None or face.outcome is FaceOutcome.LOW_QUALITY for face in self._faces]
        return ScoredPhotos(
            person=np.array(self._person, np.int64),
            found=np.array([face is not None for face in self._faces], bool),
            similarity=np.where(np.array(poor, bool), -np.inf, similarity),
            right=np.array(
                [_is_right(face, truth) for face, truth in zip(self._faces, self._truth, strict=True)], bool
            ),
            named=np.array([face is not None and face.person_id is not None for face in self._faces], bool),
            confidence=np.array([_number(face.confidence if face else None) for face in self._faces], np.float64),
            group=np.array(self._group, np.int64),
        )


def _is_right(face: FaceResult | None, truth: int | None) -> bool:
    return face is not None and truth is not None and face.candidate_id == truth


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
