"""Which people and photos each rehearsal never sees, so that its mistakes on them are honest."""

from dataclasses import dataclass

import torch
from torch import Tensor

_STRANGER_SHARE = 0.25
_WANTED_STRANGERS = 6  # people; up to a third of all is left out to come to so many
_MOST_STRANGERS = 250  # people; more do not make the threshold visibly surer
_ENOUGH_STRANGERS = 30  # people; with fewer a second rehearsal leaves others out, as one look-alike weighs too much
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


def split_for_rehearsals(labels: Tensor, generator: torch.Generator) -> list[RehearsalSplit]:
    """Leave out a quarter of the people (a third of few), and a fifth of the photos of others; of few people twice.

    Nobody is left out twice, and photos are held out of each of the others in one rehearsal alone.

    Args:
        labels (int64 [N]): 0..C-1, every class at least once.
        generator: decides who and which.

    Returns:
        One split a rehearsal; none where there is nothing to leave out.
    """
    classes = int(labels.max()) + 1
    strangers = _count_strangers(classes)
    turns = 2 if strangers and strangers < _ENOUGH_STRANGERS and 2 * strangers <= classes else 1
    shuffled = torch.randperm(classes, generator=generator)
    splits = [
        _split(labels, shuffled[turn * strangers : (turn + 1) * strangers], turn, turns, generator)
        for turn in range(turns)
    ]
    return [split for split in splits if len(split.held_out) or len(split.strangers)]


def split_into_folds(
    labels: Tensor, folds: int, generator: torch.Generator, *, most: int | None = None
) -> list[RehearsalSplit]:
    """Leave each person out of one of some rehearsals, and of each a fifth of the photos of some of the others.

    Args:
        labels (int64 [N]): 0..C-1, every class at least once, C >= 2.
        folds: how many, >= 2; never more than there are people.
        generator: decides who and which.
        most: make only the first so many of them.
    """
    classes = int(labels.max()) + 1
    turns = min(folds, classes)
    shuffled = torch.randperm(classes, generator=generator)
    return [_split(labels, shuffled[turn::turns], turn, turns, generator) for turn in range(turns)[:most]]


def renumbered(split: RehearsalSplit, classes: int) -> Tensor:
    """Return the rehearsal's number of each of `classes` people, int64; people it does not know come after its own."""
    known = torch.isin(torch.arange(classes), split.people)
    return torch.where(known, known.cumsum(0) - 1, len(split.people) + (~known).cumsum(0) - 1)


def _split(labels: Tensor, left_out: Tensor, turn: int, turns: int, generator: torch.Generator) -> RehearsalSplit:
    """Leave these people out, and photos of every `turns`-th of the others."""
    everyone = torch.arange(int(labels.max()) + 1)
    people = everyone[~torch.isin(everyone, left_out)]
    by_person = torch.split(labels.argsort(stable=True), torch.bincount(labels).tolist())
    train, held_out = [], []
    for number, person in enumerate(people.tolist()):
        rows = by_person[person]
        rows = rows[torch.randperm(len(rows), generator=generator)]
        count = max(1, round(_HELD_OUT_SHARE * len(rows))) if len(rows) > 1 and number % turns == turn else 0
        held_out.append(rows[:count])
        train.append(rows[count:])
    return RehearsalSplit(
        people=people,
        train=torch.cat(train),
        held_out=torch.cat(held_out),
        strangers=torch.nonzero(torch.isin(labels, left_out)).flatten(),
    )


def _count_strangers(classes: int) -> int:
    if classes < _FEWEST_PEOPLE:
        return 0
    return min(max(round(_STRANGER_SHARE * classes), min(_WANTED_STRANGERS, classes // 3)), _MOST_STRANGERS)
