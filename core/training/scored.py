"""Makes the rows that a scorecard takes out of what a network answered to test photos, or to a rehearsal's."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from core.errors import FaceTooPoorError, NoFaceError
from core.faces.match import confidences
from core.faces.rule import RejectRule
from core.records import Example
from core.training.calibrate import Probes, named
from core.training.request import SkippedPhoto
from core.training.scorecard import NO_GROUP, ScoredPhotos

_STRANGER = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class MissedPhotos:
    """Test photos that no network was asked about, as they show nothing to ask about."""

    no_face: NDArray[np.int64]
    """[A] class of each photo without a face; -1 for a stranger."""
    too_poor: NDArray[np.int64]
    """[B] class of each whose face is below the quality gate; -1 for a stranger."""


NONE_MISSED = MissedPhotos(no_face=np.empty(0, np.int64), too_poor=np.empty(0, np.int64))


def missed_photos(
    examples: Sequence[Example], skipped: Sequence[SkippedPhoto], new_labels: NDArray[np.int64]
) -> MissedPhotos:
    """Find those that count in rates among the photos that were left out; unreadable ones do not.

    Args:
        examples: the test photos.
        skipped: those of them that were left out, and why.
        new_labels (int64 [C]): the model's number of each class; -2 for one that it does not know.
    """
    classes = {example.uri: example.class_index for example in examples}

    def of(code: str) -> NDArray[np.int64]:
        old = np.array([classes[photo.uri] for photo in skipped if photo.code == code], np.int64)
        new = np.where(old == _STRANGER, _STRANGER, new_labels[old])
        return new[new >= _STRANGER]

    return MissedPhotos(no_face=of(NoFaceError.code), too_poor=of(FaceTooPoorError.code))


def score_tested(
    probes: Probes,
    truth: NDArray[np.int64],
    given: NDArray[np.bool_],
    rule: RejectRule,
    missed: MissedPhotos = NONE_MISSED,
) -> tuple[ScoredPhotos, ScoredPhotos]:
    """Score test photos.

    Args:
        probes: N of them.
        truth (int64 [N]): class of each; -1 for a stranger, each of whom is somebody else.
        given (bool [N]): whether the rule gave a name.
        rule: the model's.
        missed: photos that the network was not asked about.

    Returns:
        Known people's photos, and strangers'.
    """
    whose = np.concatenate([truth, missed.no_face, missed.too_poor])
    known = whose != _STRANGER
    found = np.ones(len(whose), bool)
    found[len(truth) : len(truth) + len(missed.no_face)] = False
    one_each = len(whose) + np.arange(len(whose))
    everything = _score(probes, given, rule, person=np.where(known, whose, one_each), found=found)
    return _rows(everything, known), _rows(everything, ~known)


def score_rehearsed(probes: Probes, rule: RejectRule, people: Sequence[NDArray[np.int64]]) -> ScoredPhotos:
    """Score the photos of rehearsals by the final rule.

    Args:
        probes: of one rehearsal after the other.
        rule: chosen from them.
        people: whom the photos of each rehearsal show, in its own numbers; somebody held out of two counts as two.
            Photos beyond these, such as strangers who were labelled, are of one person each.
    """
    numbers: list[NDArray[np.int64]] = []
    taken = 0
    for part in [*people, np.arange(len(probes) - sum(map(len, people)))]:
        numbers.append(np.asarray(part, np.int64) + taken)
        taken += int(part.max()) + 1 if len(part) else 0
    all_of_them = np.ones(len(probes), bool)
    given = named(probes, rule)
    return _rows(_score(probes, given, rule, person=np.concatenate(numbers), found=all_of_them), all_of_them)


def _score(
    probes: Probes, given: NDArray[np.bool_], rule: RejectRule, *, person: NDArray[np.int64], found: NDArray[np.bool_]
) -> ScoredPhotos:
    """Score photos; those of `person` beyond the probes are missed ones."""
    missed = len(person) - len(probes)
    stated = confidences(probes.similarity, probes.margin, rule.calibration)
    return ScoredPhotos(
        person=person,
        found=found,
        similarity=np.pad(probes.similarity.astype(np.float64), (0, missed), constant_values=-np.inf),
        right=np.pad(probes.right, (0, missed)),
        named=np.pad(given, (0, missed)),
        confidence=np.pad(stated, (0, missed), constant_values=np.nan),
        group=np.full(len(person), NO_GROUP),
    )


def _rows(photos: ScoredPhotos, rows: NDArray[np.bool_]) -> ScoredPhotos:
    """Return some of the photos, with their people numbered anew without gaps."""
    columns = {field.name: getattr(photos, field.name)[rows] for field in fields(ScoredPhotos)}
    columns["person"] = np.unique(columns["person"], return_inverse=True)[1]
    return ScoredPhotos(**columns)
