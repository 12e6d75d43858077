"""A cosine head learning from the embeddings of a frozen backbone, and the rehearsals that leave each person out once.

Knows no photos and no networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.training.calibrate import (
    NO_PROBES,
    Calibration,
    Probes,
    Trial,
    calibrate,
    score_probes,
)
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
    learning_rate: float
    """Of the first step; it falls to zero along a cosine."""
    scale: float
    """What cosines are multiplied by to make logits."""
    balance: float
    """0: every photo is drawn equally often; 1: every person is."""
    folds: int
    """Rehearsals; each person is a stranger to one of them."""


_GUMBEL_SKEW = 1.14  # of the best of many unrelated scores, which is what a stranger's similarity is

HEAD = HeadRecipe(name="head", epochs=20, most_photos=8192, learning_rate=1e-3, scale=16.0, balance=0.5, folds=10)
"""So gentle a training moves prototypes little from the class means; docs/decisions/0013-head-on-a-frozen-backbone.md
has the measurement."""


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Photos as a backbone sees them, and whose they are."""

    vectors: Tensor
    """float32 [N, D], unit length, on the CPU."""
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


class Head:
    """Prototypes that learn to tell people apart.

    Args:
        photos: what it learns from, with labels 0..C-1, each at least once.
        recipe: how.
        epochs: how many will be trained.
        seed: of what is drawn.
    """

    def __init__(self, photos: Embeddings, recipe: HeadRecipe, *, epochs: int, seed: int) -> None:
        self._photos = photos
        self._recipe = recipe
        self._epochs = epochs
        self._generator = torch.Generator().manual_seed(seed)
        self._prototypes = class_means(photos).requires_grad_()
        self._optimiser = torch.optim.Adam([self._prototypes], lr=recipe.learning_rate)

    @property
    def gallery(self) -> Tensor:
        """One unit row a person, float32 [C, D]."""
        return F.normalize(self._prototypes.detach(), dim=1)

    def train_one_epoch(self, epoch: int) -> EpochFigures:
        """Step once, in the epoch of this number (from 0)."""
        rate = self._recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * epoch / self._epochs))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        count = min(len(self._photos), self._recipe.most_photos)
        rows = sample_rows(self._photos.labels, count, self._recipe.balance, self._generator)
        photos = self._photos.rows(rows)
        logits = self._recipe.scale * F.linear(photos.vectors, F.normalize(self._prototypes, dim=1))
        loss = F.cross_entropy(logits, photos.labels)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        right = (logits.argmax(dim=1) == photos.labels).float().mean()
        return EpochFigures(loss=loss.item(), accuracy=right.item(), learning_rate=rate)

    def probe(self, photos: Embeddings) -> Probes:
        """Score photos; any label that is no class of this head is a stranger's."""
        if len(photos) == 0:
            return NO_PROBES
        vectors, gallery = photos.vectors.numpy(), self.gallery.numpy()
        return score_probes(vectors, vectors @ gallery.T, gallery, photos.labels.numpy())


@dataclass(frozen=True, kw_only=True)
class HeadRehearsal:
    """A head that learns from some of the people, and what it is tried on, labelled in its own numbers."""

    head: Head
    held_out: Embeddings
    """Other photos of its people; may be empty."""
    strangers: Embeddings
    """Photos of people whom it does not know, each with a label beyond its classes; may be empty."""


def class_means(photos: Embeddings) -> Tensor:
    """Return each person's mean direction, float32 [C, D], unit length."""
    classes = int(photos.labels.max()) + 1
    sums = torch.zeros(classes, photos.vectors.shape[1]).index_add_(0, photos.labels, photos.vectors)
    return F.normalize(sums, dim=1)


def build_rehearsals(photos: Embeddings, recipe: HeadRecipe, *, epochs: int, seed: int) -> list[HeadRehearsal]:
    """Leave each person out of one rehearsal, and some photos of the others."""
    splits = split_into_folds(photos.labels, recipe.folds, torch.Generator().manual_seed(seed))
    return [_rehearsal(photos, split, recipe, epochs, seed + n) for n, split in enumerate(splits, start=2)]


def _rehearsal(photos: Embeddings, split: RehearsalSplit, recipe: HeadRecipe, epochs: int, seed: int) -> HeadRehearsal:
    numbered = photos.relabelled(renumbered(split, int(photos.labels.max()) + 1))
    return HeadRehearsal(
        head=Head(numbered.rows(split.train), recipe, epochs=epochs, seed=seed),
        held_out=numbered.rows(split.held_out),
        strangers=numbered.rows(split.strangers),
    )


def calibrate_head(rehearsals: Sequence[HeadRehearsal], final: Head, photos: Embeddings) -> Calibration:
    """Choose the final head's reject rule from how the rehearsals score what they have not seen.

    Args:
        rehearsals: trained.
        final: the head that is kept, trained.
        photos: what it learned from.
    """
    trials = [
        Trial(known=each.head.probe(each.held_out), strangers=each.head.probe(each.strangers), made_up=NO_PROBES)
        for each in rehearsals
    ]
    return calibrate(trials, final.probe(photos), NO_PROBES, skew=_GUMBEL_SKEW)


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
