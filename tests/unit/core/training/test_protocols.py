"""Pairs, thresholds and rates on made-up scores, whose figures can be counted by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.training.protocols import (
    Pairs,
    accuracy_at,
    best_threshold,
    draw_pairs,
    threshold_at_fpir,
    tpir_at,
    verify_pairs,
)

OWNERS = np.array([3, 1, 1, 2, 3, 3, 2, 1, 4], np.int64)


def drawn(owners: NDArray[np.int64] = OWNERS, seed: int = 0) -> Pairs:
    return draw_pairs(owners, np.random.default_rng(seed))


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def kinds(*values: int) -> NDArray[np.bool_]:
    return np.array(values, bool)


def test_every_pair_of_one_person_is_there_once_and_as_many_of_two() -> None:
    pairs = drawn()

    assert (OWNERS[pairs.first] == OWNERS[pairs.second]).tolist() == pairs.same.tolist()
    assert pairs.same.sum() == 3 + 1 + 3
    assert (~pairs.same).sum() == 7
    assert len({frozenset(pair) for pair in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}) == 14


def test_every_pair_of_two_people_can_be_drawn() -> None:
    seen = set()
    for seed in range(200):
        pairs = drawn(seed=seed)
        across = zip(pairs.first[~pairs.same].tolist(), pairs.second[~pairs.same].tolist(), strict=True)
        seen |= {frozenset(pair) for pair in across}

    assert len(seen) == 9 * 8 // 2 - 7


def test_where_there_are_fewer_pairs_of_two_people_all_are_taken() -> None:
    pairs = drawn(np.array([1, 1, 1, 1, 2], np.int64))

    assert (pairs.same.sum(), (~pairs.same).sum()) == (6, 4)


def test_the_same_seed_draws_the_same_pairs() -> None:
    again, other = drawn(seed=5), drawn(seed=6)

    assert drawn(seed=5).first.tolist() == again.first.tolist()
    assert again.first.tolist() != other.first.tolist()


def test_the_best_threshold_lies_between_the_scores_that_it_parts() -> None:
    threshold, accuracy = best_threshold(floats(0.1, 0.2, 0.6, 0.3, 0.9), kinds(0, 0, 1, 1, 1))

    assert threshold == pytest.approx(0.25)
    assert accuracy == 1.0


def test_scores_that_overlap_cost_accuracy() -> None:
    scores, same = floats(0.1, 0.5, 0.2, 0.4, 0.8, 0.9), kinds(0, 0, 1, 1, 1, 1)
    threshold, accuracy = best_threshold(scores, same)

    assert accuracy == pytest.approx((0.5 + 1.0) / 2), "one of two is accepted wrongly, or two of four refused wrongly"
    assert accuracy == accuracy_at(threshold, scores, same)


def test_equal_scores_are_not_parted() -> None:
    threshold, accuracy = best_threshold(floats(0.5, 0.5), kinds(0, 1))

    assert accuracy == 0.5
    assert accuracy == accuracy_at(threshold, floats(0.5, 0.5), kinds(0, 1))


def test_scores_that_tell_people_apart_verify_every_pair() -> None:
    owners = np.repeat(np.arange(30), 4)
    pairs = drawn(owners)
    scores = np.where(pairs.same, np.float32(0.7), np.float32(0.1)).astype(np.float32)

    figures = verify_pairs(scores, pairs, owners, np.random.default_rng(0))

    assert (figures.pairs_within, figures.pairs_across, figures.folds) == (180, 180, 10)
    assert figures.best_accuracy == figures.fold_accuracy == 1.0
    assert figures.best_threshold == pytest.approx(0.4)
    assert figures.fold_error == 0.0


def test_a_folds_threshold_is_chosen_without_its_people() -> None:
    """One person's pairs alone score low: a threshold that had seen them would let them pass."""
    owners = np.repeat(np.arange(4), 5)
    pairs = drawn(owners)
    scores = np.where(pairs.same, np.where(owners[pairs.first] == 0, 0.5, 0.9), 0.1).astype(np.float32)

    figures = verify_pairs(scores, pairs, owners, np.random.default_rng(0))

    assert figures.folds == 2
    assert figures.best_accuracy == 1.0
    assert figures.fold_accuracy == 1.0, "0.5 lies beyond half-way between 0.1 and 0.9"
    lower = np.where(scores == np.float32(0.5), np.float32(0.3), scores)
    worse = verify_pairs(lower, pairs, owners, np.random.default_rng(0))
    assert worse.best_accuracy == 1.0
    assert worse.fold_accuracy is not None
    assert worse.fold_accuracy < 1.0


def test_chance_is_half() -> None:
    owners = np.repeat(np.arange(40), 8)
    pairs = drawn(owners)
    scores = np.random.default_rng(1).random(len(pairs.same), np.float32)

    figures = verify_pairs(scores, pairs, owners, np.random.default_rng(0))

    assert figures.fold_accuracy == pytest.approx(0.5, abs=0.05)
    assert figures.best_accuracy >= 0.5


def test_with_too_few_people_for_folds_there_is_none() -> None:
    owners = np.array([1, 1, 2, 2], np.int64)
    pairs = drawn(owners)
    figures = verify_pairs(pairs.same.astype(np.float32), pairs, owners, np.random.default_rng(0))

    assert (figures.folds, figures.fold_accuracy, figures.fold_error) == (0, None, None)
    assert figures.best_accuracy == 1.0


@pytest.mark.parametrize(("fpir", "named"), [(0.0, 0), (0.003, 3), (0.01, 10), (0.0109, 10), (0.5, 500)])
def test_no_more_strangers_pass_than_may(fpir: float, named: int) -> None:
    scores = np.random.default_rng(0).permutation(np.linspace(-1, 1, 1000)).astype(np.float32)

    assert (scores >= threshold_at_fpir(scores, fpir)).sum() == named


def test_strangers_with_one_score_pass_together_or_not_at_all() -> None:
    scores = floats(0.2, 0.5, 0.5, 0.5)

    assert (scores >= threshold_at_fpir(scores, 0.25)).sum() == 0


def test_a_photo_counts_when_the_nearest_is_right_and_similar_enough() -> None:
    assert tpir_at(0.5, floats(0.5, 0.9, 0.4, 0.8), kinds(1, 1, 1, 0)) == 0.5
