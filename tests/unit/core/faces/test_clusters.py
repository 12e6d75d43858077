"""Grouping faces without names: what becomes a group, what joins one, and what stays as it was."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.faces.clusters import extend_groups, group_faces, pairwise_scores, split_group
from core.faces.linkage import ALONE, group_means

DIM = 64
Vectors = NDArray[np.float32]
Groups = NDArray[np.int64]


def centres(count: int, seed: int = 0) -> Vectors:
    """People who have nothing to do with each other: unit vectors at right angles."""
    square = np.random.default_rng(seed).standard_normal((DIM, DIM))
    return np.linalg.qr(square)[0][:count].astype(np.float32)


def near(centre: Vectors, count: int, similarity: float = 0.85, seed: int = 0) -> Vectors:
    """So many faces that have this similarity to a centre, and about its square to each other."""
    noise = np.random.default_rng(seed).standard_normal((count, DIM))
    noise -= (noise @ centre)[:, None] * centre
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return (similarity * centre + np.sqrt(1.0 - similarity**2) * noise).astype(np.float32)


def crowd(people: int, photos: int, strangers: int = 0) -> tuple[Vectors, Groups]:
    """So many photos of each of some people, and one of each stranger; and whose each is."""
    who = centres(people + strangers)
    faces = [near(who[number], photos, seed=number) for number in range(people)]
    owners = [*np.repeat(np.arange(people), photos), *range(people, people + strangers)]
    return np.concatenate([*faces, who[people:]]), np.array(owners, np.int64)


def same_partition(one: Groups, other: Groups) -> bool:
    """Whether two groupings are the same but for the numbers."""
    return np.array_equal(one[:, None] == one[None], other[:, None] == other[None])


def test_each_person_becomes_a_group_and_strangers_stay_alone() -> None:
    vectors, owners = crowd(people=5, photos=6, strangers=20)
    order = np.random.default_rng(1).permutation(len(vectors))
    groups = group_faces(vectors[order])
    known = owners[order] < 5
    assert same_partition(groups[known], owners[order][known])
    assert (groups[~known] == ALONE).all()
    assert set(groups[known]) == set(range(5))


def test_two_photos_of_one_person_are_a_group() -> None:
    vectors, _ = crowd(people=1, photos=2, strangers=3)
    assert group_faces(vectors).tolist() == [0, 0, ALONE, ALONE, ALONE]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_faces_make_no_group(count: int) -> None:
    assert group_faces(centres(3)[:count]).tolist() == [ALONE] * count


def test_faces_that_one_face_links_are_two_groups() -> None:
    """A chain from one person to another is no person: a face between both is nobody's proof."""
    one, other = centres(2)
    between = ((one + other) / np.sqrt(2)).astype(np.float32)
    vectors = np.concatenate([near(one, 8, seed=1), near(other, 8, seed=2), between[None]])
    groups = group_faces(vectors)
    assert len(set(groups[:8])) == len(set(groups[8:16])) == 1
    assert groups[0] != groups[8]


def test_copies_of_one_photo_do_not_tear_their_person_apart() -> None:
    (centre,) = centres(1)
    faces = near(centre, 10)
    vectors = np.concatenate([faces, np.repeat(faces[:1], 30, axis=0)])
    assert set(group_faces(vectors)) == {0}


def test_a_face_too_far_for_any_one_face_joins_a_group_it_is_near_as_a_whole() -> None:
    (centre,) = centres(1)
    odd = near(centre, 1, similarity=0.6, seed=99)
    vectors = np.concatenate([near(centre, 12), odd])
    assert (vectors[:12] @ odd[0]).max() < 0.65
    assert set(group_faces(vectors, link=0.65)) == {0}


def test_more_faces_of_one_person_than_are_compared_at_once_are_one_group() -> None:
    one, other = centres(2)
    vectors = np.concatenate([near(one, 2050, similarity=0.9), near(other, 5, seed=7)])
    groups = group_faces(vectors)
    assert set(groups[:2050]) == {groups[0]}
    assert set(groups[2050:]) == {groups[2050]} != {groups[0]}


