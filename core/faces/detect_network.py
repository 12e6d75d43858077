"""YuNet as a torch module: photos in, boxes, landmarks and scores of faces out, decoding and suppression included.

Scriptable. Knows neither files nor the sizes that photos are looked at in.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.faces.suppression import load_kernels, suppress_overlaps

STRIDE_PX = 32
"""Both sides of a batch are multiples of this: the coarsest of the three grids."""

_HEAD_CHANNELS = 16
"""Class (1), object (1), box (4), landmarks (10)."""


class SeparableConv(nn.Module):
    """A 1x1 convolution that mixes channels, then a 3x3 convolution of each by itself; no activation."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(channels_in, channels_out, 1)
        self.depth = nn.Conv2d(channels_out, channels_out, 3, padding=1, groups=channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 [N, channels_in, H, W] to float32 [N, channels_out, H, W]."""
        mixed: Tensor = self.point(x)
        out: Tensor = self.depth(mixed)
        return out


def _pair(channels_in: int, between: int, channels_out: int) -> nn.Sequential:
    """Make a block of two separable convolutions whose last activation is the caller's."""
    return nn.Sequential(
        SeparableConv(channels_in, between), nn.ReLU(inplace=True), SeparableConv(between, channels_out)
    )


def _doubled(x: Tensor) -> Tensor:
    """Repeat each cell in both directions: float32 [N, C, H, W] to [N, C, 2H, 2W].

    As `F.interpolate` does, which chooses by the number of dimensions: what is scripted then holds branches for others
    that OpenVINO does not read.
    """
    doubled: Tensor = torch.ops.aten.upsample_nearest2d(x, None, [2.0, 2.0])
    return doubled


class YuNet(nn.Module):
    """YuNet (Wu, Peng, Yu: "YuNet: a tiny millisecond-level face detector", 2023), as trained for OpenCV.

    The same arithmetic as the ONNX file, arranged for speed: the four heads of a level are one head of 16 channels, and
    where a block is pooled at once, its activation comes after the pooling, on a quarter of the values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.block0 = SeparableConv(16, 16)
        self.block1 = _pair(16, 16, 32)
        self.block2 = _pair(32, 32, 64)
        self.block3 = _pair(64, 64, 64)
        self.block4 = _pair(64, 64, 64)
        self.block5 = _pair(64, 64, 64)
        self.lateral32 = SeparableConv(64, 64)
        self.lateral16 = SeparableConv(64, 64)
        self.lateral8 = SeparableConv(64, 64)
        self.head8 = SeparableConv(64, _HEAD_CHANNELS)
        self.head16 = SeparableConv(64, _HEAD_CHANNELS)
        self.head32 = SeparableConv(64, _HEAD_CHANNELS)

    def forward(self, photos: Tensor) -> list[Tensor]:
        """Map photos to what the heads say.

        Args:
            photos (float32 [N, 3, H, W]): RGB, 0..255, H and W multiples of 32.

        Returns:
            float32 [N, H / s, W / s, 16] for s = 8, 16, 32: logits of class and object, then box and landmarks in
            units of s from the cell's corner, the box's size as its logarithm.
        """
        x = F.relu_(self.stem(photos))  # [N, 16, H/2, W/2]
        x = F.relu_(F.max_pool2d(self.block0(x), 2))  # [N, 16, H/4, W/4]
        x = F.relu_(self.block1(x))  # [N, 32, H/4, W/4]
        x = F.relu_(F.max_pool2d(self.block2(x), 2))  # [N, 64, H/8, W/8]
        level8 = F.relu_(self.block3(x))  # [N, 64, H/8, W/8]
        level16 = F.relu_(self.block4(F.max_pool2d(level8, 2)))  # [N, 64, H/16, W/16]
        level32 = F.relu_(self.block5(F.max_pool2d(level16, 2)))  # [N, 64, H/32, W/32]
        level32 = F.relu_(self.lateral32(level32))
        level16 = F.relu_(self.lateral16(level16 + _doubled(level32)))
        level8 = F.relu_(self.lateral8(level8 + _doubled(level16)))
        heads = [self.head8(level8), self.head16(level16), self.head32(level32)]
        return [head.permute(0, 2, 3, 1) for head in heads]


class PhotoHeads(nn.Module):
    """YuNet over photos as they are stacked.

    Args:
        network: YuNet with its weights.
    """

    def __init__(self, network: YuNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor) -> list[Tensor]:
        """Return what YuNet says of a batch of photos (uint8 [N, H, W, 3], RGB, H and W multiples of 32)."""
        channels_last = photos.permute(0, 3, 1, 2).to(torch.float32)  # the layout stays; the convolutions keep it
        heads: list[Tensor] = self.network(channels_last)
        return heads


class FaceDecoder(nn.Module):
    """Decoding and non-maximum suppression as in OpenCV's `FaceDetectorYN`.

    Args:
        min_score: least score of a face, 0..1.
        max_overlap: of two boxes with a higher intersection over union, the one with the lower score is dropped.
    """

    def __init__(self, *, min_score: float, max_overlap: float) -> None:
        super().__init__()
        load_kernels()
        self.min_score = min_score
        self.max_overlap = max_overlap

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Read the faces of a batch of photos out of what YuNet says of them, as `FaceDetectorNetwork` returns them."""
        photo_of: list[Tensor] = []
        faces: list[Tensor] = []
        for level, heads in enumerate(levels):
            index, found = self._decode(heads, float(8 * 2**level))
            photo_of.append(index)
            faces.append(found)
        index, found = torch.cat(photo_of), torch.cat(faces)
        kept = suppress_overlaps(found[:, :4], found[:, 14], index, self.max_overlap)
        return index[kept], found[kept]

    def _decode(self, heads: Tensor, stride_px: float) -> tuple[Tensor, Tensor]:
        """Decode the cells of one level that score high enough: their photos (int64 [M]), faces (float32 [M, 15])."""
        scores = torch.sigmoid(heads[:, :, :, 0]).mul(torch.sigmoid(heads[:, :, :, 1])).sqrt()  # [N, h, w]
        index, row, column = torch.where(scores >= self.min_score)
        values = heads[index, row, column].to(torch.float32)  # [M, 16]
        corner = torch.stack((column, row), dim=1).to(torch.float32)  # [M, 2], x and y
        centre = (corner + values[:, 2:4]) * stride_px
        half = torch.exp(values[:, 4:6]) * (0.5 * stride_px)
        landmarks = (values[:, 6:].reshape(-1, 5, 2) + corner[:, None, :]) * stride_px
        score = scores[index, row, column].to(torch.float32)
        return index, torch.cat((centre - half, centre + half, landmarks.flatten(1), score[:, None]), dim=1)


class FaceDetectorNetwork(nn.Module):
    """YuNet and its decoder.

    Args:
        heads: YuNet with its weights.
        decoder: reads faces out of what it says.
    """

    def __init__(self, heads: PhotoHeads, decoder: FaceDecoder) -> None:
        super().__init__()
        self.heads = heads
        self.decoder = decoder

    def forward(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """Find the faces of a batch of photos.

        Args:
            photos (uint8 [N, H, W, 3]): RGB, H and W multiples of 32.

        Returns:
            Photo of each face (int64 [M], 0..N - 1) and faces (float32 [M, 15]): x1, y1, x2, y2, five landmarks as
            (x, y) from the left eye on, in pixels of the batch, and the score. The best score comes first.
        """
        found: tuple[Tensor, Tensor] = self.decoder(self.heads(photos))
        return found
