"""Writes the drawn sample: folders of photos of made-up people, to try everything without anyone's face."""

import random
from pathlib import Path

from core.images.drawn_people import NAMES, DrawnPerson, draw_people
from core.images.drawn_photo import take_photo

_JPEG_QUALITY = 90


def write_sample(
    folder: Path,
    *,
    people: int = 12,
    train_photos: int = 8,
    test_photos: int = 6,
    strangers: int = 24,
    size_px: int = 160,
    seed: int = 0,
) -> None:
    """Write `train/<name>/NN.jpg`, `test/<name>/NN.jpg` and `strangers/NN.jpg` (one photo of one stranger each).

    The same arguments give the same bytes. Strangers come from the same distribution as the known people, and nobody is
    nearer to anybody else than `drawn_people.distance` allows.

    Args:
        folder: made where it is missing; files of the same names are overwritten.
        people: how many known people.
        train_photos: photos of each for training.
        test_photos: photos of each for testing.
        strangers: how many people whom nobody knows.
        size_px: side of the square photos.
        seed: decides everything.

    Raises:
        ValueError: so many different people cannot be drawn.
    """
    everyone = draw_people(people + strangers, random.Random(seed))
    for number, person in enumerate(everyone[:people]):
        name = _name(number)
        _write_photos(folder / "train" / name, person, train_photos, size_px, f"{seed}/{number}/train")
        _write_photos(folder / "test" / name, person, test_photos, size_px, f"{seed}/{number}/test")
    for number, person in enumerate(everyone[people:], start=1):
        _write_photo(folder / "strangers", number, person, size_px, f"{seed}/stranger/{number}")


def _name(number: int) -> str:
    """Give the known person of this number a name; from the 49th on, a name and a number."""
    turn, index = divmod(number, len(NAMES))
    return NAMES[index] + (f" {turn + 1}" if turn else "")


def _write_photos(folder: Path, person: DrawnPerson, count: int, size_px: int, seed: str) -> None:
    for number in range(1, count + 1):
        _write_photo(folder, number, person, size_px, f"{seed}/{number}")


def _write_photo(folder: Path, number: int, person: DrawnPerson, size_px: int, seed: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    photo = take_photo(person, size_px, random.Random(seed))
    photo.save(folder / f"{number:02d}.jpg", quality=_JPEG_QUALITY)
