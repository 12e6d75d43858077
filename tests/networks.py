"""Networks that are wrong or slow on purpose."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.factories import TinyServable, make_network


class OutOfMemory(TinyServable):
    """Asks for more memory than any machine has."""

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        room = torch.zeros([1 << 24, 1 << 24])
        embeddings = room[: crops.shape[0], :9]
        return embeddings, embeddings @ self.gallery.t()


class Slow(TinyServable):
    """Takes some seconds to answer."""

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        work = torch.eye(256)
        for _ in range(3000):
            work = work @ work
        bands = F.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (3, 1)).flatten(1)
        embeddings = F.normalize(bands - 0.45, dim=1) * work[0, 0]
        return embeddings, 10.0 * embeddings @ self.gallery.t()


def with_nan_weights() -> nn.Module:
    """A network of three people, one of whose weights is no number."""
    network = make_network(3)
    network.gallery[0, 0] = float("nan")
    return network
