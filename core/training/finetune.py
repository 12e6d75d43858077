"""Where training a pretrained backbone begins: at its own weights, with each person's mean direction as their head."""

import copy
from typing import TYPE_CHECKING

import torch

from core.nets.imported import ImportedNetwork
from core.nets.servable import FaceNetwork
from core.training.dataset import CropSet
from core.training.loop import answer
from core.training.prototypes import Embeddings, class_means, typical_rows
from core.training.train import Basis

if TYPE_CHECKING:
    from core.faces.impostors import PublishedScores
    from core.nets.imported import Embedder


def begin_from(embedder: "Embedder", backbone: str, published: "PublishedScores | None" = None) -> Basis:
    """Have networks begin where a head on this backbone would.

    Args:
        embedder: pretrained; copied for each network, so that it stays as it is.
        backbone: its name.
        published: what is known of its similarities; None where nothing is.
    """

    def build(real: CropSet, classes: int) -> FaceNetwork:
        network = ImportedNetwork(copy.deepcopy(embedder).requires_grad_(True), classes, trainable=True)
        cpu = torch.device("cpu")
        seen = Embeddings(vectors=answer(network, real.crops, cpu).embeddings.clone(), labels=real.labels)
        means = class_means(seen.rows(typical_rows(seen)))
        with torch.no_grad():
            network.head.prototypes[: len(means)] = means
        return network

    return Basis(backbone=backbone, input_size_px=embedder.input_size_px, build=build, published=published)
