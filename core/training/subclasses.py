"""Gives each person of a trained network several prototypes: one for each group of photos that look alike.

A network learns one direction a person. A photo that is turned or lit like one that was learned from lies near that one
more than near the direction of all, and strangers seldom do: docs/decisions/0025-several-prototypes.md.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from core.nets.heads import CosineNetwork
from core.training.loop import Learner, answer

_ROUNDS = 20
"""Of moving photos to the nearest group; five photos are settled after two."""


def split_classes(learner: Learner) -> None:
    """Replace the prototypes of a learner's real people by as many as its recipe says; made-up people are dropped.

    Each new prototype lies half-way between the learned one and the mean of a group of the person's photos. Nothing is
    changed where the recipe wants one, or the network has none.
    """
    network = learner.network
    each = learner.recipe.prototypes
    if each == 1 or not isinstance(network, CosineNetwork):
        return
    learned = network.gallery()[: learner.classes].cpu()
    embeddings = answer(network, learner.real.crops, learner.device).embeddings
    photos = [embeddings[learner.real.labels == person] for person in range(learner.classes)]
    groups = [group_means(of_one, min(each, len(of_one))) for of_one in photos]
    means = torch.stack([torch.cat([group, group[:1].expand(each - len(group), -1)]) for group in groups])
    network.head.set_prototypes(F.normalize(learned[:, None] + means, dim=2).to(learner.device))


def group_means(embeddings: Tensor, count: int) -> Tensor:
    """Group photos of one person by direction (spherical k-means), from the ones that differ most.

    Args:
        embeddings (float32 [M, D]): unit length.
        count: groups, 1..M.

    Returns:
        float32 [count, D]: the direction of each group.
    """
    chosen = [int((embeddings @ embeddings.sum(dim=0)).argmin())]
    while len(chosen) < count:
        nearest = (embeddings @ embeddings[chosen].T).amax(dim=1)
        nearest[chosen] = torch.inf  # of two equal photos the other one
        chosen.append(int(nearest.argmin()))
    means = embeddings[chosen]
    for _ in range(_ROUNDS):
        group = (embeddings @ means.T).argmax(dim=1)
        sums = torch.zeros_like(means).index_add_(0, group, embeddings)
        # A group that lost all its photos to another keeps its direction.
        moved = torch.where(sums.norm(dim=1, keepdim=True) > 0, F.normalize(sums, dim=1), means)
        if torch.equal(moved, means):
            break
        means = moved
    return means
