"""Photos are read once, in order; unreadable ones are left out and listed."""

from functools import partial

import numpy as np
import pytest
import torch

from core.errors import RunCancelledError, SourceUnreachableError, TrainingSetTooLargeError
from core.records import Example
from core.training.dataset import check_memory, load_crops
from tests.unit.core.training.learning import draw_crop, example, load_drawn, make_crops


def _never() -> bool:
    return False


def test_crops_keep_the_order_of_the_examples() -> None:
    examples = [example(person, photo) for photo in range(3) for person in range(4)]
    crops, skipped = load_crops(examples, partial(load_drawn, size_px=16), 16, read_threads=4, should_stop=_never)
    assert skipped == ()
    assert crops.labels.tolist() == [0, 1, 2, 3] * 3
    assert np.array_equal(crops.crops[5].permute(1, 2, 0).numpy(), draw_crop(1, 1, 16))


def test_an_unreadable_photo_is_listed_and_its_neighbours_stay() -> None:
    examples = [example(0, 0), example(1, 99), example(2, 0)]
    crops, skipped = load_crops(examples, partial(load_drawn, size_px=16), 16, read_threads=2, should_stop=_never)
    assert crops.labels.tolist() == [0, 2]
    assert np.array_equal(crops.crops[1].permute(1, 2, 0).numpy(), draw_crop(2, 0, 16))
    assert [(photo.uri, photo.code) for photo in skipped] == [("drawn:1/99", "photo_broken")]


def test_an_unreachable_source_ends_the_reading() -> None:
    def unreachable(example: Example) -> np.ndarray:
        raise SourceUnreachableError("The share does not answer.")

    with pytest.raises(SourceUnreachableError):
        load_crops([example(0, 0)], unreachable, 16, read_threads=1, should_stop=_never)


def test_reading_stops_when_asked_to() -> None:
    examples = [example(0, photo) for photo in range(600)]
    answers = iter([False, True])
    with pytest.raises(RunCancelledError):
        load_crops(examples, partial(load_drawn, size_px=8), 8, read_threads=2, should_stop=lambda: next(answers))


def test_more_photos_than_fit_into_memory_are_refused_before_reading() -> None:
    check_memory(100, 64, 100 * 64 * 64 * 3)
    with pytest.raises(TrainingSetTooLargeError, match="nothing was trained"):
        check_memory(101, 64, 100 * 64 * 64 * 3)


def test_relabelling_keeps_strangers_strangers() -> None:
    crops = make_crops([1, 1, 1])
    crops.labels[2] = -1
    assert crops.relabelled(torch.tensor([5, 7, 9])).labels.tolist() == [5, 7, -1]


def test_no_photos_make_an_empty_set() -> None:
    crops, _ = load_crops([], partial(load_drawn, size_px=16), 16, read_threads=1, should_stop=_never)
    assert crops.crops.shape == (0, 3, 16, 16)
    assert len(crops) == 0
