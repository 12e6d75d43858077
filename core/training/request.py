"""What training takes and what it gives. How it trains is in the other modules of this package."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.faces.rule import DEFAULT_FPIR, RejectRule
from core.records import EpochProgress, Example, LearnedFace, PersonClass

if TYPE_CHECKING:
    from core.nets.servable import Servable


class LoadCrop(Protocol):
    """Reads one photo as the network's input; called from several threads."""

    def __call__(self, example: Example) -> NDArray[np.uint8]:
        """Return uint8 [S, S, 3] RGB, S the network's.

        Raises:
            PhotoError: the photo cannot be used.
            SourceUnreachableError: the place it lies in did not answer.
        """
        ...


class FaceCache(Protocol):
    """Keeps what labelled faces are to the run's backbone, from one run to the next. Holds biometric data."""

    def find(self, examples: Sequence[Example]) -> list[LearnedFace | None]:
        """Return what is known of the faces that these labels mean, in their order; None where nothing is.

        It is the very thing that reading and embedding the photo would give.
        """
        ...

    def add(self, faces: Sequence[tuple[Example, LearnedFace]]) -> None:
        """Keep what was found of some faces: all of them or none."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """What to learn, from what, and how."""

    classes: tuple[PersonClass, ...]
    """The people, in the order of the classes."""
    train: tuple[Example, ...]
    """Photos to learn from; a class_index is an index into `classes`, or -1: of a labelled stranger, or with
    `not_classes` of somebody who was taken for those people and is not."""
    test: tuple[Example, ...]
    """Photos that only the figures are made from; a class_index of -1 is a stranger. May be empty."""
    recipe: str
    """A name out of core.training.recipes."""
    epochs: int | None = None
    """Instead of the recipe's own number of epochs, >= 1."""
    fpir: float = DEFAULT_FPIR
    """Share of strangers that may get a name, above 0 and below 1: what the reject rule is chosen for."""
    seed: int = 0
    """The same seed gives the same network on the same machine with the same number of threads."""
    device: str = "cpu"
    """A torch device: `cpu`, `cuda:0`."""
    more_devices: tuple[str, ...] = ()
    """Further ones: of networks that learn side by side, each is on one of them."""
    threads: int | None = None
    """How many cores to compute on; None: as many as torch is set to."""
    read_threads: int = 4
    """How many photos are read at once."""
    max_crop_bytes: int = 4 * 2**30
    """Most memory that the crops of all photos may take together."""

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """All of them, the first first."""
        return tuple(torch.device(name) for name in (self.device, *self.more_devices))


class SkippedPhoto(NamedTuple):
    """A labelled photo that could not be read and was left out."""

    uri: str
    code: str
    """Of the PhotoError."""
    message: str


@dataclass(frozen=True, kw_only=True, eq=False)
class TestedPhotos:
    """What the network answered to the test photos: what another model is compared with."""

    places: NDArray[np.int64]
    """[T] which of the request's test photos it was asked about, ascending."""
    embeddings: NDArray[np.float32]
    """[T, D], as long as core.faces.lengths says."""
    logits: NDArray[np.float32]
    """[T, C]"""


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A network with everything needed to serve and to judge it."""

    network: "Servable"
    """In eval mode, on the CPU."""
    gallery: Tensor
    """float32 [C, D] or [C, K, D]: one row a person, or several, on the CPU."""
    classes: tuple[PersonClass, ...]
    """The people it tells apart: those of the request that have a usable training photo."""
    backbone: str
    recipe: str
    input_size_px: int
    embedding_dim: int
    rule: RejectRule
    metrics: dict[str, Any]
    """JSON-able; see core.training.report."""
    epochs: tuple[EpochProgress, ...]
    skipped: tuple[SkippedPhoto, ...]
    """Unreadable photos of the training and test sets."""
    seed: int
    train_count: int
    """Photos it learned from."""
    test_count: int
    """Photos its figures are made from, strangers included."""
    tested: TestedPhotos | None = None
    """None without test photos."""
