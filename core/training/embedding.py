"""Labelled photos as a frozen backbone sees them: each is read and embedded once, page by page, and never again.

What was embedded by earlier runs comes out of a cache; where that keeps it is not known here.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import FaceTooPoorError, NoFaceError, RunCancelledError, SeveralFacesError
from core.records import ErrorRecord, Example, LearnedFace
from core.training.dataset import load_crops, numbered
from core.training.prototypes import Embeddings
from core.training.reproducible import reproducible
from core.training.request import FaceCache, LoadCrop, SkippedPhoto, TrainingRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.nets.imported import Embedder

_BATCH = 32
_PAGE = 256  # photos embedded between two looks at should_stop
_LOOKUP = 2048  # photos looked up between two
_LASTING = {NoFaceError.code, FaceTooPoorError.code, SeveralFacesError.code}
"""Errors that the photo's own bytes are the reason of: the next run would find the same."""


class NoCache:
    """Knows nothing and keeps nothing."""

    def find(self, examples: Sequence[Example]) -> list[LearnedFace | None]:
        """Return None for each."""
        return [None] * len(examples)

    def add(self, faces: Sequence[tuple[Example, LearnedFace]]) -> None:
        """Do nothing."""


class RunEmbedder:
    """An embedder that is compiled for one batch size, when the first photo needs it.

    Args:
        embedder: left as it is.
        device: where it runs.
    """

    def __init__(self, embedder: "Embedder", device: torch.device) -> None:
        self.input_size_px = embedder.input_size_px
        self.embedding_dim = embedder.embedding_dim
        self._embedder = embedder
        self._device = device

    def __call__(self, crops: Tensor) -> Tensor:
        """Embed crops (uint8 [N, 3, S, S]): float32 [N, D], as long as core.faces.lengths says, on the CPU."""
        padded = F.pad(crops, (0, 0, 0, 0, 0, 0, 0, -len(crops) % _BATCH))  # another size would be compiled anew
        with torch.inference_mode():
            parts = [self._run(part) for part in torch.split(padded, _BATCH)]
        embeddings: Tensor = self._embedder.to_embeddings(torch.cat(parts)[: len(crops)])
        return embeddings

    def _run(self, crops: Tensor) -> Tensor:
        x = (crops.to(self._device).float() / 255.0).contiguous(memory_format=torch.channels_last)
        features: Tensor = self._module(x)
        return features.cpu()

    @cached_property
    def _module(self) -> torch.jit.ScriptModule:
        module: torch.jit.ScriptModule = torch.jit.freeze(
            torch.jit.script(copy.deepcopy(self._embedder).to(self._device).eval())
        )
        return module


@contextmanager
def open_embedder(embedder: "Embedder", request: TrainingRequest) -> Iterator[RunEmbedder]:
    """Let an embedder run on the run's device, repeatably; the embedder is left on the CPU."""
    with reproducible(request):
        yield RunEmbedder(embedder, torch.device(request.device))


def embed_photos(
    examples: Sequence[Example],
    embed: RunEmbedder,
    request: TrainingRequest,
    load_crop: LoadCrop,
    should_stop: Callable[[], bool],
    cache: FaceCache | None = None,
) -> tuple[Embeddings, tuple[SkippedPhoto, ...]]:
    """Embed photos page by page: their crops are never in memory together, and those in the cache are not read.

    Returns:
        The embeddings of the usable photos and the others, both in the order of the examples.

    Raises:
        RunCancelledError: `should_stop` said so.
        SourceUnreachableError: out of `load_crop`.
        DatabaseUnreachableError: out of the cache.
    """
    cache = cache or NoCache()
    seen = _SeenPhotos(examples, embed.embedding_dim)
    missing = _take_known(seen, cache, should_stop)
    for start in range(0, len(missing), _PAGE):
        places = missing[start : start + _PAGE]
        page = [examples[place] for place in places]
        faces = _embed_page(page, embed, request, load_crop, should_stop)
        cache.add([(example, face) for example, face in zip(page, faces, strict=True) if _is_lasting(face)])
        for place, face in zip(places, faces, strict=True):
            seen.put(place, face)
    return seen.embeddings(), seen.skipped()


class _SeenPhotos:
    """What each of some photos is to the backbone."""

    def __init__(self, examples: Sequence[Example], dim: int) -> None:
        self.examples = examples
        self._vectors = torch.empty(len(examples), dim)
        self._errors: dict[int, ErrorRecord] = {}

    def put(self, place: int, face: LearnedFace) -> None:
        """Take note of the photo at a place."""
        if face.error is not None:
            self._errors[place] = face.error
        elif face.vector is not None:
            self._vectors[place] = torch.from_numpy(np.frombuffer(face.vector, "<f4").copy())

    def embeddings(self) -> Embeddings:
        """Return the photos that have a face."""
        usable = torch.ones(len(self.examples), dtype=torch.bool)
        usable[list(self._errors)] = False
        labels = torch.tensor([example.class_index for example in self.examples], dtype=torch.int64)
        return Embeddings(vectors=self._vectors, labels=labels).rows(usable)

    def skipped(self) -> tuple[SkippedPhoto, ...]:
        """Return the others."""
        return tuple(
            SkippedPhoto(uri=self.examples[place].uri, code=error.code, message=error.message)
            for place, error in sorted(self._errors.items())
        )


def _take_known(seen: _SeenPhotos, cache: FaceCache, should_stop: Callable[[], bool]) -> list[int]:
    """Take what the cache holds; return the places of the other photos."""
    missing = []
    for start in range(0, len(seen.examples), _LOOKUP):
        if should_stop():
            raise RunCancelledError("The training run was cancelled before it began; no model was made.")
        page = seen.examples[start : start + _LOOKUP]
        for place, face in enumerate(cache.find(page), start=start):
            if face is None:
                missing.append(place)
            else:
                seen.put(place, face)
    return missing


def _embed_page(
    page: Sequence[Example],
    embed: RunEmbedder,
    request: TrainingRequest,
    load_crop: LoadCrop,
    should_stop: Callable[[], bool],
) -> list[LearnedFace]:
    """Read and embed some photos; what is returned is in their order."""
    crops, skipped = load_crops(
        numbered(page), load_crop, embed.input_size_px, read_threads=request.read_threads, should_stop=should_stop
    )
    vectors: dict[int, NDArray[np.float32]] = {}
    if len(crops):
        vectors = dict(zip(crops.labels.tolist(), embed(crops.crops).numpy(), strict=True))
    errors = iter(ErrorRecord(code=photo.code, message=photo.message) for photo in skipped)
    return [
        LearnedFace(vector=vectors[place].astype("<f4").tobytes())
        if place in vectors
        else LearnedFace(vector=None, error=next(errors))
        for place in range(len(page))
    ]


def _is_lasting(face: LearnedFace) -> bool:
    """Say whether the next run would find the same."""
    return face.error is None or face.error.code in _LASTING
