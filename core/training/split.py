"""Which people and photos the rehearsal network never sees, so that its mistakes on them are honest."""

from dataclasses import dataclass

import torch
from torch import Tensor

_STRANGER_SHARE = 0.25
_WANTED_STRANGERS = 6  # people; up to a third of all is left out to come to so many
_MOST_STRANGERS = 250  # people; more do not make the threshold visibly surer
_FEWEST_PEOPLE = 4  # below, leaving one out leaves too little to learn telling people apart from
_HELD_OUT_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class RehearsalSplit:
    """Rows of the training set by what the rehearsal uses them for; every row is in exactly one tensor."""

    people: Tensor
    """int64 [K]: the classes that the rehearsal knows, ascending."""
    train: Tensor
    """int64: rows it learns from; at least one of each of its people."""
    held_out: Tensor
    """int64: other photos of its people. Empty when everybody has a single photo."""
    strangers: Tensor
    """int64: all photos of the people it does not know. Empty when there are too few people."""


def split_for_rehearsal(labels: Tensor, generator: torch.Generator) -> RehearsalSplit:
    """Leave out a quarter of the people (a third of few), and a fifth of the photos of each of the others.

    Args:
        labels (int64 [N]): 0..C-1, every class at least once.
        generator: decides who and which.
    """
    classes = int(labels.max()) + 1
    shuffled = torch.randperm(classes, generator=generator)
    strangers = _count_strangers(classes)
    people = shuffled[strangers:].sort().values
    train, held_out = [], []
    for person in people:
        rows = torch.nonzero(labels == person).flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)]
        count = max(1, round(_HELD_OUT_SHARE * len(rows))) if len(rows) > 1 else 0
        held_out.append(rows[:count])
        train.append(rows[count:])
    unknown = torch.isin(labels, shuffled[:strangers])
    return RehearsalSplit(
        people=people,
        train=torch.cat(train),
        held_out=torch.cat(held_out),
        strangers=torch.nonzero(unknown).flatten(),
    )


def _count_strangers(classes: int) -> int:
    if classes < _FEWEST_PEOPLE:
        return 0
    return min(max(round(_STRANGER_SHARE * classes), min(_WANTED_STRANGERS, classes // 3)), _MOST_STRANGERS)
