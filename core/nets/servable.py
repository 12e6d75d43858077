"""What every network of this package is, and the form in which a trained one is served: uint8 crops in, answers out."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FaceNetwork(nn.Module):
    """A backbone with its head. Subclasses are scriptable.

    Args:
        backbone: prepared crops to features; begins with an `Arithmetic`, so that `backbone.to(dtype)` is all it takes
            to compute in another precision. What comes before and after it stays float32.
        input_size_px: side of the square crops it takes.
        embedding_dim: D, the length of its features.
    """

    def __init__(self, backbone: nn.Module, *, input_size_px: int, embedding_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.input_size_px = input_size_px
        self.embedding_dim = embedding_dim

    def prepare(self, x: Tensor) -> Tensor:
        """Map crops (float32 [N, 3, S, S], RGB in 0..1) to what the backbone takes (float32)."""
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        """Map crops (float32 [N, 3, S, S], RGB in 0..1) to features (float32 [N, D], of any length)."""
        features: Tensor = self.backbone(self.prepare(x))
        return features

    def to_embeddings(self, features: Tensor) -> Tensor:
        """Map features (float32 [N, D]) to embeddings (float32 [N, D], of the lengths of core.faces.lengths)."""
        return F.normalize(features, dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Map features (float32 [N, D]) to logits (float32 [N, C])."""
        raise NotImplementedError

    def keep_classes(self, classes: int) -> None:
        """Drop the outputs of all classes from number `classes` on."""
        raise NotImplementedError

    def gallery(self) -> Tensor | None:
        """Return the people's prototypes (float32 [C, D] or, with several each, [C, K, D]).

        None where the head has none.
        """
        raise NotImplementedError


class Arithmetic(nn.Module):
    """Turns what comes into the precision of the network it stands in front of."""

    like: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("like", torch.empty(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x in the precision that `to(dtype)` gave this module."""
        return x.to(self.like.dtype)


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
            Embeddings float32 [N, D], as long as core.faces.lengths says, and logits float32 [N, C].
        """
        features = self.network.embed(crops.to(torch.float32) / 255.0).to(torch.float32)
        return self.network.to_embeddings(features), self.network.classify(features)
