"""Tries unusual galleries: of one person, of twice as many people as a rule was chosen for, with wrong labels."""

import numpy as np
from numpy.typing import NDArray

from core.faces.gallery import Gallery, enrol_person
from core.faces.match import candidates
from core.records import PersonClass
from core.training.calibrate import Probes, named
from scripts.bench.learning import Backbone, PhotoDraw, draw_photos, learn, probe_known, share_named
from scripts.bench.seen import SeenPhotos

SWAPPED_SHARE = 0.05
"""Labels that are swapped on purpose."""


def try_one_person(
    known: SeenPhotos, strangers: SeenPhotos, photos_a_person: int, backbone: Backbone
) -> list[float | None]:
    """Learn each person alone, and return the share of strangers that get that name, one figure a person."""
    draw = draw_photos(known, photos_a_person, 0)
    shares = []
    for person in range(draw.people):
        rows = draw.learned[draw.labels[draw.learned] == person]
        alone = learn(known.vectors[rows], np.zeros(len(rows), np.int64), 0, backbone)
        shares.append(share_named(alone, strangers))
    return shares


def try_doubling(
    known: SeenPhotos, strangers: SeenPhotos, draw: PhotoDraw, number: int, backbone: Backbone
) -> tuple[float, float] | None:
    """Learn half of the people, then enrol the others one by one without training.

    Returns:
        The share of strangers that the half gives a name, and the share that all do under the rule that was moved
        along; None without strangers, or with fewer than four people.
    """
    half = draw.people // 2
    if half < 2 or not len(strangers):
        return None
    order = np.random.default_rng([number, 1]).permutation(draw.people)
    place = np.argsort(order)
    labels = place[draw.labels[draw.learned]]
    first = labels < half
    learned = learn(known.vectors[draw.learned[first]], labels[first], number, backbone)
    gallery = Gallery(
        classes=tuple(PersonClass(person_id=person, name="") for person in range(half)),
        vectors=learned.head.gallery.numpy(),
        rule=learned.rule,
    )
    for person in range(half, draw.people):
        photos = known.vectors[draw.learned[labels == person]]
        gallery = enrol_person(gallery, PersonClass(person_id=person, name=""), photos)
    given = named(_nearest(gallery, strangers.vectors), gallery.rule) & strangers.good
    share = share_named(learned, strangers)
    return None if share is None else (share, float(given.mean()))


def try_swapped(known: SeenPhotos, draw: PhotoDraw, number: int, backbone: Backbone) -> float | None:
    """Give some photos to somebody else, learn, and return the share of others whose nearest person is the right one.

    Returns:
        None where no label is left to swap.
    """
    count = round(SWAPPED_SHARE * len(draw.learned))
    labels = draw.labels[draw.learned]
    generator = np.random.default_rng([number, 2])
    swapped = labels.copy()
    rows = generator.choice(len(labels), count, replace=False)
    swapped[rows] = (labels[rows] + generator.integers(1, draw.people, count)) % draw.people
    if not count or len(np.unique(swapped)) < draw.people:
        return None
    learned = learn(known.vectors[draw.learned], swapped, number, backbone)
    return float(probe_known(learned.head, known, draw.tried, draw.labels).right.mean())


def _nearest(gallery: Gallery, vectors: NDArray[np.float32]) -> Probes:
    """Score strangers against a gallery."""
    _, similarity, runner_up = candidates(vectors, vectors @ gallery.vectors.T, gallery.vectors)
    return Probes(
        similarity=similarity,
        margin=similarity - runner_up,
        right=np.zeros(len(vectors), bool),
        people=len(vectors),
    )
