"""The reject rule keeps its promise on strangers drawn anew, and says how it was chosen."""

import numpy as np
import pytest

from core.faces.rule import OTHER_FPIRS, OperatingPoint
from core.training.calibrate import (
    NO_PROBES,
    Probes,
    Trial,
    calibrate,
    in_order,
    joined,
    made_up_rule,
    named,
    score_probes,
    stranger_rule,
    student_quantile,
    upper_bound,
)

NONE = np.empty(0)


def _probes(similarity: np.ndarray, margin: float | np.ndarray, right: bool, people: int) -> Probes:
    return Probes(
        similarity=similarity.astype(np.float32),
        margin=np.broadcast_to(np.asarray(margin, np.float32), similarity.shape),
        right=np.full(len(similarity), right),
        people=people,
    )


def _drawn(seed: int, count: int, mean: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.1, count)


def _trial(known: Probes, strangers: Probes) -> Trial:
    return Trial(known=known, strangers=strangers, made_up=NO_PROBES)


@pytest.mark.parametrize(("count", "most"), [(10, 0.03), (60, 0.02), (2000, 0.012)])
def test_new_strangers_reach_the_bound_about_as_rarely_as_stated(count: int, most: float) -> None:
    realised = []
    for seed in range(40):
        bound, _ = upper_bound(_drawn(seed, count, 0.3), NONE, count, 0.01)
        realised.append((_drawn(1000 + seed, 20_000, 0.3) >= bound).mean())
    assert 0.002 <= np.mean(realised) <= most


def test_a_single_stranger_still_gives_a_bound_above_it_and_is_called_too_few() -> None:
    bound, how = upper_bound(np.array([0.4]), NONE, 1, 0.01)
    assert bound > 0.6
    assert "rough" in how


def test_the_stranger_who_sets_the_bound_does_not_reach_it() -> None:
    scores = _drawn(0, 100, 0.3)
    bound, how = upper_bound(scores, NONE, 100, 0.01)
    assert not (scores.astype(np.float32) >= np.float32(bound)).any()
    assert how == "99% quantile of 100 photos of 100 people left out of rehearsals"


def test_a_few_look_alikes_do_not_drive_the_bound_beyond_what_nearly_all_strangers_stay_below() -> None:
    strangers = np.concatenate([_drawn(0, 156, 0.3), np.full(4, 0.95)])
    known = _drawn(1, 40, 0.55)
    free, _ = upper_bound(strangers, NONE, 16, 0.01)
    bound, how = upper_bound(strangers, known, 16, 0.01)
    assert bound < free
    assert bound == pytest.approx(np.quantile(strangers, 0.97))
    assert (known >= bound).mean() < 0.9
    assert "lowered" in how


def test_the_bound_is_lowered_no_further_than_to_name_nine_in_ten_of_the_known() -> None:
    strangers = np.concatenate([_drawn(0, 156, 0.3), np.full(4, 0.95)])
    known = _drawn(1, 40, 0.68)
    bound, how = upper_bound(strangers, known, 16, 0.01)
    assert np.quantile(strangers, 0.97) < bound < upper_bound(strangers, NONE, 16, 0.01)[0]
    assert (known >= bound).mean() == pytest.approx(0.9)
    assert "lowered" in how


def test_a_bound_that_most_of_the_known_reach_is_left_where_it_is() -> None:
    strangers = _drawn(0, 160, 0.3)
    free, how = upper_bound(strangers, NONE, 16, 0.01)
    assert upper_bound(strangers, _drawn(1, 40, 0.9), 16, 0.01) == (free, how)
    assert "lowered" not in how


def test_people_count_not_their_photos() -> None:
    """New people pass what few people set more often than their many photos make believe."""
    rng = np.random.default_rng(0)

    def scores(people: int) -> np.ndarray:
        return (rng.normal(0.3, 0.07, (people, 1)) + rng.normal(0.0, 0.07, (people, 10))).ravel()

    realised = [(scores(2000) >= upper_bound(scores(8), NONE, 8, 0.01)[0]).mean() for _ in range(40)]
    assert np.mean(realised) <= 0.02


