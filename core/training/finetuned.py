"""The reject rule of a backbone that was trained further: as that of a head on it, from photos that it never saw.

What is published of the backbone is where a user's own people are weighed from; their scores move it to where training
brought them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.training.decision import calibrate_head
from core.training.loop import Learner, answer
from core.training.prototypes import Embeddings, HeadTrial, KnownPeople
from core.training.rehearsal import Rehearsal, gallery_of

if TYPE_CHECKING:
    from core.faces.impostors import PublishedScores
    from core.training.calibrate import Calibration
    from core.training.dataset import CropSet


def calibrate_finetuned(
    rehearsals: Sequence[Rehearsal],
    final: Learner,
    *,
    published: "PublishedScores",
    backbone: str,
    strangers: "CropSet",
    fpir: float,
) -> "Calibration":
    """Choose the final network's reject rule, and fit its confidence.

    Args:
        rehearsals: trained; at least one.
        final: the network that is kept, trained.
        published: of the backbone before it was trained.
        backbone: its name, for the basis.
        strangers: labelled photos of people who are none of the network's.
        fpir: share of strangers that may get a name, above 0 and below 1.
    """
    trials = [_as_trial(each) for each in rehearsals]
    return calibrate_head(
        trials,
        KnownPeople(gallery_of(final)),
        _embed(final, final.real),
        unseen=_joined([trial.strangers for trial in trials]),
        published=published,
        backbone=backbone,
        strangers=_embed(final, strangers),
        fpir=fpir,
    )


def _as_trial(rehearsal: Rehearsal) -> HeadTrial:
    learner, unseen = rehearsal.learner, rehearsal.unseen
    return HeadTrial(
        head=KnownPeople(gallery_of(learner)),
        held_out=_embed(learner, unseen.held_out),
        strangers=_embed(learner, unseen.strangers),
    )


def _embed(learner: Learner, crops: "CropSet") -> Embeddings:
    if not len(crops):
        return Embeddings(vectors=torch.empty(0, learner.network.embedding_dim), labels=crops.labels)
    vectors = answer(learner.network, crops.crops, learner.device).embeddings
    return Embeddings(vectors=vectors.clone(), labels=crops.labels)


def _joined(parts: Sequence[Embeddings]) -> Embeddings:
    """Put photos of different people together, and number the people anew."""
    numbered, people = [], 0
    for part in parts:
        _, labels = np.unique(part.labels.numpy(), return_inverse=True)
        numbered.append(torch.from_numpy(labels.astype(np.int64)) + people)
        people += len(np.unique(labels))
    return Embeddings(vectors=torch.cat([part.vectors for part in parts]), labels=torch.cat(numbered))
