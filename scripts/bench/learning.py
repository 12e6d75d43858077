"""Learns people from embeddings as training does, and shows the head photos. Counts nothing."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.faces.impostors import PublishedScores
from core.faces.rule import RejectRule
from core.training.calibrate import Probes, named
from core.training.decision import calibrate_head
from core.training.head import train_on
from core.training.prototypes import Embeddings, Head
from core.training.request import TrainingRequest
from scripts.bench.seen import SeenPhotos
from workers.preparation import HEAD_RECIPE

NO_FACE = -1.0
"""Similarity of a photo without a face to anything."""


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """Whose embeddings are measured."""

    name: str
    published: PublishedScores | None = None
    """What is known of its similarities; None where nothing is."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """People, learned."""

    head: Head
    rule: RejectRule


@dataclass(frozen=True, kw_only=True)
class PhotoDraw:
    """Which photos are learned from."""

    learned: NDArray[np.int64]
    """Rows, ascending."""
    tried: NDArray[np.int64]
    """Rows of all other photos of the same people."""
    labels: NDArray[np.int64]
    """[N] the class of every photo; -1: of nobody who is learned."""

    @property
    def people(self) -> int:
        """How many are learned."""
        return int(self.labels.max()) + 1


def draw_photos(known: SeenPhotos, photos_a_person: int, number: int) -> PhotoDraw:
    """Draw the photos to learn from among the good ones; the same number gives the same draw."""
    generator = np.random.default_rng([photos_a_person, number])
    learned: list[NDArray[np.int64]] = []
    labels = np.full(len(known), -1, np.int64)
    for owner in np.unique(known.owners):
        rows = np.flatnonzero((known.owners == owner) & known.good)
        if len(rows) > photos_a_person:
            labels[known.owners == owner] = len(learned)
            learned.append(generator.choice(rows, photos_a_person, replace=False))
    chosen = np.sort(np.concatenate(learned))
    return PhotoDraw(learned=chosen, tried=np.setdiff1d(np.flatnonzero(labels >= 0), chosen), labels=labels)


def learn(vectors: NDArray[np.float32], labels: NDArray[np.int64], seed: int, backbone: Backbone) -> Learned:
    """Train a head and choose its rule from these photos alone.

    Args:
        vectors (float32 [N, D]): embeddings.
        labels (int64 [N]): 0..C-1, each at least once.
        seed: of the run.
        backbone: what they are embeddings of.
    """
    request = TrainingRequest(classes=(), train=(), test=(), recipe=HEAD_RECIPE, seed=seed)
    photos = embeddings(vectors, labels)
    head, rehearsals, _ = train_on(photos, request, lambda _: None, lambda: False)
    rule = calibrate_head(rehearsals, head, photos, published=backbone.published, backbone=backbone.name).rule
    return Learned(head=head, rule=rule)


def embeddings(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Embeddings:
    """Return the same as training takes it."""
    return Embeddings(vectors=torch.from_numpy(vectors), labels=torch.from_numpy(labels))


def probe_known(head: Head, seen: SeenPhotos, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> Probes:
    """Score photos of known people; one without a face is as near to nobody."""
    return _without_names(head.probe(embeddings(seen.vectors[rows], labels[rows])), seen.found[rows])


def probe_strangers(head: Head, strangers: SeenPhotos) -> Probes:
    """Score photos of strangers."""
    return _without_names(head.probe(embeddings(strangers.vectors, strangers.owners)), strangers.found)


def share_named(learned: Learned, strangers: SeenPhotos) -> float | None:
    """Return the share of strangers whom the rule and the quality gate give a name; None without any."""
    if not len(strangers):
        return None
    return float((named(probe_strangers(learned.head, strangers), learned.rule) & strangers.good).mean())


def _without_names(probes: Probes, found: NDArray[np.bool_]) -> Probes:
    """Take a photo without a face as near to nobody."""
    return Probes(
        similarity=np.where(found, probes.similarity, np.float32(NO_FACE)),
        margin=np.where(found, probes.margin, np.float32(0.0)),
        right=probes.right & found,
        people=probes.people,
    )
