"""Finds labelled photos that look wrong before they are learned from. Only finds: what to do about it people decide.

Pure: knows no photos and no names, only embeddings and whose they are said to be. docs/hygiene.md has the measurement.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from core.faces.vectors import directions

ALONE = 0.3
"""Cosine to the mean of somebody's photos below which a photo does not look like them."""
SAME = 0.93
"""Cosine from which two photos of a person are one, taken twice or saved again."""
FEW_PHOTOS = 3
"""A person of fewer photos is refused more often: 97 % of one photo's people are named, and 99 % of three photos'."""
_TRIMMED = 0.25
"""Of a person's photos: those least like the others, which their mean is made without."""
_BLOCK = 1024


class FindingKind(StrEnum):
    """What looks wrong."""

    MISLABELLED = "mislabelled"  # the photo looks like another person, and more so than like its own
    UNLIKE = "unlike"  # the photo looks like none of the people, least of all like its own
    DUPLICATE = "duplicate"  # the photo is nearly the same as another one of its person
    FEW_PHOTOS = "few_photos"  # the person has too few photos
    ALIKE_PHOTOS = "alike_photos"  # all photos of the person are nearly the same one


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about a labelled photo, or about a person's photos, that looks wrong."""

    kind: FindingKind
    person: int
    """Class of the person whom it is about."""
    photo: int | None = None
    """Row of the photo; None where it is about all of a person's."""
    similarity: float | None = None
    """Cosine to the mean of the person's other photos; of a duplicate, to the photo that it is like."""
    suggested: int | None = None
    """Class of the person whom the photo looks like instead."""
    suggested_similarity: float | None = None
    """Cosine to the mean of that person's photos."""
    like: int | None = None
    """Row of the most similar photo: of the suggested person, or of the person themselves."""


