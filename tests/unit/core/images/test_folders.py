"""Natural order."""

import random

from core.images.folders import natural_key


def test_numbers_are_ordered_by_value_wherever_they_stand() -> None:
    names = [
        "2.jpg",
        "10.jpg",
        "a1b2.jpg",
        "a1b10.jpg",
        "a02.jpg",
        "a2b.jpg",
        "img 9 (2).jpg",
        "img 9 (11).jpg",
        "img 10.jpg",
    ]
    shuffled = random.Random(0).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == names


def test_names_that_differ_only_in_case_or_zeros_keep_a_stable_order() -> None:
    names = ["a1.jpg", "A1.jpg", "a01.jpg", "A001.jpg"]
    backwards = names[::-1]
    assert sorted(backwards, key=natural_key) == sorted(names, key=natural_key)


def test_a_number_of_hundreds_of_digits_is_a_number() -> None:
    assert sorted(["9" * 250, "1" + "0" * 250, "8"], key=natural_key) == ["8", "9" * 250, "1" + "0" * 250]