def test_strangers_pass_threshold_and_margin_together_about_as_rarely_as_stated() -> None:
    rng = np.random.default_rng(0)

    def strangers(people: int) -> Probes:
        similarity = rng.normal(0.45, 0.08, people)
        return _probes(similarity, np.clip(similarity - 0.3 + rng.normal(0.0, 0.06, people), 0.0, None), False, people)

    realised = []
    for _ in range(40):
        threshold, margin, _ = stranger_rule(strangers(20), NO_PROBES, 0.01)
        fresh = strangers(20_000)
        realised.append(((fresh.similarity >= threshold) & (fresh.margin >= margin)).mean())
    assert 0.001 <= np.mean(realised) <= 0.02


def test_the_rule_moves_with_how_near_made_up_people_come_to_either_network() -> None:
    strangers = _probes(_drawn(0, 60, 0.4), 0.1, False, 20)
    nearer, farther = (_probes(_drawn(1, 500, mean), 0.5, False, 100) for mean in (0.4, 0.35))
    still, _, _ = made_up_rule(strangers, NO_PROBES, nearer, nearer, 0.01)
    moved, _, _ = made_up_rule(strangers, NO_PROBES, nearer, farther, 0.01)
    assert still - moved == pytest.approx(0.05, abs=1e-6)


def test_made_up_people_say_where_strangers_lie_as_long_as_few_of_those_are_known() -> None:
    made_up = _probes(_drawn(1, 4000, 0.3), 0.5, False, 400)
    quantile = float(np.quantile(made_up.similarity, 0.99))
    few, many = (_probes(_drawn(2, count, 0.36), 0.1, False, count) for count in (10, 360))
    for strangers, share in ((few, 1 / 7), (many, 6 / 7)):
        threshold, _, how = made_up_rule(strangers, NO_PROBES, made_up, made_up, 0.01)
        bound, _ = upper_bound(strangers.similarity.astype(np.float64), NONE, strangers.people, 0.01)
        assert threshold == pytest.approx(quantile + share * (bound - quantile), abs=1e-5)
        assert how.startswith(f"99% quantile of made-up people, moved by {threshold - quantile:+.3f} for the 99% ")


def test_a_lead_as_strangers_have_it_is_none() -> None:
    strangers = _probes(_drawn(0, 60, 0.4), np.linspace(0.0, 0.2, 60), False, 20)
    made_up = _probes(_drawn(1, 500, 0.4), 0.5, False, 100)
    assert made_up_rule(strangers, NO_PROBES, made_up, made_up, 0.01)[1] == pytest.approx(0.1)


def test_the_rule_never_moves_down_among_the_strangers_themselves() -> None:
    """A weak network scores all strangers alike; what it makes of made-up people would let many of them through."""
    strangers = _probes(_drawn(0, 200, 0.4), 0.2, False, 20)
    nearer, farther = (_probes(_drawn(1, 500, mean), 0.9, False, 100) for mean in (0.9, 0.3))
    threshold, _, _ = made_up_rule(strangers, NO_PROBES, nearer, farther, 0.01)
    assert (strangers.similarity >= threshold).mean() == pytest.approx(0.05)


def test_the_rule_of_a_network_from_scratch_is_chosen_by_made_up_people() -> None:
    strangers, known = _probes(_drawn(0, 60, 0.4), 0.1, False, 20), _probes(_drawn(3, 40, 0.9), 0.5, True, 10)
    made_up = _probes(_drawn(1, 500, 0.4), 0.5, False, 100)
    rule = calibrate([Trial(known=known, strangers=strangers, made_up=made_up)], known, made_up).rule
    assert (rule.threshold, rule.margin, rule.basis) == made_up_rule(strangers, known, made_up, made_up, 0.01)
    assert rule.other_points[0].threshold > rule.threshold > rule.other_points[-1].threshold


def test_probes_of_two_rehearsals_count_together() -> None:
    both = joined([_probes(_drawn(0, 10, 0.3), 0.1, False, 4), _probes(_drawn(1, 6, 0.3), 0.2, False, 3)])
    assert (len(both), both.people) == (16, 7)
    assert joined([]) is NO_PROBES


def test_without_strangers_only_faces_like_the_training_photos_are_named_and_the_rule_says_so() -> None:
    leads = np.linspace(0.2, 0.6, 200)
    rule = calibrate([], _probes(_drawn(0, 200, 0.8), leads, True, 2), NO_PROBES).rule
    assert 0.6 < rule.threshold < 0.8
    assert 0.05 < rule.margin < leads.min()
    assert "no stranger has tested" in rule.basis


