"""What is stated comes true as often as stated, strangers counted in."""

import numpy as np
import pytest

from core.faces.impostors import ImpostorScores, PublishedScores
from core.faces.match import confidences
from core.training.calibrate import NO_PROBES, Probes, joined
from core.training.confidence import (
    calibration_error,
    fit_confidence,
    make_known,
    make_strangers,
    own_similarity,
    reliability_curve,
)

IMPOSTORS = ImpostorScores(centre=0.0, spread=0.1)
PUBLISHED = PublishedScores(impostors=IMPOSTORS, genuine_mean=0.6, genuine_deviation=0.12, measured_on="nobody")


def every_second(probes: Probes, first: int) -> Probes:
    use = np.arange(len(probes)) % 2 == first
    return Probes(
        similarity=probes.similarity[use], margin=probes.margin[use], right=probes.right[use], people=probes.people
    )


@pytest.mark.parametrize("people", [1, 2, 60, 5_000])
def test_without_a_single_photo_held_out_it_is_calibrated_for_scores_as_published(people: int) -> None:
    known, strangers = make_known(PUBLISHED, IMPOSTORS, people, 1.0, 0.6), make_strangers(IMPOSTORS, people)
    fitted = fit_confidence(
        NO_PROBES, NO_PROBES, every_second(known, 0), every_second(strangers, 0), with_margin=people > 2
    )
    tried = joined([every_second(known, 1), every_second(strangers, 1)])
    stated = confidences(tried.similarity, tried.margin, fitted.coefficients)
    curve = reliability_curve(stated, tried.right, np.ones(len(tried)))
    assert calibration_error(curve) < 0.02
    assert fitted.reliability is None and fitted.expected_calibration_error is None


def test_a_single_person_has_no_lead_that_counts() -> None:
    made = make_known(PUBLISHED, IMPOSTORS, 1, 1.0, 0.6), make_strangers(IMPOSTORS, 1)
    assert fit_confidence(NO_PROBES, NO_PROBES, *made, with_margin=False).coefficients[2] == 0.0


def test_photos_that_were_held_out_say_how_reliable_it_is() -> None:
    known, strangers = make_known(PUBLISHED, IMPOSTORS, 20, 1.0, 0.6), make_strangers(IMPOSTORS, 20)
    fitted = fit_confidence(every_second(known, 0), every_second(strangers, 0), known, strangers)
    assert fitted.reliability is not None and fitted.expected_calibration_error is not None
    assert fitted.expected_calibration_error < 0.02
    assert sum(each.share for each in fitted.reliability) == pytest.approx(1.0)
    stated = [each.stated for each in fitted.reliability]
    assert stated == sorted(stated)
    assert fitted.to_json()["stranger_share"] == 0.5
    assert len(fitted.to_json()["reliability"]) == len(fitted.reliability)


def test_half_of_the_faces_are_strangers_however_many_photos_of_either_there_are() -> None:
    known, strangers = make_known(PUBLISHED, IMPOSTORS, 20, 1.0, 0.6), make_strangers(IMPOSTORS, 20)
    few, many = (fit_confidence(known, joined([strangers] * times), known, strangers).coefficients for times in (1, 10))
    assert few == pytest.approx(many, rel=0.05)


def test_made_strangers_are_named_as_often_as_their_scores_say() -> None:
    made = make_strangers(IMPOSTORS, 60)
    assert (made.similarity >= IMPOSTORS.threshold(0.1, 60)).mean() == pytest.approx(0.1, abs=0.02)
    assert (made.margin >= 0.0).all() and not made.right.any()


def test_more_photos_a_person_make_the_known_more_similar() -> None:
    one, five = (make_known(PUBLISHED, IMPOSTORS, 60, photos, 0.6) for photos in (1.0, 5.0))
    assert five.similarity.mean() > one.similarity.mean() + 0.1
    assert five.right.mean() >= one.right.mean() > 0.97


def test_photos_of_one_person_tell_how_similar_those_are() -> None:
    generator = np.random.default_rng(0)
    centres = np.repeat(generator.normal(size=(500, 64)), 3, axis=0)
    photos = centres + generator.normal(size=centres.shape) * 0.5
    vectors = (photos / np.linalg.norm(photos, axis=1, keepdims=True)).astype(np.float32)
    labels = np.repeat(np.arange(500), 3)
    pairs = (vectors[0::3] * vectors[1::3]).sum(axis=1).mean()
    assert own_similarity(vectors, labels, PUBLISHED) == pytest.approx(pairs, abs=0.02)
    assert own_similarity(vectors[0::3], np.arange(500), PUBLISHED) == pytest.approx(0.6)


def test_a_curve_tells_stated_from_true() -> None:
    stated, right = np.repeat([0.1, 0.9], 50), np.repeat([False, True], 50)
    curve = reliability_curve(stated, right, np.ones(100))
    assert calibration_error(curve) == pytest.approx(0.1)
    assert [each.right for each in curve] == [0.0] * 5 + [1.0] * 5
