"""What the training tests learn from: coloured patterns instead of faces, and a quick recipe."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import PhotoBrokenError
from core.records import Example, PersonClass
from core.training.dataset import CropSet
from core.training.loop import Epoch, EpochFigures, Learner
from core.training.recipes import COMPACT
from core.training.request import TrainingRequest

QUICK = dataclasses.replace(COMPACT, epochs=2, batch_size=8, fewest_steps=2, enough_steps=2, fewest_synthetic_people=2)
"""The real recipe with hardly any steps."""


def draw_crop(person: int, photo: int, size_px: int) -> NDArray[np.uint8]:
    """Draw one pattern a person with noise of its own a photo, uint8 [S, S, 3]."""
    pattern = np.random.default_rng(person).integers(40, 216, (4, 4, 3))
    large = pattern.repeat(-(-size_px // 4), axis=0).repeat(-(-size_px // 4), axis=1)[:size_px, :size_px]
    noise = np.random.default_rng(1000 * person + photo).normal(0.0, 8.0, large.shape)
    return (large + noise).clip(0, 255).astype(np.uint8)


def load_drawn(example: Example, size_px: int = 64) -> NDArray[np.uint8]:
    """Load `drawn:<person>/<photo>`; a photo of number 99 is broken."""
    person, photo = (int(part) for part in example.uri.removeprefix("drawn:").split("/"))
    if photo == 99:
        raise PhotoBrokenError(f"{example.uri} is broken.")
    return draw_crop(person, photo, size_px)


def example(person: int, photo: int, class_index: int | None = None) -> Example:
    """One labelled photo; its class is the person's number unless it is given."""
    return Example(uri=f"drawn:{person}/{photo}", class_index=person if class_index is None else class_index)


def train_one_epoch(learner: Learner, number: int = 0) -> EpochFigures:
    """Train one epoch of one network alone."""
    epoch = Epoch(learner, number)
    while epoch.steps_left:
        epoch.step()
    return epoch.figures()


def make_request(photos: Sequence[int], **changes: object) -> TrainingRequest:
    """A request with so many photos of each person, one test photo of each, and one epoch."""
    values: dict[str, object] = {
        "classes": tuple(PersonClass(person_id=101 + i, name=f"P{i}") for i in range(len(photos))),
        "train": tuple(example(person, photo) for person, count in enumerate(photos) for photo in range(count)),
        "test": tuple(example(person, 50) for person in range(len(photos))),
        "recipe": "compact",
        "epochs": 1,
        "threads": 1,
    }
    return TrainingRequest(**{**values, **changes})  # type: ignore[arg-type]


def make_crops(photos: Sequence[int], size_px: int = 32) -> CropSet:
    """Crops of so many photos of each person."""
    drawn = [draw_crop(person, photo, size_px) for person, count in enumerate(photos) for photo in range(count)]
    labels = torch.arange(len(photos)).repeat_interleave(torch.tensor(photos))
    return CropSet(crops=torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous(), labels=labels)
