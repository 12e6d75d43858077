"""Impostor scores say what threshold a gallery of any size needs."""

import numpy as np
import pytest

from core.faces.impostors import ImpostorScores, PublishedScores

SCORES = ImpostorScores(centre=0.005, spread=0.0915)


@pytest.mark.parametrize("share", [0.2, 0.01, 0.0003])
@pytest.mark.parametrize("people", [1, 2, 60, 10_000])
def test_a_threshold_lets_the_stated_share_of_strangers_pass(share: float, people: int) -> None:
    assert SCORES.share_above(SCORES.threshold(share, people), people) == pytest.approx(share, rel=1e-9)


def test_the_tail_begins_where_the_upper_twentieth_does() -> None:
    start = SCORES.centre + SCORES.tail_start * SCORES.spread
    assert SCORES.threshold(0.05, 1) == pytest.approx(start)
    assert SCORES.share_above(start, 1) == pytest.approx(0.05)
    assert SCORES.share_above(start + 1e-9, 1) == pytest.approx(0.05, rel=1e-6)


def test_more_people_need_a_higher_threshold_and_none_needs_one_above_1() -> None:
    thresholds = [SCORES.threshold(0.01, people) for people in (1, 10, 100, 1_000, 100_000)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] > 0.2 and thresholds[-1] < 0.75


def test_the_best_of_many_is_what_drawing_many_gives() -> None:
    normal = ImpostorScores(centre=0.0, spread=0.1, tail_start=1.6449, tail_scale=0.43, tail_shape=-0.08)
    best = np.random.default_rng(0).normal(scale=0.1, size=(20_000, 30)).max(axis=1)
    assert normal.threshold(0.01, 30) == pytest.approx(np.quantile(best, 0.99), abs=0.01)


def test_nothing_is_above_the_end_of_the_tail() -> None:
    assert SCORES.share_above(2.0, 1000) == 0.0
    assert SCORES.share_above(-1.0, 3) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "wrong", [{"spread": 0.0}, {"centre": float("nan")}, {"tail_shape": 0.1}, {"tail_scale": -1.0}]
)
def test_numbers_that_describe_no_distribution_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="impostor scores"):
        ImpostorScores(**{"centre": 0.0, "spread": 0.1, **wrong})


def test_a_photo_is_nearer_to_the_mean_of_more_photos() -> None:
    published = PublishedScores(impostors=SCORES, genuine_mean=0.5, genuine_deviation=0.1, measured_on="x")
    means = [published.genuine_to_mean_of(photos) for photos in (1, 2, 10)]
    assert means[0] == pytest.approx(0.5)
    assert means == sorted(means)
    centre = np.random.default_rng(0).normal(size=64)
    photos = centre + np.random.default_rng(1).normal(size=(3000, 64))  # as far from the centre as that is from 0
    unit = photos / np.linalg.norm(photos, axis=1, keepdims=True)
    pairs = float((unit[:1000] * unit[1000:2000]).sum(axis=1).mean())
    seen = PublishedScores(impostors=SCORES, genuine_mean=pairs, genuine_deviation=0.1, measured_on="x")
    mean_of_two = unit[:1000] + unit[1000:2000]
    to_mean = (mean_of_two / np.linalg.norm(mean_of_two, axis=1, keepdims=True) * unit[2000:]).sum(axis=1).mean()
    assert seen.genuine_to_mean_of(2) == pytest.approx(to_mean, abs=0.01)


def test_a_genuine_similarity_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="genuine"):
        PublishedScores(impostors=SCORES, genuine_mean=1.5, genuine_deviation=0.1, measured_on="x")
