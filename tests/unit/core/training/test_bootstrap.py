"""Intervals hold what statistics says they hold."""

from collections.abc import Sequence

import numpy as np
import pytest

from core.training.bootstrap import Weights, interval, ratio, resample, spread


def shares(hits: Sequence[float], of: Sequence[float], *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sums of people with so many hits out of so many photos, as they are and in resamples."""
    columns = np.stack([np.array(hits, float), np.array(of, float)], axis=1)

    def statistic(known: Weights, strangers: Weights) -> dict[str, np.ndarray]:
        return {"sums": known @ columns}

    sums = resample(statistic, len(hits), 0, int(sum(of)), seed=seed)["sums"]
    return sums[:, 0], sums[:, 1]


def test_the_first_row_is_the_sample_itself() -> None:
    hits, of = shares([1, 0, 2], [1, 1, 3])

    assert (hits[0], of[0]) == (3, 5)
    assert len(hits) == 1001


def test_one_photo_a_person_gives_the_binomial_interval() -> None:
    """400 of 500: the normal interval is 0.8 -+ 1.96 * sqrt(0.8 * 0.2 / 500)."""
    hits, of = shares([1] * 400 + [0] * 100, [1] * 500)

    low, high = interval(hits, of, 500) or (0, 0)

    assert low == pytest.approx(0.8 - 0.03506, abs=0.004)
    assert high == pytest.approx(0.8 + 0.03506, abs=0.004)


def test_nineteen_of_twenty_intervals_hold_the_true_share() -> None:
    generator = np.random.default_rng(5)
    held = 0
    for seed in range(200):
        hits, of = shares(list((generator.random(150) < 0.7).astype(float)), [1] * 150, seed=seed)
        low, high = interval(hits, of, 150) or (0, 0)
        held += low <= 0.7 <= high

    assert 180 <= held <= 198, "190 are expected, with a deviation of 3"


def test_photos_of_one_person_count_as_one_draw() -> None:
    """50 people who are all right or all wrong in 20 photos each: as wide as 50 photos, not as 1,000."""
    hits, of = shares([20] * 40 + [0] * 10, [20] * 50)

    low, high = interval(hits, of, 50) or (0, 0)

    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 50), abs=0.03)


def test_where_all_agree_the_interval_is_the_exact_one() -> None:
    """Of 100 photos without an error, 0.025 ** (1 / 100) is the least share that gives them once in forty times."""
    hits, of = shares([1] * 100, [1] * 100)

    assert interval(hits, of, 100) == pytest.approx((0.96378, 1.0), abs=1e-5)
    assert interval(of - hits, of, 100) == pytest.approx((0.0, 0.03622), abs=1e-5)


def test_where_all_agree_but_resamples_do_not_the_interval_holds_what_they_say() -> None:
    """A threshold that other strangers set may refuse what these let pass."""
    hits = np.concatenate([[10.0], np.linspace(5.0, 10.0, 1000)])

    low, high = interval(hits, np.full(1001, 10.0), 10) or (0, 0)

    assert low == pytest.approx(0.5125, abs=1e-3)
    assert high == 1.0


def test_four_people_are_too_few_for_an_interval() -> None:
    hits, of = shares([1, 0, 1, 1], [1] * 4)

    assert interval(hits, of, 4) is None
    assert spread(ratio(hits, of), 4) is None


def test_a_figure_that_most_resamples_lack_has_no_interval() -> None:
    assert spread(np.array([0.5] + [np.nan] * 500 + [0.5] * 500), 100) is None


def test_the_same_seed_gives_the_same_resamples_and_another_one_others() -> None:
    (first, _), (again, _), (other, _) = (shares([1, 0] * 20, [1] * 40, seed=seed) for seed in (1, 1, 2))

    assert (first == again).all()
    assert (first != other).any()


def test_known_people_and_strangers_are_drawn_apart() -> None:
    def statistic(known: Weights, strangers: Weights) -> dict[str, np.ndarray]:
        return {"known": known, "strangers": strangers}

    drawn = resample(statistic, 30, 30, 60)

    assert (drawn["known"].sum(axis=1) == 30).all()
    assert (drawn["strangers"].sum(axis=1) == 30).all()
    assert (drawn["known"] != drawn["strangers"]).any(axis=1)[1:].all()


def test_blocks_of_resamples_give_what_one_block_gives() -> None:
    """Millions of photos are resampled few at a time."""

    def statistic(known: Weights, strangers: Weights) -> dict[str, np.ndarray]:
        return {"known": known}

    together, apart = (resample(statistic, 20, 0, photos)["known"] for photos in (20, 10_000_000))

    assert (together == apart).all()
