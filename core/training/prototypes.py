"""A cosine head learning from the embeddings of a frozen backbone, and the rehearsals that leave people out.

Knows no photos and no networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.faces.gallery import find_typical
from core.training.calibrate import NO_PROBES, Probes, joined, score_probes
from core.training.dataset import renumber
from core.training.loop import EpochFigures, sample_rows
from core.training.split import RehearsalSplit, renumbered, split_into_folds


@dataclass(frozen=True, kw_only=True)
class HeadRecipe:
    """How a head is trained."""

    name: str
    epochs: int
    most_photos: int
    """Photos of an epoch, which is one step; of more, as many are drawn."""
    most_logits: int
    """Photos times people of an epoch, which bounds its memory and time; of more photos, fewer are drawn."""
    learning_rate: float
    """Of the first step; it falls to zero along a cosine."""
    scale: float
    """What cosines are multiplied by to make logits."""
    margin: float
    """Taken off the right person's cosine while training (CosFace, Wang et al., 2018); 0: plain softmax."""
    balance: float
    """0: every photo is drawn equally often; 1: every person is."""
    folds: int
    """Rehearsals; each person is a stranger to one of them."""
    enough_strangers: int
    """People left out by all rehearsals together; of more people, fewer rehearsals leave as many out."""


HEAD = HeadRecipe(
    name="head",
    epochs=20,
    most_photos=8192,
    most_logits=8_000_000,
    learning_rate=1e-3,
    scale=16.0,
    margin=0.0,
    balance=0.5,
    folds=10,
    enough_strangers=500,
)
"""So gentle a training moves prototypes little from the class means; docs/decisions/0013-head-on-a-frozen-backbone.md
has the measurement."""

_CLEAR = 0.15
"""Cosine that a hard negative is pushed below: well under any threshold, well above what nobody has."""
_PROBE_LOGITS = 8_000_000  # photos times people scored at once: 32 MB


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Photos as a backbone sees them, and whose they are."""

    vectors: Tensor
    """float32 [N, D], as long as core.faces.lengths says, on the CPU."""
    labels: Tensor
    """int64 [N]: class of each; -1 for a stranger."""

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: Tensor) -> "Embeddings":
        """Return those at these places (int64 or bool)."""
        return Embeddings(vectors=self.vectors[rows], labels=self.labels[rows])

    def relabelled(self, new_labels: Tensor) -> "Embeddings":
        """Return the same where class c is `new_labels[c]` (int64); strangers stay strangers."""
        return Embeddings(vectors=self.vectors, labels=renumber(self.labels, new_labels))


@dataclass(frozen=True, kw_only=True)
class HardNegatives:
    """Photos that were once taken for people whom they do not show. A photo may stand there several times."""

    vectors: Tensor
    """float32 [M, D], as long as core.faces.lengths says."""
    classes: Tensor
    """int64 [M]: whom each was taken for; a number below 0 is nobody's, and pushes nothing."""

    def relabelled(self, new_labels: Tensor) -> "HardNegatives":
        """Return the same where class c is `new_labels[c]` (int64)."""
        return HardNegatives(vectors=self.vectors, classes=renumber(self.classes, new_labels))


