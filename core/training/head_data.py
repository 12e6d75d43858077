"""The photos of a run on a frozen backbone, embedded: of people, of strangers, and of whom was taken for somebody.

Each photo is read and embedded once, page by page.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from core.records import Example, PersonClass
from core.training.dataset import labels_at, load_crops, numbered, usable_people
from core.training.findings import describe_labels
from core.training.prototypes import Embeddings, HardNegatives
from core.training.reproducible import reproducible
from core.training.request import LoadCrop, SkippedPhoto, TrainingRequest
from core.training.scored import MissedPhotos, missed_photos

if TYPE_CHECKING:
    from core.nets.imported import Embedder

_BATCH = 32
_PAGE = 256  # photos embedded between two looks at should_stop


@dataclass(frozen=True, kw_only=True)
class HeadData:
    """The photos of a run, embedded."""

    classes: tuple[PersonClass, ...]
    """People with a usable training photo."""
    without_photos: tuple[PersonClass, ...]
    """People of the request without one."""
    train: Embeddings
    """Of those people; every label is a class."""
    strangers: Embeddings
    """Labelled strangers; each photo has the label -1."""
    negatives: HardNegatives
    """Photos of others who were taken for some of the people."""
    test: Embeddings
    test_places: Tensor
    """int64: which of the request's test photos these are."""
    missed: MissedPhotos
    """Test photos that show no face to ask about."""
    skipped: tuple[SkippedPhoto, ...]
    findings: dict[str, Any]
    """What looks wrong among the people's photos, as a model's metrics keep it."""


def load_data(
    request: TrainingRequest, embedder: "Embedder", load_crop: LoadCrop, should_stop: Callable[[], bool]
) -> HeadData:
    """Embed all photos, and leave out the people of whom none can be used.

    Raises:
        TooFewPeopleError: nobody has a usable photo.
        RunCancelledError: `should_stop` said so.
        SourceUnreachableError: out of `load_crop`.
    """
    mistaken = [example for example in request.train if example.class_index < 0 and example.not_classes]
    others = [example for example in request.train if example.class_index >= 0 or not example.not_classes]
    with compile_embedder(embedder, request) as embed:
        (learned, skipped), (negatives, negatives_skipped), (test, test_skipped) = (
            embed_photos(examples, embed, request, load_crop, should_stop)
            for examples in (others, numbered(mistaken), numbered(request.test))
        )
    train = learned.rows(learned.labels >= 0)
    named = [example for example in others if example.class_index >= 0]
    findings = describe_labels(named, skipped, train.vectors.numpy(), train.labels.numpy(), request.classes)
    classes, without, new_labels = usable_people(request.classes, train.labels, fewest=1)
    places = test.labels
    test = Embeddings(vectors=test.vectors, labels=labels_at(request.test, places)).relabelled(new_labels)
    return HeadData(
        classes=classes,
        without_photos=without,
        train=train.relabelled(new_labels),
        strangers=learned.rows(learned.labels < 0),
        negatives=_hard_negatives(negatives, mistaken).relabelled(new_labels),
        test=test.rows(test.labels > -2),
        test_places=places[test.labels > -2],
        missed=missed_photos(request.test, test_skipped, new_labels.numpy()),
        skipped=skipped + negatives_skipped + test_skipped,
        findings=findings,
    )


def _hard_negatives(photos: Embeddings, examples: Sequence[Example]) -> HardNegatives:
    """Pair each photo, whose label is its place among the examples, with the people it was taken for."""
    pairs = [(row, c) for row, at in enumerate(photos.labels.tolist()) for c in examples[at].not_classes]
    return HardNegatives(
        vectors=photos.vectors[[row for row, _ in pairs]],
        classes=torch.tensor([c for _, c in pairs], dtype=torch.int64),
    )


@dataclass(frozen=True, kw_only=True)
class CompiledEmbedder:
    """An embedder that is compiled for one batch size."""

    module: torch.jit.ScriptModule
    device: torch.device
    input_size_px: int
    embedding_dim: int

    def __call__(self, crops: Tensor) -> Tensor:
        """Embed crops (uint8 [N, 3, S, S]): float32 [N, D] of unit length, on the CPU."""
        padded = F.pad(crops, (0, 0, 0, 0, 0, 0, 0, -len(crops) % _BATCH))  # another size would be compiled anew
        with torch.inference_mode():
            parts = [self._run(part) for part in torch.split(padded, _BATCH)]
        return F.normalize(torch.cat(parts)[: len(crops)], dim=1)

    def _run(self, crops: Tensor) -> Tensor:
        x = (crops.to(self.device).float() / 255.0).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.module(x)
        return features.cpu()


@contextmanager
def compile_embedder(embedder: "Embedder", request: TrainingRequest) -> Iterator[CompiledEmbedder]:
    """Compile an embedder for the run's device; the embedder is left on the CPU."""
    device = torch.device(request.device)
    module = torch.jit.freeze(torch.jit.script(copy.deepcopy(embedder).to(device).eval()))
    with reproducible(request):
        yield CompiledEmbedder(
            module=module, device=device, input_size_px=embedder.input_size_px, embedding_dim=embedder.embedding_dim
        )


def embed_photos(
    examples: Sequence[Example],
    embed: CompiledEmbedder,
    request: TrainingRequest,
    load_crop: LoadCrop,
    should_stop: Callable[[], bool],
) -> tuple[Embeddings, tuple[SkippedPhoto, ...]]:
    """Embed photos page by page: their crops are never in memory together.

    Raises:
        RunCancelledError: `should_stop` said so.
        SourceUnreachableError: out of `load_crop`.
    """
    vectors: list[Tensor] = [torch.empty(0, embed.embedding_dim)]
    labels: list[Tensor] = [torch.empty(0, dtype=torch.int64)]
    skipped: list[SkippedPhoto] = []
    for start in range(0, len(examples), _PAGE):
        page, missed = load_crops(
            examples[start : start + _PAGE],
            load_crop,
            embed.input_size_px,
            read_threads=request.read_threads,
            should_stop=should_stop,
        )
        skipped.extend(missed)
        if len(page):
            vectors.append(embed(page.crops))
            labels.append(page.labels)
    return Embeddings(vectors=torch.cat(vectors), labels=torch.cat(labels)), tuple(skipped)
