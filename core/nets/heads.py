"""The cosine head, people as directions in the space of embeddings, and networks that end in one."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.servable import FaceNetwork


class CosineHead(nn.Module):
    """Scaled cosines to the prototypes of classes, as in CosFace (Wang et al., 2018). Scriptable.

    A class learns one prototype. It may get several afterwards, of which the nearest counts (`set_prototypes`): those
    count for as much as they are long, and learned ones all the same.

    Args:
        classes: C, how many people.
        embedding_dim: D, length of the features it takes.
        scale: what cosines are multiplied by to make logits.
    """

    lengths: Tensor

    def __init__(self, classes: int, embedding_dim: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.each = 1
        """Prototypes of a class, K; those of one stand one after the other."""
        self.prototypes = nn.Parameter(torch.randn(classes, embedding_dim))
        self.register_buffer("lengths", torch.ones(classes, 1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (float32 [N, D], of any length) to logits (float32 [N, C])."""
        cosines = F.linear(F.normalize(features, dim=1), F.normalize(self.prototypes, dim=1) * self.lengths)
        if self.each > 1:
            cosines = cosines.reshape(cosines.shape[0], -1, self.each).amax(dim=2)
        return self.scale * cosines

    def keep_classes(self, classes: int) -> None:
        """Drop the prototypes of all classes from number `classes` on."""
        self.prototypes = nn.Parameter(self.prototypes.detach()[: classes * self.each].clone())
        self.lengths = self.lengths[: classes * self.each].clone()

    def gallery(self) -> Tensor:
        """Return the prototypes, float32 [C, D], or [C, K, D] where a class has several."""
        rows: Tensor = F.normalize(self.prototypes.detach(), dim=1) * self.lengths
        return rows if self.each == 1 else rows.reshape(-1, self.each, rows.shape[1])

    def set_prototypes(self, prototypes: Tensor) -> None:
        """Put these (float32 [C, K, D], as long as core.faces.lengths says) in the place of what was learned."""
        self.each = prototypes.shape[1]
        rows = prototypes.detach().flatten(0, 1).clone()
        self.prototypes, self.lengths = nn.Parameter(rows), torch.linalg.vector_norm(rows, dim=1, keepdim=True)


class CosineNetwork(FaceNetwork):
    """A network whose people are the prototypes of a cosine head. Subclasses say how crops are prepared.

    Args:
        backbone: see FaceNetwork.
        input_size_px: side of the square crops it takes.
        embedding_dim: D, the length of its features.
        classes: C, the rows of the head.
        scale: what cosines are multiplied by to make logits.
    """

    def __init__(
        self, backbone: nn.Module, *, input_size_px: int, embedding_dim: int, classes: int, scale: float
    ) -> None:
        super().__init__(backbone, input_size_px=input_size_px, embedding_dim=embedding_dim)
        self.head = CosineHead(classes, embedding_dim, scale)

    def classify(self, features: Tensor) -> Tensor:
        """Map features (float32 [N, D]) to logits (float32 [N, C]): scaled cosines to the people's prototypes."""
        logits: Tensor = self.head(features)
        return logits

    def keep_classes(self, classes: int) -> None:
        """Drop the prototypes of all classes from number `classes` on."""
        self.head.keep_classes(classes)

    def gallery(self) -> Tensor:
        """Return the prototypes, float32 [C, D], or [C, K, D] where a person has several."""
        return self.head.gallery()
