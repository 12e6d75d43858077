"""What every network of this package is, and the form in which a trained one is served: uint8 crops in, answers out."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FaceNetwork(nn.Module):
    """A backbone with its head. Subclasses are scriptable.

    Attributes:
        input_size_px: side of the square crops it takes.
        embedding_dim: D, the length of its features.
    """

    input_size_px: int
    embedding_dim: int

    def embed(self, x: Tensor) -> Tensor:
        """Map crops (float32 [N, 3, S, S], RGB in 0..1) to features (float32 [N, D], of any length)."""
        raise NotImplementedError

    def classify(self, features: Tensor) -> Tensor:
        """Map features (float32 [N, D]) to logits (float32 [N, C])."""
        raise NotImplementedError

    def keep_classes(self, classes: int) -> None:
        """Drop the outputs of all classes from number `classes` on."""
        raise NotImplementedError

    def gallery(self) -> Tensor | None:
        """Return the people's learned prototypes (float32 [C, D], unit rows); None where the head has none."""
        raise NotImplementedError


class Servable(nn.Module):
    """A network with its preprocessing inside. Scriptable; call `eval()` before serving.

    Args:
        network: what it wraps; shared, not copied.
    """

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self.network = network
        self.input_size_px = network.input_size_px
        self.embedding_dim = network.embedding_dim

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Embed and classify a batch of crops.

        Args:
            crops (Tensor[N, 3, S, S]): uint8 RGB, S = `input_size_px`.

        Returns:
            Embeddings float32 [N, D] of unit length, and logits float32 [N, C].
        """
        features = self.network.embed(crops.to(torch.float32) / 255.0)
        return F.normalize(features, dim=1), self.network.classify(features)
