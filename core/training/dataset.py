"""The photos of a run as one tensor in memory: read once, in parallel, unreadable ones left out and listed."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import PhotoError, RunCancelledError, TooFewPeopleError, TrainingSetTooLargeError
from core.records import Example, PersonClass
from core.training.request import LoadCrop, SkippedPhoto

_PAGE = 256  # photos handed to the readers between two looks at should_stop


@dataclass(frozen=True, kw_only=True)
class CropSet:
    """Crops and whose they are."""

    crops: Tensor
    """uint8 [N, 3, S, S] RGB, on the CPU."""
    labels: Tensor
    """int64 [N]: class of each; -1 for a stranger."""

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: Tensor) -> "CropSet":
        """Return the crops at these places (int64 or bool), copied."""
        return CropSet(crops=self.crops[rows], labels=self.labels[rows])

    def relabelled(self, new_labels: Tensor) -> "CropSet":
        """Return the same crops where class c is `new_labels[c]` (int64); strangers stay strangers."""
        return CropSet(crops=self.crops, labels=renumber(self.labels, new_labels))


def renumber(labels: Tensor, new_labels: Tensor) -> Tensor:
    """Return labels (int64 [N]) where class c is `new_labels[c]` (int64); strangers, below 0, stay strangers."""
    return torch.where(labels < 0, labels, new_labels[labels.clamp(min=0)])


def numbered(examples: Sequence[Example]) -> list[Example]:
    """Return examples that have their own place, from 0, as class: what is read of them then says which they are."""
    return [replace(example, class_index=place) for place, example in enumerate(examples)]


def labels_at(examples: Sequence[Example], places: Tensor) -> Tensor:
    """Return the classes (int64 [N]) of the examples at these places (int64 [N])."""
    return torch.tensor([example.class_index for example in examples], dtype=torch.int64)[places]


def load_crops(
    examples: Sequence[Example],
    load_crop: LoadCrop,
    size_px: int,
    *,
    read_threads: int,
    should_stop: Callable[[], bool],
) -> tuple[CropSet, tuple[SkippedPhoto, ...]]:
    """Read photos into one tensor, in the order of the examples.

    Returns:
        The crops of the readable photos, and the unreadable ones.

    Raises:
        RunCancelledError: `should_stop` said so.
        SourceUnreachableError: out of `load_crop`.
    """
    crops = np.empty((len(examples), size_px, size_px, 3), dtype=np.uint8)
    labels: list[int] = []
    skipped: list[SkippedPhoto] = []
    for example, result in _read_all(examples, load_crop, read_threads, should_stop):
        if isinstance(result, PhotoError):
            skipped.append(SkippedPhoto(uri=example.uri, code=result.code, message=result.message))
        else:
            crops[len(labels)] = result
            labels.append(example.class_index)
    tensor = torch.from_numpy(crops[: len(labels)]).permute(0, 3, 1, 2)
    return CropSet(crops=tensor.contiguous(), labels=torch.tensor(labels, dtype=torch.int64)), tuple(skipped)


def usable_people(
    classes: Sequence[PersonClass], labels: Tensor, *, fewest: int = 2
) -> tuple[tuple[PersonClass, ...], tuple[PersonClass, ...], Tensor]:
    """Tell people with a usable training photo from those without.

    Args:
        classes: all people.
        labels (int64 [N]): whose the usable training photos are; numbers below 0 are nobody's.
        fewest: people that it takes: two to train a network from scratch, one on a pretrained backbone.

    Returns:
        Those with a photo, those without, and the new number of each class (int64; -2 for those without).

    Raises:
        TooFewPeopleError: fewer have a photo.
    """
    present = torch.bincount(labels[labels >= 0], minlength=len(classes)) > 0
    if present.sum() < fewest:
        needed = "telling people apart takes at least two" if fewest > 1 else "it takes at least one"
        raise TooFewPeopleError(
            f"Only {int(present.sum())} of {len(classes)} people have a usable training photo, and {needed}; no model "
            "was made. Label photos of another person, or mend those that cannot be used."
        )
    pairs = list(zip(classes, present.tolist(), strict=True))
    kept, without = (tuple(person for person, here in pairs if here is wanted) for wanted in (True, False))
    return kept, without, torch.where(present, present.cumsum(0) - 1, -2)


def check_memory(photos: int, size_px: int, max_bytes: int) -> None:
    """Refuse a set whose crops would not fit.

    Raises:
        TrainingSetTooLargeError: `photos` crops of `size_px` take more than `max_bytes`.
    """
    needed = photos * 3 * size_px**2
    if needed > max_bytes:
        raise TrainingSetTooLargeError(
            f"The {photos} labelled photos would take {needed / 2**30:.1f} GiB of memory as crops, more than the "
            f"{max_bytes / 2**30:.1f} GiB allowed; nothing was trained. Train on fewer photos a person."
        )


def _read_all(
    examples: Sequence[Example],
    load_crop: LoadCrop,
    read_threads: int,
    should_stop: Callable[[], bool],
) -> Iterator[tuple[Example, NDArray[np.uint8] | PhotoError]]:
    def read(example: Example) -> NDArray[np.uint8] | PhotoError:
        try:
            return load_crop(example)
        except PhotoError as error:
            return error

    with ThreadPoolExecutor(max_workers=read_threads, thread_name_prefix="crops") as readers:
        for start in range(0, len(examples), _PAGE):
            if should_stop():
                raise RunCancelledError("The training run was cancelled while its photos were read; no model was made.")
            page = examples[start : start + _PAGE]
            yield from zip(page, readers.map(read, page), strict=True)
