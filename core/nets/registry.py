"""The networks that can be trained from scratch, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from core.nets.compact import CompactNetwork
from core.nets.seed import SeedNetwork
from core.nets.servable import FaceNetwork


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """How to build one network."""

    name: str
    input_size_px: int
    """Side of the crops it takes."""
    build: Callable[[int, int], FaceNetwork]
    """(classes, input_size_px) -> the network with fresh weights out of torch's global generator."""


NETWORKS: dict[str, NetworkSpec] = {
    spec.name: spec
    for spec in (
        NetworkSpec(name="compact", input_size_px=64, build=CompactNetwork),
        NetworkSpec(name="seed", input_size_px=150, build=SeedNetwork),
    )
}
"""Every network by its name, which is the `backbone` of a model's manifest."""
