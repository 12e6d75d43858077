"""The threshold is where published scores, people left out and labelled strangers together say."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.faces.impostors import ImpostorScores, PublishedScores
from core.faces.rule import OTHER_FPIRS
from core.training.calibrate import NO_PROBES, Probes
from core.training.operating import Evidence, LeftOut, choose_operating_point, expected_fpir, fit_impostors, margin_for

IMPOSTORS = ImpostorScores(centre=0.0, spread=0.1)
PUBLISHED = PublishedScores(impostors=IMPOSTORS, genuine_mean=0.7, genuine_deviation=0.1, measured_on="nobody")
NOBODY = Evidence(left_out=(), strangers=NO_PROBES, gallery_size=1)


def draw_scores(people: int, gallery: int, seed: int, centre: float = 0.0, spread: float = 0.1) -> NDArray[np.float32]:
    """Similarities [people, gallery] of people to others, distributed as impostor scores are."""
    shares = np.concatenate([np.geomspace(1e-9, 0.05, 2000), np.linspace(0.05, 1.0 - 1e-6, 2000)[1:]])
    scores = [ImpostorScores(centre=centre, spread=spread).threshold(share, 1) for share in shares]
    drawn = np.random.default_rng(seed).uniform(size=(people, gallery))
    return np.asarray(np.interp(drawn, shares, scores), np.float32)


def left_out(people: int, gallery: int, seed: int = 0, photos: int = 1, **scores: float) -> LeftOut:
    drawn = np.repeat(draw_scores(people, gallery, seed, **scores), photos, axis=0)
    return LeftOut(
        best=drawn.max(axis=1),
        people_of=np.repeat(np.arange(people), photos),
        gallery_size=gallery,
        scores=drawn.reshape(-1),
    )


def strangers(similarities: NDArray[np.float32]) -> Probes:
    count = len(similarities)
    return Probes(similarity=similarities, margin=similarities, right=np.zeros(count, bool), people=count)


def realised(threshold: float, gallery: int, **scores: float) -> float:
    """The share of endlessly many strangers that pass."""
    return ImpostorScores(**{"centre": 0.0, "spread": 0.1, **scores}).share_above(threshold, gallery)


def test_without_labels_it_is_the_published_operating_point_and_says_so() -> None:
    point = choose_operating_point(NOBODY, PUBLISHED, "yew", 0.01)
    assert point.threshold == pytest.approx(IMPOSTORS.threshold(0.01, 1), abs=1e-9)
    assert "the published operating point of yew, because there are too few labels to tell" in point.basis
    assert point.impostors == IMPOSTORS


@pytest.mark.parametrize("fpir", [0.003, 0.01, 0.05])
@pytest.mark.parametrize("people", [10, 60, 300])
def test_people_as_published_get_names_at_about_the_stated_rate(people: int, fpir: float) -> None:
    shares = []
    for seed in range(5):
        folds = tuple(left_out(people // 5, people * 4 // 5, seed * 5 + fold) for fold in range(5))
        evidence = Evidence(left_out=folds, strangers=NO_PROBES, gallery_size=people)
        point = choose_operating_point(evidence, PUBLISHED, "yew", fpir)
        shares.append(realised(point.threshold, people))
    assert 0.3 * fpir < min(shares) and max(shares) < 2.0 * fpir


def test_many_people_unlike_the_published_ones_are_believed() -> None:
    other = {"centre": 0.1, "spread": 0.13}
    evidence = Evidence(left_out=(left_out(300, 300, **other),), strangers=NO_PROBES, gallery_size=300)
    point = choose_operating_point(evidence, PUBLISHED, "yew", 0.01)
    assert point.impostors.centre == pytest.approx(0.1, abs=0.005)
    assert point.impostors.spread == pytest.approx(0.13, rel=0.03)
    assert 0.004 < realised(point.threshold, 300, **other) < 0.02
    assert "300 photos of 300 people left out of rehearsals" in point.basis


def test_two_people_hardly_move_what_was_published() -> None:
    few = Evidence(left_out=(left_out(2, 1, centre=0.4),), strangers=NO_PROBES, gallery_size=2)
    assert fit_impostors(few, IMPOSTORS).centre < 0.02
    assert "hardly change" in choose_operating_point(few, PUBLISHED, "yew", 0.01).basis


def test_a_person_with_many_photos_counts_once() -> None:
    one, many = (Evidence(left_out=(left_out(20, 20, photos=n),), strangers=NO_PROBES, gallery_size=20) for n in (1, 9))
    for threshold in (0.2, 0.3):
        assert expected_fpir(threshold, one, IMPOSTORS, 0.01) == pytest.approx(
            expected_fpir(threshold, many, IMPOSTORS, 0.01)
        )


def test_a_larger_gallery_than_the_rehearsals_needs_a_higher_threshold() -> None:
    seen = (left_out(300, 30),)
    same, double = (
        choose_operating_point(Evidence(left_out=seen, strangers=NO_PROBES, gallery_size=size), PUBLISHED, "yew", 0.01)
        for size in (30, 60)
    )
    assert same.threshold < double.threshold
    assert 0.005 < realised(double.threshold, 60) < 0.02


def test_labelled_strangers_who_look_alike_raise_the_threshold() -> None:
    calm, alike = (
        choose_operating_point(
            Evidence(left_out=(), strangers=strangers(np.full(300, similarity, np.float32)), gallery_size=10),
            PUBLISHED,
            "yew",
            0.01,
        )
        for similarity in (0.1, 0.6)
    )
    assert calm.threshold < IMPOSTORS.threshold(0.01, 10)
    assert alike.threshold > 0.6
    assert "300 photos of labelled strangers" in alike.basis


def test_the_margin_is_where_the_runner_up_is_a_ninth_as_likely() -> None:
    threshold = 0.4
    margin = margin_for(threshold, IMPOSTORS)
    runner_up = threshold - margin
    densities = np.exp(-0.5 * (np.array([runner_up, threshold]) / 0.1) ** 2)
    assert densities[0] / densities[1] == pytest.approx(9.0, rel=0.3)
    assert margin_for(0.8, IMPOSTORS) < margin


def test_other_shares_of_strangers_have_thresholds_too_the_fewer_the_higher() -> None:
    folds = tuple(left_out(12, 48, fold) for fold in range(5))
    evidence = Evidence(left_out=folds, strangers=NO_PROBES, gallery_size=60)
    points = choose_operating_point(evidence, PUBLISHED, "yew", 0.01).other_points
    assert [point.fpir for point in points] == list(OTHER_FPIRS)
    thresholds = [point.threshold for point in points]
    assert thresholds == sorted(thresholds, reverse=True)
    for point in points:
        alone = choose_operating_point(evidence, PUBLISHED, "yew", point.fpir)
        assert point.threshold == pytest.approx(alone.threshold, abs=0.02)
        assert 0.2 * point.fpir < realised(point.threshold, 60) < 2.5 * point.fpir
