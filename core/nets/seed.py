"""The seed document's CNN: three plain convolutions and a wide dense layer. The baseline that `compact` must beat."""

from torch import Tensor, nn

from core.nets.dropout import Dropout
from core.nets.servable import Arithmetic, FaceNetwork

_EMBEDDING_DIM = 512


class SeedNetwork(FaceNetwork):
    """Convolutions 32-64-128 (3x3, no padding, ReLU, 2x2 max-pool), dense 512, dropout 0.5, dense softmax over people.

    Args:
        classes: C, how many people it tells apart; the logits are the softmax's input.
        input_size_px: side of its crops; the seed document says 150.
    """

    def __init__(self, classes: int, input_size_px: int = 150) -> None:
        side = input_size_px
        for _ in range(3):
            side = (side - 2) // 2  # 150 -> 74 -> 36 -> 17
        backbone = nn.Sequential(
            Arithmetic(),
            *_stage(3, 32),  # [N, 32, 74, 74]
            *_stage(32, 64),  # [N, 64, 36, 36]
            *_stage(64, 128),  # [N, 128, 17, 17]
            nn.Flatten(),
            nn.Linear(128 * side * side, _EMBEDDING_DIM),
            nn.ReLU(),
        )
        super().__init__(backbone, input_size_px=input_size_px, embedding_dim=_EMBEDDING_DIM)
        self.dropout = Dropout(0.5)
        self.head = nn.Linear(_EMBEDDING_DIM, classes)

    def prepare(self, x: Tensor) -> Tensor:
        """Return crops (float32 [N, 3, 150, 150], RGB in 0..1) as they are; the features are >= 0."""
        return x

    def classify(self, features: Tensor) -> Tensor:
        """Map the penultimate layer (float32 [N, 512]) to logits (float32 [N, C]); drops half of it in training."""
        logits: Tensor = self.head(self.dropout(features))
        return logits

    def keep_classes(self, classes: int) -> None:
        """Drop the softmax outputs of all classes from number `classes` on."""
        head = nn.Linear(self.embedding_dim, classes)
        head.weight.data.copy_(self.head.weight.data[:classes])
        head.bias.data.copy_(self.head.bias.data[:classes])
        self.head = head

    def gallery(self) -> None:
        """Return None: a softmax layer has no prototypes; people are enrolled by their mean embedding."""


def _stage(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, kernel_size=3), nn.ReLU(), nn.MaxPool2d(2)]