def find_problems(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> list[Finding]:
    """Look at labelled photos, each against the others.

    A photo is compared with the mean of its person's other photos, made without the quarter that is least like the
    rest, and with the means of everybody else. Those that look like somebody else are taken out before the rest is
    looked at once more: with two photos a person, a wrong one makes the right one look wrong too.

    Args:
        vectors (float32 [N, D]): embeddings of any length.
        labels (int64 [N]): class of each, from 0; photos below 0 are nobody's, and nothing is said of them.

    Returns:
        Findings about photos, the most striking first, then those about people. A photo has one at most.
    """
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        return []
    classes, numbers = np.unique(labels[rows], return_inverse=True)
    photos = _Photos(directions(vectors[rows]), numbers, len(classes))
    misnamed = _misnamed(photos)
    wrong = {finding.photo for finding in misnamed}
    found = misnamed + _unlike(photos, wrong)
    wrong = {finding.photo for finding in found}
    doubles, alike = _duplicates(photos, wrong)
    return [_in_given_numbers(finding, rows, classes) for finding in found + doubles + _few(photos) + alike]


class _Photos:
    """Photos of people 0..P-1, each of whom has at least one."""

    def __init__(self, vectors: NDArray[np.float32], people: NDArray[np.int64], count: int) -> None:
        self.vectors = vectors
        self.people = people
        self.count = count
        order = np.argsort(people, kind="stable")
        self.of_person = np.split(order, np.cumsum(np.bincount(people, minlength=count))[:-1])

    def without(self, rows: set[int | None]) -> NDArray[np.bool_]:
        """Say which photos are not among these."""
        kept = np.ones(len(self.people), bool)
        kept[[row for row in rows if row is not None]] = False
        return kept


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """How photos compare with people."""

    own: NDArray[np.float32]
    """[N] to the mean of the own person's other photos; NaN where there is none."""
    other: NDArray[np.float32]
    """[N] to the nearest mean of another person; -1 where there is none."""
    who: NDArray[np.int64]
    """[N] that person."""


def _compare(photos: _Photos, use: NDArray[np.bool_]) -> _Compared:
    """Compare all photos with people, who are made of some photos."""
    trusted = use & _trusted(photos, use)
    sums = np.zeros((photos.count, photos.vectors.shape[1]), np.float32)
    np.add.at(sums, photos.people[trusted], photos.vectors[trusted])
    means = directions(sums)
    own = np.empty(len(photos.people), np.float32)
    other = np.empty(len(photos.people), np.float32)
    who = np.empty(len(photos.people), np.int64)
    for block in _blocks(len(photos.people)):
        vectors, people = photos.vectors[block], photos.people[block]
        rest = directions(sums[people] - np.where(trusted[block, None], vectors, np.float32(0.0)))
        own[block] = np.where(rest.any(axis=1), np.einsum("nd,nd->n", vectors, rest), np.nan)
        cosines = vectors @ means.T
        cosines[:, ~means.any(axis=1)] = -1.0
        cosines[np.arange(len(people)), people] = -1.0
        who[block] = cosines.argmax(axis=1)
        other[block] = cosines.max(axis=1)
    return _Compared(own=own, other=other, who=who)


def _trusted(photos: _Photos, use: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which photos their person's mean is made from: not those whose median likeness to the others is least."""
    trusted = np.ones(len(photos.people), bool)
    for of_person in photos.of_person:
        rows = of_person[use[of_person]]
        if len(rows) < 3:
            continue
        likeness = np.empty(len(rows), np.float32)
        for block in _blocks(len(rows)):
            cosines = photos.vectors[rows[block]] @ photos.vectors[rows].T
            cosines.sort(axis=1)  # the last is the photo itself
            likeness[block] = np.median(cosines[:, :-1], axis=1)
        trusted[rows[np.argsort(likeness, kind="stable")[: int(_TRIMMED * len(rows) + 0.5)]]] = False
    return trusted


def _misnamed(photos: _Photos) -> list[Finding]:
    """Return the photos that look like somebody else, and more so than like their own person."""
    compared = _compare(photos, photos.without(set()))
    lead = compared.other - np.nan_to_num(compared.own, nan=1.0)  # a photo that is alone speaks for itself
    rows = np.flatnonzero((lead > 0.0) & (compared.other >= ALONE))
    return [
        Finding(
            kind=FindingKind.MISLABELLED,
            person=int(photos.people[row]),
            photo=int(row),
            similarity=float(compared.own[row]),
            suggested=int(compared.who[row]),
            suggested_similarity=float(compared.other[row]),
            like=_nearest(photos, row, int(compared.who[row])),
        )
        for row in rows[np.argsort(-lead[rows], kind="stable")]
    ]


def _unlike(photos: _Photos, wrong: set[int | None]) -> list[Finding]:
    """Return the photos, without some, that do not look like their own person."""
    kept = photos.without(wrong)
    compared = _compare(photos, kept)
    rows = np.flatnonzero(kept & (compared.own < ALONE))
    return [
        Finding(
            kind=FindingKind.UNLIKE,
            person=int(photos.people[row]),
            photo=int(row),
            similarity=float(compared.own[row]),
            like=_nearest(photos, row, int(photos.people[row])),
        )
        for row in rows[np.argsort(compared.own[rows], kind="stable")]
    ]


def _nearest(photos: _Photos, row: int, person: int) -> int | None:
    """Return the photo of a person that is most like this one."""
    rows = photos.of_person[person]
    rows = rows[rows != row]
    return int(rows[(photos.vectors[rows] @ photos.vectors[row]).argmax()]) if len(rows) else None


def _duplicates(photos: _Photos, wrong: set[int | None]) -> tuple[list[Finding], list[Finding]]:
    """Return photos that are nearly the same as an earlier one, and people who have nothing but such photos."""
    kept = photos.without(wrong)
    doubles: list[Finding] = []
    alike: list[Finding] = []
    for person, of_person in enumerate(photos.of_person):
        rows = of_person[kept[of_person]]
        found = [_double(person, rows, *pair) for pair in _pairs(photos.vectors[rows])]
        doubles += found
        if found and len(found) == len(rows) - 1:
            alike.append(Finding(kind=FindingKind.ALIKE_PHOTOS, person=person))
    return sorted(doubles, key=lambda finding: -(finding.similarity or 0.0)), alike


def _double(person: int, rows: NDArray[np.int64], later: int, earlier: int, cosine: float) -> Finding:
    return Finding(
        kind=FindingKind.DUPLICATE, person=person, photo=int(rows[later]), similarity=cosine, like=int(rows[earlier])
    )


def _pairs(vectors: NDArray[np.float32]) -> Iterator[tuple[int, int, float]]:
    """Yield each photo that is nearly the same as an earlier one, with the one that it is most like; their cosine."""
    for block in _blocks(len(vectors)):
        cosines = np.tril(vectors[block] @ vectors[: block.stop].T, k=block.start - 1)
        for number in np.flatnonzero(cosines.max(axis=1, initial=0.0) >= SAME):
            earlier = int(cosines[number].argmax())
            yield block.start + int(number), earlier, float(cosines[number, earlier])


def _few(photos: _Photos) -> list[Finding]:
    return [
        Finding(kind=FindingKind.FEW_PHOTOS, person=person)
        for person, rows in enumerate(photos.of_person)
        if len(rows) < FEW_PHOTOS
    ]


def _in_given_numbers(finding: Finding, rows: NDArray[np.int64], classes: NDArray[np.int64]) -> Finding:
    """Return a finding in the caller's rows and classes."""
    return Finding(
        kind=finding.kind,
        person=int(classes[finding.person]),
        photo=None if finding.photo is None else int(rows[finding.photo]),
        similarity=None if finding.similarity is None or np.isnan(finding.similarity) else finding.similarity,
        suggested=None if finding.suggested is None else int(classes[finding.suggested]),
        suggested_similarity=finding.suggested_similarity,
        like=None if finding.like is None else int(rows[finding.like]),
    )


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK):
        yield slice(start, min(count, start + _BLOCK))
