"""The photos of a run on a frozen backbone, embedded: of people, of strangers, and of whom was taken for somebody.

How they are embedded is in core.training.embedding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from core.records import Example, PersonClass
from core.training.dataset import labels_at, numbered, usable_people
from core.training.embedding import embed_photos, open_embedder
from core.training.findings import describe_labels
from core.training.prototypes import Embeddings, HardNegatives
from core.training.request import FaceCache, LoadCrop, SkippedPhoto, TrainingRequest
from core.training.scored import MissedPhotos, missed_photos

if TYPE_CHECKING:
    from core.nets.imported import Embedder


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
    request: TrainingRequest,
    embedder: "Embedder",
    load_crop: LoadCrop,
    should_stop: Callable[[], bool],
    cache: FaceCache | None = None,
) -> HeadData:
    """Embed all photos, and leave out the people of whom none can be used.

    Raises:
        TooFewPeopleError: nobody has a usable photo.
        RunCancelledError: `should_stop` said so.
        SourceUnreachableError: out of `load_crop`.
        DatabaseUnreachableError: out of the cache.
    """
    mistaken = [example for example in request.train if example.class_index < 0 and example.not_classes]
    others = [example for example in request.train if example.class_index >= 0 or not example.not_classes]
    with open_embedder(embedder, request) as embed:
        (learned, skipped), (negatives, negatives_skipped), (test, test_skipped) = (
            embed_photos(examples, embed, request, load_crop, should_stop, cache)
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
