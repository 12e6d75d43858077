"""A gallery of people as pure functions: adding, renaming and removing one person leaves the others' rows as they are.

Knows vectors alone: no photo, no network, no training.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.faces.rule import RejectRule
from core.faces.vectors import directions
from core.records import PersonClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OUTLIER = 0.4
"""A photo is an outlier when it is less than this share as similar to the others as they are to each other. With 5 %
of labels swapped, 97 to 99 % of the swapped photos are, and 0.2 to 0.3 % of the right ones
(docs/decisions/0014-thresholds-for-any-gallery.md)."""
_FEWEST_TO_TRIM = 3
"""Of two photos that differ, nobody can say which is the wrong one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """Whom a model knows, and when it gives their names."""

    classes: tuple[PersonClass, ...]
    """C people."""
    vectors: "NDArray[np.float32]"
    """[C, D]: one row a person, as long as core.faces.lengths says."""
    rule: RejectRule
    """Made for C people."""

    def __post_init__(self) -> None:
        """Refuse rows that do not fit the people.

        Raises:
            ValueError: as many rows as people are needed, and at least one.
        """
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.classes) or not self.classes:
            raise ValueError(f"{len(self.classes)} people need as many rows, not {self.vectors.shape}")


def enrol_person(gallery: Gallery, person: PersonClass, photos: "NDArray[np.float32]") -> Gallery:
    """Add a person as the last class, imprinted from their photos, and fit the rule to the new size.

    Args:
        gallery: the people so far; their rows are kept bit by bit.
        person: whom to add; somebody of the same id must not be there.
        photos (float32 [K, D]): embeddings, K >= 1, of the backbone that the gallery is of.

    Raises:
        ValueError: the person is there already, or the photos do not fit.
    """
    if any(each.person_id == person.person_id for each in gallery.classes):
        raise ValueError(f"person {person.person_id} is in the gallery already")
    if photos.ndim != 2 or len(photos) == 0 or photos.shape[1] != gallery.vectors.shape[1]:
        raise ValueError(f"photos {photos.shape} do not fit a gallery {gallery.vectors.shape}")
    return Gallery(
        classes=(*gallery.classes, person),
        vectors=np.concatenate([gallery.vectors, imprint(photos)[None]]),
        rule=gallery.rule.for_gallery_of(len(gallery.classes) + 1),
    )


def rename_person(gallery: Gallery, person_id: int, name: str) -> Gallery:
    """Give a person another name; no row and no threshold changes.

    Raises:
        ValueError: nobody has this id.
    """
    at = _place_of(gallery, person_id)
    renamed = dataclasses.replace(gallery.classes[at], name=name)
    return dataclasses.replace(gallery, classes=(*gallery.classes[:at], renamed, *gallery.classes[at + 1 :]))


def remove_person(gallery: Gallery, person_id: int) -> Gallery:
    """Drop a person's row and fit the rule to the new size.

    Raises:
        ValueError: nobody has this id, or nobody else is left.
    """
    at = _place_of(gallery, person_id)
    return Gallery(
        classes=(*gallery.classes[:at], *gallery.classes[at + 1 :]),
        vectors=np.delete(gallery.vectors, at, axis=0),
        rule=gallery.rule.for_gallery_of(max(len(gallery.classes) - 1, 1)),
    )


def imprint(photos: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Return the mean direction of a person's photos without the outliers among them, float32 [D], as long as they are.

    Args:
        photos (float32 [K, D]): embeddings, K >= 1.
    """
    typical = photos[find_typical(photos)]
    total = typical.sum(axis=0)
    length = float(np.linalg.norm(total))
    meant = float(np.linalg.norm(typical, axis=1).mean())
    return np.asarray(total * (meant / length) if length > 0.0 else photos[0], dtype=np.float32)


def find_typical(photos: "NDArray[np.float32]") -> "NDArray[np.bool_]":
    """Say which of a person's photos agree with the others, bool [K]; fewer than half are ever called outliers.

    The least similar photo goes first, and then the others are looked at anew. Of fewer than three, all are typical.

    Args:
        photos (float32 [K, D]): embeddings, K >= 1.
    """
    typical = np.ones(len(photos), dtype=bool)
    if len(photos) < _FEWEST_TO_TRIM:
        return typical
    looks = directions(photos)
    cosines = looks @ looks.T
    for _ in range((len(photos) - 1) // 2):
        rows = np.flatnonzero(typical)
        to_others = cosines[np.ix_(rows, rows)].sum(axis=1) - 1.0
        worst = int(to_others.argmin())
        others = len(rows) - 1
        among_others = (float(to_others.sum()) - 2.0 * float(to_others[worst])) / (others * (others - 1))
        if to_others[worst] / others >= _OUTLIER * among_others:
            break
        typical[rows[worst]] = False
    return typical


def _place_of(gallery: Gallery, person_id: int) -> int:
    for at, person in enumerate(gallery.classes):
        if person.person_id == person_id:
            return at
    raise ValueError(f"person {person_id} is not in the gallery")
