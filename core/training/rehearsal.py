"""Tries networks on people and photos that they have never seen, for the reject rule and for early stopping."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from core.faces.rule import DEFAULT_FPIR
from core.training.calibrate import NO_PROBES, Calibration, Probes, Trial, calibrate, score_probes
from core.training.dataset import CropSet
from core.training.loop import Answers, Learner, answer
from core.training.split import RehearsalSplit, renumbered
from core.training.synthetic import make_people

_MADE_UP_PEOPLE = 400  # asked within seconds on two cores; with 200 the bound moved by 0.02 more or less by chance
_MADE_OF_EACH = 25  # a few people make no more than so many that differ


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """What a rehearsal is tried on. Classes are numbered as in its own training set."""

    held_out: CropSet
    """Other photos of the people it knows."""
    strangers: CropSet
    """Photos of people it does not know; each person has a label beyond its classes. Empty with too few people."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """A network that learns from some of the people, and what it is tried on."""

    learner: Learner
    unseen: Unseen


def seen_crops(train: CropSet, split: RehearsalSplit) -> CropSet:
    """Gather what a rehearsal learns from."""
    return _renumber(train, split).rows(split.train)


def unseen_crops(train: CropSet, split: RehearsalSplit) -> Unseen:
    """Gather what a rehearsal has not seen."""
    numbered = _renumber(train, split)
    return Unseen(held_out=numbered.rows(split.held_out), strangers=numbered.rows(split.strangers))


def _renumber(train: CropSet, split: RehearsalSplit) -> CropSet:
    return train.relabelled(renumbered(split, int(train.labels.max()) + 1))


def validate(rehearsals: Sequence[Rehearsal]) -> tuple[float | None, float | None]:
    """Return cross-entropy and accuracy on held-out photos of people that the networks know; None without photos."""
    loss, right, photos = 0.0, 0, 0
    for rehearsal in rehearsals:
        crops = rehearsal.unseen.held_out
        if len(crops):
            logits = answer_known(rehearsal.learner, crops).logits
            loss += float(F.cross_entropy(logits, crops.labels, reduction="sum"))
            right += int((logits.argmax(dim=1) == crops.labels).sum())
            photos += len(crops)
    return (loss / photos, right / photos) if photos else (None, None)


def calibrate_on(
    rehearsals: Sequence[Rehearsal],
    final: Learner,
    generator: torch.Generator,
    *,
    strangers: CropSet | None = None,
    fpir: float = DEFAULT_FPIR,
) -> Calibration:
    """Choose the final network's reject rule from how the rehearsals score what they have not seen.

    Args:
        rehearsals: trained; may be empty.
        final: the network that is kept, trained.
        generator: makes people up.
        strangers: labelled photos of people who are none of the network's.
        fpir: share of strangers that may get a name, above 0 and below 1.
    """
    # Made-up people tell how far a bound out of rehearsals is from the final network's; without one, nothing is moved.
    moves = any(len(rehearsal.unseen.strangers) for rehearsal in rehearsals)
    trials = [
        Trial(
            known=_probes(rehearsal.learner, rehearsal.unseen.held_out),
            strangers=_probes(rehearsal.learner, rehearsal.unseen.strangers),
            made_up=_made_up(rehearsal.learner, generator) if moves else NO_PROBES,
        )
        for rehearsal in rehearsals
    ]
    if strangers is not None and len(strangers):
        labelled = replace(_probes(final, strangers), people=len(strangers))
        trials.append(Trial(known=NO_PROBES, strangers=labelled, made_up=NO_PROBES))
    made_up = _made_up(final, generator) if moves else NO_PROBES
    found = calibrate(trials, _probes(final, final.real), made_up, fpir=fpir)
    return replace(found, rule=replace(found.rule, people=final.classes))


def answer_known(learner: Learner, crops: CropSet) -> Answers:
    """Run a learner's network over crops; the logits are those of real people alone."""
    answers = answer(learner.network, crops.crops, learner.device)
    return Answers(embeddings=answers.embeddings, logits=answers.logits[:, : learner.classes])


def gallery_of(learner: Learner) -> Tensor:
    """Return the rows of the real people: the head's prototypes, or else the mean embeddings.

    Returns:
        float32 [C, D], or [C, K, D] where a person has several.
    """
    prototypes = learner.network.gallery()
    if prototypes is not None:
        return prototypes[: learner.classes].cpu()
    embeddings = answer(learner.network, learner.real.crops, learner.device).embeddings
    sums = torch.zeros(learner.classes, embeddings.shape[1]).index_add_(0, learner.real.labels, embeddings)
    return F.normalize(sums, dim=1)


def _made_up(learner: Learner, generator: torch.Generator) -> Probes:
    """Score people who do not exist, other ones than it learned to tell apart."""
    count = min(_MADE_UP_PEOPLE, _MADE_OF_EACH * learner.classes)
    return _probes(learner, make_people(learner.real, count, generator))


def _probes(learner: Learner, crops: CropSet) -> Probes:
    if len(crops) == 0:
        return NO_PROBES
    answers, gallery = answer_known(learner, crops), gallery_of(learner)
    return score_probes(answers.embeddings.numpy(), answers.logits.numpy(), gallery.numpy(), crops.labels.numpy())