def test_progress_ends_at_the_number_of_faces() -> None:
    told: list[int] = []
    vectors, _ = crowd(people=2, photos=5)
    group_faces(vectors, tell=told.append)
    assert told[-1] == 10


def test_new_faces_join_the_group_they_look_like() -> None:
    vectors, owners = crowd(people=3, photos=6)
    means, _ = group_means(vectors, owners)
    new = np.concatenate([near(centres(3)[2], 1, seed=50), near(centres(3)[0], 1, seed=51)])
    assert extend_groups(means, new).tolist() == [2, 0]


def test_new_people_become_new_groups_behind_the_known_ones() -> None:
    who = centres(5)
    means, _ = group_means(*crowd(people=3, photos=6))
    new = np.concatenate([near(who[3], 3, seed=60), who[4:5], near(who[1], 1, seed=61)])
    assert extend_groups(means, new).tolist() == [3, 3, 3, ALONE, 1]


def test_a_new_group_near_a_known_one_joins_it_as_a_whole() -> None:
    (centre,) = centres(1)
    old = near(centre, 4, similarity=0.8, seed=1)
    new = near(centre, 6, similarity=0.62, seed=2)
    means, _ = group_means(old, np.zeros(4, np.int64))
    assert (new @ means[0]).min() < 0.52 < (new.mean(axis=0) / np.linalg.norm(new.mean(axis=0)) @ means[0])
    assert set(extend_groups(means, new, link=0.3, join=0.45)) == {0}


def test_known_groups_are_never_joined_however_near() -> None:
    (centre,) = centres(1)
    faces = near(centre, 10)
    means, _ = group_means(faces, np.repeat([0, 1], 5))  # one person, in two groups
    new = near(centre, 6, seed=70)
    assert set(extend_groups(means, new)) <= {0, 1}


def test_growing_in_steps_gives_the_groups_of_one_step() -> None:
    vectors, owners = crowd(people=6, photos=9, strangers=10)
    order = np.random.default_rng(3).permutation(len(vectors))
    vectors, owners = vectors[order], owners[order]
    groups = np.full(len(vectors), ALONE, np.int64)
    for seen in (20, 40, len(vectors)):
        before = groups.copy()
        means, _ = group_means(vectors[:seen], groups[:seen])
        open_faces = np.flatnonzero(groups[:seen] == ALONE)
        groups[open_faces] = extend_groups(means, vectors[open_faces])
        assert (groups[before != ALONE] == before[before != ALONE]).all()
    assert pairwise_scores(owners, groups).f1 == 1.0


def test_a_group_of_two_people_splits_into_them() -> None:
    vectors, owners = crowd(people=2, photos=7)
    order = np.random.default_rng(4).permutation(14)
    assert same_partition(split_group(vectors[order]), owners[order])


def test_parts_are_numbered_largest_first() -> None:
    one, two, three = centres(3)
    vectors = np.concatenate([near(one, 3), near(two, 9, seed=1), near(three, 5, seed=2)])
    assert split_group(vectors, 3).tolist() == [2] * 3 + [0] * 9 + [1] * 5


def test_scores_count_pairs() -> None:
    people = np.array([0, 0, 0, 1, 1, 2])
    groups = np.array([0, 0, 1, 1, ALONE, ALONE])
    scores = pairwise_scores(people, groups)  # pairs together: 01, 23; of one person: 01 02 12, 34
    assert (scores.precision, scores.recall) == (0.5, 0.25)
    assert scores.f1 == pytest.approx(2 / 6)


def test_nobody_grouped_is_precise_and_recalls_nothing() -> None:
    scores = pairwise_scores(np.array([0, 0]), np.array([ALONE, ALONE]))
    assert (scores.precision, scores.recall, scores.f1) == (1.0, 0.0, 0.0)
