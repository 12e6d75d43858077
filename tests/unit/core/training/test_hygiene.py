"""What looks wrong among labelled photos: made-up people as directions, their photos around them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.training.hygiene import Finding, FindingKind, find_problems

DIM = 64


def draw_photos(people: int, each: int, *, spread: float = 0.09, seed: int = 0) -> NDArray[np.float32]:
    """Photos of people, unit [people * each, DIM], person by person; cosines within a person are about 0.65."""
    drawn = np.random.default_rng(seed)
    middles = np.linalg.qr(drawn.standard_normal((DIM, people)))[0].T
    photos = np.repeat(middles, each, axis=0) + spread * drawn.standard_normal((people * each, DIM))
    return unit(photos)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def labels_of(people: int, each: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(people), each)


def of_kind(findings: list[Finding], *kinds: FindingKind) -> list[Finding]:
    return [finding for finding in findings if finding.kind in kinds]


def test_good_labels_are_left_alone() -> None:
    assert find_problems(draw_photos(20, 4), labels_of(20, 4)) == []


@pytest.mark.parametrize("each", [3, 5, 10])
@pytest.mark.parametrize("seed", range(3))
def test_swapped_labels_are_found_and_nothing_else(each: int, seed: int) -> None:
    truth = labels_of(20, each)
    swapped = np.random.default_rng(seed).choice(20 * each, each, replace=False)
    said = truth.copy()
    said[swapped] = (said[swapped] + 7) % 20

    found = find_problems(draw_photos(20, each, seed=seed), said)

    wrong = of_kind(found, FindingKind.MISLABELLED, FindingKind.UNLIKE)
    assert {finding.photo for finding in wrong} == set(swapped.tolist())
    suggested = [finding for finding in wrong if finding.kind is FindingKind.MISLABELLED]
    assert all(finding.suggested == truth[finding.photo] for finding in suggested)
    assert all(finding.person == said[finding.photo] for finding in suggested)
    assert len(suggested) >= 0.8 * len(swapped)


def test_of_two_photos_only_the_wrong_one_is_found_when_it_looks_like_somebody() -> None:
    said = labels_of(6, 2)
    said[0] = 3
    said = np.append(said, 0)
    photos = np.concatenate([draw_photos(6, 2), draw_photos(6, 2, seed=0)[:1]])
    photos[0] = draw_photos(6, 3)[2]  # a third photo of the first person, said to be the fourth

    found = of_kind(find_problems(photos, said), FindingKind.MISLABELLED, FindingKind.UNLIKE)

    assert [(finding.kind, finding.photo, finding.suggested) for finding in found] == [(FindingKind.MISLABELLED, 0, 0)]
    assert found[0].similarity is not None
    assert found[0].suggested_similarity is not None
    assert found[0].similarity < found[0].suggested_similarity
    assert found[0].like in {1, 12}


def test_a_stranger_among_somebodys_photos_looks_like_nobody() -> None:
    everybody = draw_photos(7, 5)
    photos = everybody[:30]
    photos[7] = everybody[-1]

    (found,) = find_problems(photos, labels_of(6, 5))

    assert (found.kind, found.photo, found.person, found.suggested) == (FindingKind.UNLIKE, 7, 1, None)
    assert found.similarity is not None
    assert found.similarity < 0.3


def test_photos_that_are_nearly_the_same_are_found_once_each() -> None:
    photos = draw_photos(4, 4)
    for copy in (6, 7):
        photos[copy] = unit(photos[5] + 0.01 * np.random.default_rng(copy).standard_normal(DIM))

    found = find_problems(photos, labels_of(4, 4))

    assert sorted((finding.kind, finding.photo) for finding in found) == [
        (FindingKind.DUPLICATE, 6),
        (FindingKind.DUPLICATE, 7),
    ]
    assert {finding.like for finding in found} <= {5, 6}


def test_a_person_whose_photos_are_all_one_is_named() -> None:
    photos = draw_photos(4, 3)
    photos[4] = photos[5] = photos[3]
    found = find_problems(photos, labels_of(4, 3))

    assert [(finding.person, finding.photo) for finding in of_kind(found, FindingKind.ALIKE_PHOTOS)] == [(1, None)]


def test_a_person_with_few_photos_is_named() -> None:
    found = find_problems(draw_photos(4, 3)[:-2], labels_of(4, 3)[:-2])
    assert [(finding.kind, finding.person) for finding in found] == [(FindingKind.FEW_PHOTOS, 3)]


def test_the_only_photo_of_somebody_is_compared_with_nothing() -> None:
    photos = draw_photos(4, 1)
    found = find_problems(np.concatenate([photos, photos[:1]]), np.array([0, 1, 2, 3, -1]))
    assert {finding.kind for finding in found} == {FindingKind.FEW_PHOTOS}


def test_photos_of_nobody_are_passed_over_and_numbers_are_the_callers() -> None:
    photos = draw_photos(6, 5)
    said = labels_of(6, 5) * 10  # classes 0, 10, ..., 50
    said[:5] = -1
    said[7] = 30
    (found,) = find_problems(photos, said)
    assert (found.kind, found.photo, found.person, found.suggested) == (FindingKind.MISLABELLED, 7, 30, 10)


def test_no_photos_are_no_problem() -> None:
    assert find_problems(np.empty((0, DIM), np.float32), np.empty(0, np.int64)) == []
