"""The drawn sample: the same for the same seed, different people, photos that decode."""

import hashlib
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from core.images.decode import DecodeLimits, decode_photo
from core.images.drawn_people import LEAST_DISTANCE, NAMES, Beard, Glasses, Hair, distance, draw_people
from core.images.drawn_photo import take_photo
from core.images.sample import write_sample


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_sample_is_laid_out_for_training_testing_and_strangers(tmp_path: Path) -> None:
    write_sample(tmp_path, people=3, train_photos=2, test_photos=1, strangers=2, size_px=48)
    names = sorted(NAMES[:3])
    train = [f"train/{name}/{number:02d}.jpg" for name in names for number in (1, 2)]
    test = [f"test/{name}/01.jpg" for name in names]
    assert sorted(digests(tmp_path)) == sorted(["strangers/01.jpg", "strangers/02.jpg", *train, *test])
    for path in tmp_path.rglob("*.jpg"):
        photo = decode_photo(path.read_bytes(), DecodeLimits())
        assert photo.pixels.shape == (48, 48, 3)
        assert photo.pixels.std() > 20


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_people(tmp_path: Path) -> None:
    for folder, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_sample(tmp_path / folder, people=2, train_photos=2, test_photos=1, strangers=2, size_px=48, seed=seed)
    first, again, other = (digests(tmp_path / folder) for folder in "abc")
    assert first == again
    assert first.keys() == other.keys()
    assert not set(first.values()) & set(other.values())
    assert len(set(first.values())) == len(first)


def test_more_photos_do_not_change_the_ones_there_were(tmp_path: Path) -> None:
    write_sample(tmp_path / "few", people=2, train_photos=1, test_photos=1, strangers=1, size_px=48)
    write_sample(tmp_path / "many", people=2, train_photos=3, test_photos=2, strangers=2, size_px=48)
    assert digests(tmp_path / "few").items() <= digests(tmp_path / "many").items()


def test_no_two_people_are_too_much_alike() -> None:
    people = draw_people(36, random.Random(0))
    pairs = itertools.combinations(people, 2)
    assert min(distance(one, other) for one, other in pairs) >= LEAST_DISTANCE
    assert all(distance(person, person) == 0 for person in people)
    assert {person.hair for person in draw_people(100, random.Random(1))} == set(Hair)
    assert {person.beard for person in people} == set(Beard)
    assert {person.glasses for person in people} == set(Glasses)


def test_more_people_than_can_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="different enough"):
        draw_people(20, random.Random(0), least_distance=0.6)


def test_photos_of_one_person_differ_less_than_photos_of_two() -> None:
    people = draw_people(8, random.Random(2))
    photos = np.stack(
        [
            [_looks(take_photo(person, 64, random.Random(f"{number}/{shot}"))) for shot in range(4)]
            for number, person in enumerate(people)
        ]
    )
    means = photos.mean(axis=1)
    within = np.linalg.norm(photos - means[:, None], axis=-1).mean()
    between = np.mean([np.linalg.norm(one - other) for one, other in itertools.combinations(means, 2)])
    assert between > within


def _looks(photo: object) -> np.ndarray:
    """Reduce a photo to 8 x 8 colours of its middle, its own brightness taken out."""
    pixels = np.asarray(photo, dtype=np.float64)[8:56, 8:56]
    small = pixels.reshape(8, 6, 8, 6, 3).mean(axis=(1, 3))
    return (small / small.mean()).ravel()


def test_names_are_distinct_and_plain() -> None:
    assert len(set(NAMES)) == len(NAMES) == 48
    assert all(name.isalpha() for name in NAMES)
