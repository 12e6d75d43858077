"""Tries a network on people and photos that it has never seen, for the reject rule and for early stopping."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.training.calibrate import NO_PROBES, Calibration, Probes, calibrate, score_probes
from core.training.dataset import CropSet
from core.training.loop import Answers, Learner, answer
from core.training.split import RehearsalSplit


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """What the rehearsal is tried on. Classes are numbered as in its own training set."""

    held_out: CropSet
    """Other photos of the people it knows."""
    strangers: CropSet
    """Photos of people it does not know; each person has a label beyond its classes. Empty with too few people."""


def renumbered(split: RehearsalSplit, classes: int) -> Tensor:
    """Return the rehearsal's number of each of `classes` people, int64; people it does not know come after its own."""
    known = torch.isin(torch.arange(classes), split.people)
    return torch.where(known, known.cumsum(0) - 1, len(split.people) + (~known).cumsum(0) - 1)


def unseen_crops(train: CropSet, split: RehearsalSplit) -> Unseen:
    """Gather what the rehearsal has not seen."""
    numbered = train.relabelled(renumbered(split, int(train.labels.max()) + 1))
    return Unseen(held_out=numbered.rows(split.held_out), strangers=numbered.rows(split.strangers))


def validate(learner: Learner, crops: CropSet) -> tuple[float | None, float | None]:
    """Return cross-entropy and accuracy of a network on photos of people it knows; None without photos."""
    if len(crops) == 0:
        return None, None
    logits = answer_known(learner, crops).logits
    accuracy = (logits.argmax(dim=1) == crops.labels).float().mean()
    return float(F.cross_entropy(logits, crops.labels)), float(accuracy)


def calibrate_on(rehearsal: Learner, unseen: Unseen, final: Learner) -> Calibration:
    """Choose the final network's reject rule from how the rehearsal scores what it has not seen."""
    return calibrate(
        _probes(rehearsal, unseen.held_out), _probes(rehearsal, unseen.strangers), _probes(final, final.real)
    )


def answer_known(learner: Learner, crops: CropSet) -> Answers:
    """Run a learner's network over crops; the logits are those of real people alone."""
    answers = answer(learner.network, crops.crops, learner.device)
    return Answers(embeddings=answers.embeddings, logits=answers.logits[:, : learner.classes])


def gallery_of(learner: Learner) -> Tensor:
    """Return one unit row for each real person, float32 [C, D]: the head's prototype, or else the mean embedding."""
    prototypes = learner.network.gallery()
    if prototypes is not None:
        return prototypes[: learner.classes].cpu()
    embeddings = answer(learner.network, learner.real.crops, learner.device).embeddings
    sums = torch.zeros(learner.classes, embeddings.shape[1]).index_add_(0, learner.real.labels, embeddings)
    return F.normalize(sums, dim=1)


def _probes(learner: Learner, crops: CropSet) -> Probes:
    if len(crops) == 0:
        return NO_PROBES
    answers, gallery = answer_known(learner, crops), gallery_of(learner)
    return score_probes(answers.embeddings.numpy(), answers.logits.numpy(), gallery.numpy(), crops.labels.numpy())
