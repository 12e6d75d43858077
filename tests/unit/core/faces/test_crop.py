"""A photo that is one face becomes a square crop, the same way in training and serving."""

import numpy as np
import pytest

from core.faces.crop import crop_whole_photo


def test_a_crop_is_square_and_rgb() -> None:
    crop = crop_whole_photo(np.zeros((112, 92, 3), dtype=np.uint8), 64)
    assert crop.shape == (64, 64, 3)
    assert crop.dtype == np.uint8
    assert crop.flags.c_contiguous


def test_shrinking_averages_instead_of_picking_pixels() -> None:
    checkers = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    crop = crop_whole_photo(np.repeat(checkers[:, :, None], 3, axis=2), 32)
    assert np.abs(crop.astype(int) - 127).max() <= 2


def test_colours_and_places_are_kept() -> None:
    photo = np.zeros((40, 80, 3), dtype=np.uint8)
    photo[:, 40:] = (200, 100, 50)
    crop = crop_whole_photo(photo, 20)
    assert crop[10, 2].tolist() == [0, 0, 0]
    assert crop[10, 17].tolist() == [200, 100, 50]


def test_a_photo_of_the_right_size_is_copied() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    crop = crop_whole_photo(photo, 16)
    assert np.array_equal(crop, photo)
    assert not np.shares_memory(crop, photo)


def test_a_view_with_strides_is_cropped_as_its_copy() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    mirrored = photo[:, ::-1]
    assert np.array_equal(crop_whole_photo(mirrored, 24), crop_whole_photo(mirrored.copy(), 24))


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (3, 10, 10)])
def test_what_is_not_rgb_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="uint8"):
        crop_whole_photo(np.zeros(shape, dtype=np.uint8), 8)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        crop_whole_photo(np.zeros((8, 8, 3)), 8)  # type: ignore[arg-type]