@pytest.mark.parametrize(("p", "degrees", "expected"), [(0.99, 5, 3.365), (0.99, 24, 2.492), (0.95, 10, 1.812)])
def test_student_quantiles_agree_with_the_tables(p: float, degrees: int, expected: float) -> None:
    assert student_quantile(p, degrees) == pytest.approx(expected, rel=0.02)


def test_training_photos_that_are_all_wrong_ask_for_no_margin() -> None:
    enrolled = _probes(_drawn(0, 20, 0.5), 0.5, False, 2)
    assert calibrate([], enrolled, NO_PROBES).rule.margin == 0.0


def test_confidence_is_high_for_the_known_and_low_for_strangers() -> None:
    known, strangers = _probes(_drawn(0, 60, 0.8), 0.4, True, 30), _probes(_drawn(1, 60, 0.3), 0.1, False, 10)
    result = calibrate([_trial(known, strangers)], known, NO_PROBES)
    intercept, w_similarity, w_margin = result.rule.calibration
    assert w_similarity >= 0.0
    assert w_margin >= 0.0
    assert intercept + 0.8 * w_similarity + 0.4 * w_margin > 2.0
    assert intercept + 0.3 * w_similarity + 0.1 * w_margin < -2.0
    assert result.expected_calibration_error is not None
    assert result.expected_calibration_error < 0.1


def test_too_few_labels_give_a_plain_calibration_and_no_claim_about_it() -> None:
    known, strangers = _probes(_drawn(0, 2, 0.8), 0.4, True, 2), _probes(_drawn(1, 50, 0.3), 0.1, False, 10)
    result = calibrate([_trial(known, strangers)], known, NO_PROBES)
    intercept, w_similarity, _ = result.rule.calibration
    assert result.expected_calibration_error is None
    assert intercept + w_similarity * result.rule.threshold == pytest.approx(0.0)


def test_scores_that_mislead_never_lower_confidence_with_similarity() -> None:
    known, strangers = _probes(_drawn(0, 60, 0.3), 0.4, True, 30), _probes(_drawn(1, 60, 0.8), 0.1, False, 10)
    _, w_similarity, w_margin = calibrate([_trial(known, strangers)], known, NO_PROBES).rule.calibration
    assert w_similarity == 0.0
    assert w_margin > 0.0


def test_the_rule_names_whom_it_was_told_to() -> None:
    strangers = _probes(_drawn(1, 50, 0.3), 0.1, False, 10)
    known = _probes(_drawn(0, 30, 0.9), 0.5, True, 30)
    rule = calibrate([_trial(known, strangers)], known, NO_PROBES).rule
    assert named(known, rule).mean() > 0.9
    assert named(strangers, rule).mean() <= 0.02


def test_probes_are_right_only_where_the_candidate_is_the_truth() -> None:
    gallery = np.eye(3, dtype=np.float32)
    probes = score_probes(gallery, gallery, gallery, np.array([0, 2, 7]))
    assert probes.right.tolist() == [True, False, False]
    assert probes.people == 3
    assert probes.margin.tolist() == [1.0, 1.0, 1.0]


def test_other_shares_of_strangers_have_thresholds_too_the_fewer_the_higher() -> None:
    strangers = _probes(_drawn(1, 300, 0.3), _drawn(2, 300, 0.2), False, 300)
    known = _probes(_drawn(0, 60, 0.9), 0.7, True, 30)
    rule = calibrate([_trial(known, strangers)], known, NO_PROBES).rule
    assert [point.fpir for point in rule.other_points] == list(OTHER_FPIRS)
    thresholds = [point.threshold for point in rule.other_points]
    assert thresholds == sorted(thresholds, reverse=True)
    for fpir in (0.003, 0.02, 0.1):
        assert named(strangers, rule.at_fpir(fpir)).mean() == pytest.approx(fpir, abs=0.01)


def test_a_guess_tells_no_other_share_of_strangers() -> None:
    assert calibrate([], _probes(_drawn(0, 20, 0.8), 0.4, True, 2), NO_PROBES).rule.other_points == ()


def test_of_two_points_in_the_wrong_order_the_stricter_holds() -> None:
    points = [OperatingPoint(fpir=at, threshold=threshold, margin=0.1) for at, threshold in ((0.001, 0.4), (0.01, 0.5))]
    assert [point.threshold for point in in_order(points)] == [0.5, 0.5]