class KnownPeople:
    """One direction a person, and how photos score against them.

    Args:
        gallery: one row a person, float32 [C, D].
    """

    def __init__(self, gallery: Tensor) -> None:
        self._gallery = gallery

    @property
    def gallery(self) -> Tensor:
        """One row a person, float32 [C, D]."""
        return self._gallery

    def probe(self, photos: Embeddings) -> Probes:
        """Score photos; any label that is no class of this head is a stranger's."""
        if len(photos) == 0:
            return NO_PROBES
        gallery = self.gallery.numpy()
        vectors, labels = photos.vectors.numpy(), photos.labels.numpy()
        step = max(_PROBE_LOGITS // len(gallery), 1)
        parts = [
            score_probes(part, part @ gallery.T, gallery, labels[start : start + step])
            for start in range(0, len(vectors), step)
            for part in (vectors[start : start + step],)
        ]
        whole = joined(parts)
        return Probes(
            similarity=whole.similarity, margin=whole.margin, right=whole.right, people=len(np.unique(labels))
        )


class Head(KnownPeople):
    """Prototypes that learn to tell people apart.

    A person with one photo stays where that photo is: it cannot tell in which direction the person varies, and moving
    away from others alone names fewer of the known (docs/decisions/0014-thresholds-for-any-gallery.md).

    Args:
        photos: what it learns from, with labels 0..C-1, each at least once. Outliers among them are left out.
        recipe: how.
        epochs: how many will be trained.
        seed: of what is drawn.
        negatives: whom to keep away from whom; numbered as the photos are.
    """

    def __init__(
        self, photos: Embeddings, recipe: HeadRecipe, *, epochs: int, seed: int, negatives: HardNegatives | None = None
    ) -> None:
        typical = typical_rows(photos)
        self._photos = photos.rows(typical)
        self._recipe = recipe
        self._epochs = epochs
        self._generator = torch.Generator().manual_seed(seed)
        super().__init__(class_means(self._photos))
        self._prototypes = self._gallery.clone().requires_grad_()
        self._lengths = torch.linalg.vector_norm(self._gallery, dim=1, keepdim=True)
        self._negatives = negatives
        self._moves = (torch.bincount(self._photos.labels) > 1).float()[:, None]
        if negatives is not None:
            self._moves[negatives.classes[negatives.classes >= 0]] = 1.0
        self._optimiser = torch.optim.Adam([self._prototypes], lr=recipe.learning_rate)
        self.outliers = len(photos) - len(self._photos)
        """Photos that were left out because they do not look like the others of their person."""

    @property
    def gallery(self) -> Tensor:
        """One row a person, float32 [C, D]."""
        return self._at_their_lengths(self._prototypes.detach())

    def train_one_epoch(self, epoch: int) -> EpochFigures:
        """Step once, in the epoch of this number (from 0)."""
        recipe = self._recipe
        rate = recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * epoch / self._epochs))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        people = len(self._prototypes)
        count = min(len(self._photos), recipe.most_photos, max(recipe.most_logits // people, 1))
        rows = sample_rows(self._photos.labels, count, recipe.balance, self._generator)
        photos = self._photos.rows(rows)
        gallery = self._at_their_lengths(self._prototypes)
        cosines = F.linear(photos.vectors, gallery)
        margins = torch.zeros_like(cosines).scatter_(1, photos.labels[:, None], recipe.margin)
        loss = F.cross_entropy(recipe.scale * (cosines - margins), photos.labels)
        self._optimiser.zero_grad(set_to_none=True)
        (loss + self._push_away(gallery)).backward()  # type: ignore[no-untyped-call]
        assert self._prototypes.grad is not None  # noqa: S101 - it was just computed
        self._prototypes.grad *= self._moves
        self._optimiser.step()
        right = (cosines.argmax(dim=1) == photos.labels).float().mean()
        return EpochFigures(loss=loss.item(), accuracy=right.item(), learning_rate=rate)

    def _at_their_lengths(self, prototypes: Tensor) -> Tensor:
        """Return prototypes as long as they began: training turns them and no more."""
        rows: Tensor = F.normalize(prototypes, dim=1) * self._lengths
        return rows

    def _push_away(self, gallery: Tensor) -> Tensor:
        """Return what hard negatives add to the loss: as far as each is closer than it may be."""
        if self._negatives is None or not len(self._negatives.classes):
            return torch.zeros(())
        counted = self._negatives.classes >= 0
        wrong = gallery[self._negatives.classes[counted]]
        cosines = (self._negatives.vectors[counted] * wrong).sum(dim=1)
        return self._recipe.scale * F.relu(cosines - _CLEAR).sum() / max(len(gallery), 1)


@dataclass(frozen=True, kw_only=True)
class HeadTrial:
    """Some of the people, and photos that nothing learned from to try them on, labelled in their own numbers."""

    head: KnownPeople
    held_out: Embeddings
    """Other photos of these people; may be empty."""
    strangers: Embeddings
    """Photos of people who are none of them, each with a label beyond theirs; may be empty."""


@dataclass(frozen=True, kw_only=True)
class HeadRehearsal(HeadTrial):
    """A head that learns from some of the people, and what it is tried on."""

    head: Head


def class_means(photos: Embeddings) -> Tensor:
    """Return each person's mean direction, as long as their photos are in the mean: float32 [C, D]."""
    classes = int(photos.labels.max()) + 1
    sums = torch.zeros(classes, photos.vectors.shape[1]).index_add_(0, photos.labels, photos.vectors)
    lengths = torch.zeros(classes).index_add_(0, photos.labels, torch.linalg.vector_norm(photos.vectors, dim=1))
    return F.normalize(sums, dim=1) * (lengths / torch.bincount(photos.labels, minlength=classes))[:, None]


def typical_rows(photos: Embeddings) -> Tensor:
    """Say which photos agree with the others of their person, bool [N]; at least one of each does."""
    vectors, typical = photos.vectors.numpy(), np.ones(len(photos), dtype=bool)
    for rows in _rows_by_class(photos.labels):
        typical[rows] = find_typical(vectors[rows])
    return torch.from_numpy(typical)


def build_rehearsals(photos: Embeddings, recipe: HeadRecipe, *, epochs: int, seed: int) -> list[HeadRehearsal]:
    """Leave each person out of one rehearsal, and some photos of the others; of one person, there is none.

    With very many people only so many rehearsals are built as leave out enough of them. Photos that do not look like
    the others of their person are taken for mislabelled: they are nobody's photo and no stranger's either.
    """
    people = int(photos.labels.max()) + 1
    if people < 2:
        return []
    usual = photos.rows(typical_rows(photos))
    wanted = math.ceil(recipe.folds * min(1.0, recipe.enough_strangers / people))
    splits = split_into_folds(usual.labels, recipe.folds, torch.Generator().manual_seed(seed), most=wanted)
    return [_rehearsal(usual, split, recipe, epochs, seed + n) for n, split in enumerate(splits, start=2)]


def _rehearsal(photos: Embeddings, split: RehearsalSplit, recipe: HeadRecipe, epochs: int, seed: int) -> HeadRehearsal:
    numbered = photos.relabelled(renumbered(split, int(photos.labels.max()) + 1))
    return HeadRehearsal(
        head=Head(numbered.rows(split.train), recipe, epochs=epochs, seed=seed),
        held_out=numbered.rows(split.held_out),
        strangers=numbered.rows(split.strangers),
    )


def validate_heads(rehearsals: Sequence[HeadRehearsal], scale: float) -> tuple[float | None, float | None]:
    """Return cross-entropy and accuracy on held-out photos of people that the heads know; None without photos."""
    losses, right = [], []
    for each in rehearsals:
        logits = scale * F.linear(each.held_out.vectors, each.head.gallery)
        losses.append(F.cross_entropy(logits, each.held_out.labels, reduction="none"))
        right.append(logits.argmax(dim=1) == each.held_out.labels)
    if not sum(map(len, losses)):
        return None, None
    return torch.cat(losses).mean().item(), torch.cat(right).float().mean().item()


def train_heads(final: Head, rehearsals: Sequence[HeadRehearsal], epoch: int) -> EpochFigures:
    """Train one epoch of every head; return the final one's figures."""
    for each in rehearsals:
        each.head.train_one_epoch(epoch)
    return final.train_one_epoch(epoch)


def _rows_by_class(labels: Tensor) -> list["np.typing.NDArray[np.int64]"]:
    """Return the places of each class's photos, class by class."""
    order = np.argsort(labels.numpy(), kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels.numpy()))[:-1])
