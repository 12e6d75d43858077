"""A stranger gets no name; neither does an answer that is not a number."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.faces.match import candidates, confidences, decide, similarities_to
from core.faces.rule import RejectRule
from core.records import FaceOutcome

_GALLERY = np.eye(3, 4, dtype=np.float32)  # three people; the fourth axis is nobody's


def _rule(threshold: float = 0.7, margin: float = 0.1) -> RejectRule:
    return RejectRule(threshold=threshold, margin=margin, fpir_target=0.01, basis="test", calibration=(-5.0, 8.0, 4.0))


def _unit(*values: float) -> NDArray[np.float32]:
    row = np.array(values, dtype=np.float32)
    return row / np.linalg.norm(row)


def _decide(*rows: NDArray[np.float32], rule: RejectRule | None = None) -> list[FaceOutcome]:
    embeddings = np.stack(rows)
    return [match.outcome for match in decide(embeddings, 10 * embeddings @ _GALLERY.T, _GALLERY, rule or _rule())]


def test_a_known_face_gets_its_name() -> None:
    embeddings = np.stack([_unit(0.1, 1, 0, 0)])
    match = decide(embeddings, embeddings @ _GALLERY.T, _GALLERY, _rule())[0]
    assert match.outcome is FaceOutcome.IDENTIFIED
    assert match.candidate == 1
    assert match.similarity == pytest.approx(0.995, abs=1e-3)
    assert match.runner_up == pytest.approx(0.0995, abs=1e-3)


def test_a_stranger_gets_no_name_although_the_classifier_is_certain() -> None:
    stranger = np.stack([_unit(0.3, 0, 0, 1)])
    logits = np.array([[100.0, 0.0, 0.0]], dtype=np.float32)  # a softmax of 1.0
    match = decide(stranger, logits, _GALLERY, _rule())[0]
    assert match.outcome is FaceOutcome.UNKNOWN
    assert match.candidate == 0


def test_of_several_rows_of_a_person_the_nearest_counts() -> None:
    gallery = np.stack([np.stack([_unit(1, 0, 0, 0), _unit(0, 0, 0, 1)]), np.stack([_unit(0, 1, 0, 0)] * 2)])
    embeddings = np.stack([_unit(0.1, 0, 0, 1), _unit(0.5, 1, 0, 0)])
    similarities = similarities_to(embeddings, gallery)
    assert similarities == pytest.approx(np.array([[0.995, 0.0], [0.447, 0.894]]), abs=1e-3)
    first, second = decide(embeddings, similarities, gallery, _rule())
    assert (first.outcome, first.candidate, first.runner_up) == (FaceOutcome.IDENTIFIED, 0, 0.0)
    assert (second.candidate, [person for person, _ in second.top]) == (1, [1, 0])


def test_two_people_too_close_to_tell_apart_are_ambiguous() -> None:
    assert _decide(_unit(1, 0.95, 0, 0)) == [FaceOutcome.AMBIGUOUS]


def test_a_candidate_that_another_person_resembles_more_is_not_named() -> None:
    embeddings = np.stack([_unit(1, 0.9, 0, 0)])
    logits = np.array([[0.0, 5.0, 0.0]], dtype=np.float32)  # head and gallery disagree
    match = decide(embeddings, logits, _GALLERY, _rule(threshold=0.5, margin=0.0))[0]
    assert match.candidate == 1
    assert match.outcome is FaceOutcome.AMBIGUOUS


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_finite_never_gets_a_name(poison: float) -> None:
    embeddings = np.stack([_unit(1, 0, 0, 0)] * 3)
    logits = embeddings @ _GALLERY.T
    embeddings[0, 2] = poison
    logits[1, 2] = poison
    lenient = _rule(threshold=-1.0, margin=0.0)
    matches = decide(embeddings, logits, _GALLERY, lenient)
    assert [match.outcome for match in matches] == [FaceOutcome.UNKNOWN, FaceOutcome.UNKNOWN, FaceOutcome.IDENTIFIED]
    assert matches[0].candidate is None
    assert matches[0].confidence == 0.0
    assert matches[0].top == ()


def test_a_gallery_row_that_is_not_finite_names_nobody() -> None:
    gallery = _GALLERY.copy()
    gallery[2] = np.nan
    embeddings = np.stack([_unit(1, 0, 0, 0), _unit(0, 0, 1, 0)])
    matches = decide(embeddings, embeddings @ _GALLERY.T, gallery, _rule(threshold=-1.0, margin=0.0))
    assert FaceOutcome.IDENTIFIED not in [match.outcome for match in matches]


def test_exactly_the_threshold_is_enough() -> None:
    rule = _rule(threshold=1.0, margin=1.0)
    assert _decide(_unit(1, 0, 0, 0), rule=rule) == [FaceOutcome.IDENTIFIED]


def test_a_gallery_of_one_person_has_no_runner_up() -> None:
    embeddings = np.stack([_unit(1, 0), _unit(0, 1)])
    gallery = np.eye(1, 2, dtype=np.float32)
    matches = decide(embeddings, embeddings @ gallery.T, gallery, _rule())
    assert [match.outcome for match in matches] == [FaceOutcome.IDENTIFIED, FaceOutcome.UNKNOWN]
    assert matches[0].runner_up is None


def test_the_ranking_is_by_similarity_and_no_longer_than_asked() -> None:
    embeddings = np.stack([_unit(0.2, 0.9, 0.5, 0)])
    match = decide(embeddings, embeddings @ _GALLERY.T, _GALLERY, _rule(), top_k=2)[0]
    assert [person for person, _ in match.top] == [1, 2]
    assert match.top[0][1] > match.top[1][1]


def test_an_empty_batch_has_no_matches() -> None:
    assert decide(np.empty((0, 4), np.float32), np.empty((0, 3), np.float32), _GALLERY, _rule()) == []


def test_each_row_is_decided_as_if_it_were_alone() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(50, 4)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    logits = embeddings @ _GALLERY.T
    together = decide(embeddings, logits, _GALLERY, _rule())
    alone = [decide(embeddings[i : i + 1], logits[i : i + 1], _GALLERY, _rule())[0] for i in range(50)]
    assert [m.outcome for m in together] == [m.outcome for m in alone]
    assert [m.candidate for m in together] == [m.candidate for m in alone]
    assert {FaceOutcome.IDENTIFIED, FaceOutcome.UNKNOWN} <= {m.outcome for m in together}


def test_confidence_rises_with_similarity_and_lead() -> None:
    sure, unsure, close = confidences(
        np.array([0.9, 0.5, 0.9], np.float32), np.array([0.5, 0.5, 0.0], np.float32), (-5.0, 8.0, 4.0)
    )
    assert 0.0 < unsure < sure < 1.0
    assert close < sure


def test_the_runner_up_is_the_best_other_person() -> None:
    embeddings = np.stack([_unit(0.6, 0.8, 0, 0)])
    logits = np.array([[3.0, 1.0, 0.0]], dtype=np.float32)
    candidate, similarity, runner_up = candidates(embeddings, logits, _GALLERY)
    assert (candidate[0], similarity[0], runner_up[0]) == (0, np.float32(0.6), np.float32(0.8))


@pytest.mark.parametrize(
    ("embeddings", "logits", "gallery"),
    [((2, 4), (2, 2), (3, 4)), ((2, 5), (2, 3), (3, 4)), ((3, 4), (2, 3), (3, 4)), ((2, 4), (2, 0), (0, 4))],
)
def test_shapes_that_do_not_fit_are_refused(
    embeddings: tuple[int, int], logits: tuple[int, int], gallery: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="embeddings"):
        decide(np.zeros(embeddings, np.float32), np.zeros(logits, np.float32), np.zeros(gallery, np.float32), _rule())


def test_of_very_many_people_the_same_are_ranked_first_as_of_few() -> None:
    generator = np.random.default_rng(0)
    gallery = generator.normal(size=(1000, 16)).astype(np.float32)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    vectors = gallery[:40] + 0.3 * generator.normal(size=(40, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rule = RejectRule(threshold=0.5, margin=0.0, fpir_target=0.01, basis="t", calibration=(0.0, 1.0, 0.0))
    similarities = vectors @ gallery.T
    for row, match in enumerate(decide(vectors, similarities, gallery, rule, top_k=5)):
        expected = np.argsort(-similarities[row], kind="stable")[:5]
        assert [person for person, _ in match.top] == expected.tolist()
