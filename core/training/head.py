"""Trains people on a frozen, pretrained backbone: every photo is embedded once, then a small head learns.

The embedding is in core.training.head_data, the learning in core.training.prototypes.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from core.errors import RunCancelledError
from core.nets.servable import Servable
from core.records import EpochProgress, PersonClass
from core.training.decision import calibrate_head
from core.training.head_data import HeadData, load_data
from core.training.prototypes import (
    HEAD,
    Embeddings,
    HardNegatives,
    Head,
    HeadRehearsal,
    build_rehearsals,
    train_heads,
    validate_heads,
)
from core.training.report import describe, score
from core.training.request import FaceCache, LoadCrop, TestedPhotos, TrainedNetwork, TrainingRequest
from core.training.scored import MissedPhotos

if TYPE_CHECKING:
    from core.faces.impostors import PublishedScores
    from core.nets.imported import Embedder, ImportedNetwork
    from core.training.calibrate import Calibration


def train_head(
    request: TrainingRequest,
    embedder: "Embedder",
    *,
    backbone: str,
    load_crop: LoadCrop,
    on_epoch: Callable[[EpochProgress], None],
    should_stop: Callable[[], bool],
    published: "PublishedScores | None" = None,
    cache: FaceCache | None = None,
) -> TrainedNetwork:
    """Embed the photos, train, calibrate and judge a head.

    Args:
        request: what to learn and from what; its recipe is not asked.
        embedder: the backbone; shared with the network that comes of it.
        backbone: its name.
        load_crop: reads one photo; called from `request.read_threads` threads.
        on_epoch: told of every finished epoch, in order.
        should_stop: asked between pages of photos and between epochs.
        published: what is known of the backbone's similarities; None where nothing is.
        cache: what earlier runs embedded, which this one adds to; None: every photo is read.

    Raises:
        TooFewPeopleError: nobody has a usable photo.
        RunCancelledError: `should_stop` said so.
        SourceUnreachableError: out of `load_crop`.
        DatabaseUnreachableError: out of the cache.
    """
    data = load_data(request, embedder, load_crop, should_stop, cache)
    final, rehearsals, history = train_on(data.train, request, on_epoch, should_stop, data.negatives)
    calibration = calibrate_head(
        rehearsals,
        final,
        data.train,
        published=published,
        backbone=backbone,
        strangers=data.strangers,
        fpir=request.fpir,
    )
    return TrainedNetwork(
        network=Servable(_with_head(embedder, final.gallery)).eval(),
        gallery=final.gallery,
        classes=data.classes,
        backbone=backbone,
        recipe=HEAD.name,
        input_size_px=embedder.input_size_px,
        embedding_dim=embedder.embedding_dim,
        rule=calibration.rule,
        metrics={
            "test": judge(data.test, final, calibration, data.classes, data.missed),
            "rehearsal": describe_rehearsals(rehearsals, calibration),
            "people": len(data.classes),
            "people_without_photos": [person.name for person in data.without_photos],
            "photos_skipped": len(data.skipped),
            "label_findings": data.findings,
            "photos_unlike_the_others": final.outliers,
            "labelled_strangers": len(data.strangers),
            "hard_negatives": int((data.negatives.classes >= 0).sum()),
        },
        epochs=tuple(history),
        skipped=data.skipped,
        seed=request.seed,
        train_count=len(data.train),
        test_count=len(data.test),
        tested=ask_about_tests(data, final),
    )


def train_on(
    photos: Embeddings,
    request: TrainingRequest,
    on_epoch: Callable[[EpochProgress], None],
    should_stop: Callable[[], bool],
    negatives: HardNegatives | None = None,
) -> tuple[Head, list[HeadRehearsal], list[EpochProgress]]:
    """Train the head that is kept and its rehearsals, side by side."""
    epochs = request.epochs or HEAD.epochs
    final = Head(photos, HEAD, epochs=epochs, seed=request.seed + 1, negatives=negatives)
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


def describe_rehearsals(rehearsals: Sequence[HeadRehearsal], calibration: "Calibration") -> dict[str, Any]:
    """Return what the rule and the confidence were chosen from, as the manifest keeps it."""
    held_out, strangers = (
        [photos.labels.numpy() for photos in parts]
        for parts in ([each.held_out for each in rehearsals], [each.strangers for each in rehearsals])
    )
    return {**describe(calibration, held_out, strangers), **calibration.details}


def ask_about_tests(data: HeadData, final: Head) -> TestedPhotos | None:
    """Return what the final head answers to the test photos; None without any."""
    if not len(data.test):
        return None
    vectors = data.test.vectors.numpy()
    return TestedPhotos(places=data.test_places.numpy(), embeddings=vectors, logits=vectors @ final.gallery.numpy().T)


def judge(
    test: Embeddings, final: Head, calibration: "Calibration", classes: Sequence[PersonClass], missed: MissedPhotos
) -> dict[str, Any] | None:
    """Return the figures on the test photos; None without any."""
    if not len(test):
        return None
    vectors, gallery = test.vectors.numpy(), final.gallery.numpy()
    return score(vectors, vectors @ gallery.T, gallery, test.labels.numpy(), calibration.rule, classes, missed)


def _with_head(embedder: "Embedder", gallery: Tensor) -> "ImportedNetwork":
    """Put people onto a backbone: one row each, float32 [C, D]."""
    from core.nets.imported import ImportedNetwork

    network = ImportedNetwork(embedder, len(gallery), HEAD.scale)
    network.head.set_prototypes(gallery[:, None])
    return network
