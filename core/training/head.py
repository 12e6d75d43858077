"""Trains people on a frozen, pretrained backbone: every photo is embedded once, then a small head learns.

The learning itself is in core.training.prototypes.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import RunCancelledError
from core.nets.servable import Servable
from core.records import EpochProgress, Example, PersonClass
from core.training.dataset import load_crops, usable_people
from core.training.findings import describe_labels
from core.training.prototypes import (
    HEAD,
    Embeddings,
    Head,
    HeadRehearsal,
    build_rehearsals,
    calibrate_head,
    train_heads,
    validate_heads,
)
from core.training.report import describe, score
from core.training.reproducible import reproducible
from core.training.request import LoadCrop, SkippedPhoto, TrainedNetwork, TrainingRequest

if TYPE_CHECKING:
    from core.nets.imported import Embedder, ImportedNetwork
    from core.training.calibrate import Calibration

_BATCH = 32
_PAGE = 256  # photos embedded between two looks at should_stop


def train_head(
    request: TrainingRequest,
    embedder: "Embedder",
    *,
    backbone: str,
    load_crop: LoadCrop,
    on_epoch: Callable[[EpochProgress], None],
    should_stop: Callable[[], bool],
) -> TrainedNetwork:
    """Embed the photos, train, calibrate and judge a head.

    Args:
        request: what to learn and from what; its recipe is not asked.
        embedder: the backbone; shared with the network that comes of it.
        backbone: its name.
        load_crop: reads one photo; called from `request.read_threads` threads.
        on_epoch: told of every finished epoch, in order.
        should_stop: asked between pages of photos and between epochs.

    Raises:
        TooFewPeopleError: fewer than two people have a usable photo.
        RunCancelledError: `should_stop` said so.
        SourceUnreachableError: out of `load_crop`.
    """
    with compile_embedder(embedder, request) as embed:
        (train, train_skipped), (test, test_skipped) = (
            embed_photos(examples, embed, request, load_crop, should_stop) for examples in (request.train, request.test)
        )
    problems = describe_labels(
        request.train, train_skipped, train.vectors.numpy(), train.labels.numpy(), request.classes
    )
    classes, without, new_labels = usable_people(request.classes, train.labels)
    train, test = train.relabelled(new_labels), test.relabelled(new_labels)
    test = test.rows(test.labels > -2)
    final, rehearsals, history = train_on(train, request, on_epoch, should_stop)
    calibration = calibrate_head(rehearsals, final, train)
    skipped = train_skipped + test_skipped
    return TrainedNetwork(
        network=Servable(_with_head(embedder, final.gallery)).eval(),
        gallery=final.gallery,
        classes=classes,
        backbone=backbone,
        recipe=HEAD.name,
        input_size_px=embedder.input_size_px,
        embedding_dim=embedder.embedding_dim,
        rule=calibration.rule,
        metrics={
            "test": judge(test, final, calibration, classes),
            "rehearsal": describe(calibration),
            "people": len(classes),
            "people_without_photos": [person.name for person in without],
            "photos_skipped": len(skipped),
            "label_findings": problems,
        },
        epochs=tuple(history),
        skipped=skipped,
        seed=request.seed,
        train_count=len(train),
        test_count=len(test),
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


def train_on(
    photos: Embeddings,
    request: TrainingRequest,
    on_epoch: Callable[[EpochProgress], None],
    should_stop: Callable[[], bool],
) -> tuple[Head, list[HeadRehearsal], list[EpochProgress]]:
    """Train the head that is kept and its rehearsals, side by side."""
    epochs = request.epochs or HEAD.epochs
    final = Head(photos, HEAD, epochs=epochs, seed=request.seed + 1)
    rehearsals = build_rehearsals(photos, HEAD, epochs=epochs, seed=request.seed)
    history: list[EpochProgress] = []
    for epoch in range(epochs):
        if should_stop():
            raise RunCancelledError("The training run was cancelled; no model was made.")
        started = time.monotonic()
        figures = train_heads(final, rehearsals, epoch)
        val_loss, val_accuracy = validate_heads(rehearsals, HEAD.scale)
        history.append(
            EpochProgress(
                epoch=epoch + 1,
                epochs=epochs,
                train_loss=figures.loss,
                train_accuracy=figures.accuracy,
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                learning_rate=figures.learning_rate,
                seconds=time.monotonic() - started,
            )
        )
        on_epoch(history[-1])
    return final, rehearsals, history


def judge(
    test: Embeddings, final: Head, calibration: "Calibration", classes: Sequence[PersonClass]
) -> dict[str, Any] | None:
    """Return the figures on the test photos; None without any."""
    if not len(test):
        return None
    vectors, gallery = test.vectors.numpy(), final.gallery.numpy()
    return score(vectors, vectors @ gallery.T, gallery, test.labels.numpy(), calibration.rule, classes)


def _with_head(embedder: "Embedder", gallery: Tensor) -> "ImportedNetwork":
    """Put people onto a backbone: unit rows, float32 [C, D]."""
    from core.nets.imported import ImportedNetwork

    network = ImportedNetwork(embedder, len(gallery), HEAD.scale)
    network.head.prototypes = torch.nn.Parameter(gallery.clone())
    return network
