"""What is known of a set of pretrained weights before it is read: its files, its licence, and how to feed it.

Light: neither numpy nor torch. Reads no file.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from core.faces.impostors import PublishedScores
from core.faces.lengths import SAYS_NOTHING, FeatureLength

DETECTOR = "yunet"
"""The set that faces are found with."""
DEFAULT_EMBEDDER = "face-reidentification-retail-0095"
"""The backbone that models are made from unless another is asked for."""


class WeightsKind(StrEnum):
    """What weights are for."""

    DETECTOR = "detector"  # finds faces and their landmarks in a photo
    EMBEDDER = "embedder"  # turns an aligned face into an embedding


class ChannelOrder(StrEnum):
    """The order in which a network wants the colours of a pixel."""

    RGB = "rgb"  # red first
    BGR = "bgr"  # blue first, as OpenCV reads photos


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """One file of a set of weights."""

    name: str
    """File name inside the folder of the set; no path."""
    url: str
    """Where it is pulled from; empty for files that a user put there."""
    sha256: str
    """Of its bytes, lower-case hexadecimal."""
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class EmbedderSpec:
    """How to feed an embedder. Its input is `(pixel - mean) * scale` for each channel, a pixel being 0..255."""

    graph: str
    """Name of the file that holds the network's graph: `.xml` (OpenVINO IR) or `.onnx`."""
    input_size_px: int
    """Side of its square crops."""
    channel_order: ChannelOrder
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    """One number a channel, in the network's own channel order."""
    embedding_dim: int
    """Length of its embedding."""
    template: tuple[tuple[float, float], ...]
    """Where the five landmarks of an aligned face lie (left eye, right eye, nose, left and right corner of the mouth,
    as seen in the picture), x and y in fractions of the crop's side."""
    length: FeatureLength = SAYS_NOTHING
    """What the length of its features says of a photo."""
    scores: PublishedScores | None = None
    """What was measured of its similarities; None where nobody has: thresholds then come from the labels alone."""


@dataclass(frozen=True, kw_only=True)
class WeightsSpec:
    """A set of pretrained weights."""

    name: str
    """What it is pulled by; also the name of its folder."""
    kind: WeightsKind
    licence: str
    """SPDX identifier; stands in the manifest of every model made from it."""
    source: str
    """Page that says who made it."""
    files: tuple[WeightsFile, ...]
    embedder: EmbedderSpec | None = None
    """Set exactly for embedders."""

    @property
    def digest(self) -> str:
        """sha256 over the lines `name sha256` of its files, sorted: one number for all its bytes."""
        lines = sorted(f"{file.name} {file.sha256}" for file in self.files)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
