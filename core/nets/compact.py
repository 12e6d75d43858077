"""A compact residual CNN with a cosine head: made to learn from a few photos a person, on a CPU, in a minute."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.dropout import Dropout
from core.nets.heads import CosineNetwork
from core.nets.norm import BatchNorm1d, BatchNorm2d
from core.nets.servable import Arithmetic

_EMBEDDING_DIM = 128
_WIDTHS = (32, 64, 128, 192)
_DROPOUT = 0.2


class CompactNetwork(CosineNetwork):
    """Four residual stages, a flattened map (so that places on the face keep their meaning), 128 features, cosine head.

    Each crop is standardised by its own mean and deviation, which takes out exposure. Pre-activation blocks follow He
    et al., "Identity mappings in deep residual networks" (2016).

    Args:
        classes: C, the rows of the head.
        input_size_px: side of its crops, a multiple of 16.
        scale: what cosines are multiplied by to make logits.
    """

    def __init__(self, classes: int, input_size_px: int = 64, scale: float = 16.0) -> None:
        if input_size_px % 16:
            raise ValueError(f"input_size_px must be a multiple of 16, not {input_size_px}")
        side = input_size_px // 16
        stem = nn.Conv2d(3, _WIDTHS[0], kernel_size=5, stride=2, padding=2, bias=False)  # [N, 32, S/2, S/2]
        body = nn.Sequential(
            ResidualBlock(_WIDTHS[0], _WIDTHS[0], stride=1),  # [N, 32, S/2, S/2]
            ResidualBlock(_WIDTHS[0], _WIDTHS[1], stride=2),  # [N, 64, S/4, S/4]
            ResidualBlock(_WIDTHS[1], _WIDTHS[2], stride=2),  # [N, 128, S/8, S/8]
            ResidualBlock(_WIDTHS[2], _WIDTHS[3], stride=2),  # [N, 192, S/16, S/16]
            BatchNorm2d(_WIDTHS[3]),
            nn.ReLU(),
        )
        neck = nn.Sequential(
            nn.Flatten(),
            Dropout(_DROPOUT),
            nn.Linear(_WIDTHS[3] * side * side, _EMBEDDING_DIM, bias=False),
            BatchNorm1d(_EMBEDDING_DIM),
        )
        backbone = nn.Sequential(OrderedDict(arithmetic=Arithmetic(), stem=stem, body=body, neck=neck))
        super().__init__(
            backbone, input_size_px=input_size_px, embedding_dim=_EMBEDDING_DIM, classes=classes, scale=scale
        )

    def prepare(self, x: Tensor) -> Tensor:
        """Standardise each crop (float32 [N, 3, S, S]) by its own mean and deviation."""
        centred = x - x.mean(dim=(1, 2, 3), keepdim=True)
        deviation = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return centred / (deviation + 0.05)  # 0.05: a blank crop stays finite


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with pre-activation; the shortcut averages and widens where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.norm1 = BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.norm2 = BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(channels_in, channels_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 [N, channels_in, H, W] to float32 [N, channels_out, H / stride, W / stride]."""
        inner: Tensor = self.conv1(F.relu(self.norm1(x)))
        residual: Tensor = self.conv2(F.relu(self.norm2(inner)))
        shortcut: Tensor = self.shortcut(x)
        return shortcut + residual
