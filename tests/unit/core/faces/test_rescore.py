import numpy as np
import pytest
from numpy.typing import NDArray

from core.faces.match import decide
from core.faces.rescore import NOBODY, OUTCOMES, Decisions, decide_stored, read_vectors
from core.faces.rule import RejectRule
from core.records import FaceOutcome
from tests.factories import make_rule

DIM = 16
RULE = make_rule(threshold=0.5, margin=0.1)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_gallery(people: int) -> NDArray[np.float32]:
    return unit(np.random.default_rng(1).standard_normal((people, DIM)).astype(np.float32))


def make_stored(gallery: NDArray[np.float32], count: int) -> bytes:
    """Embeddings of photos that look more or less like somebody, some of them like two people."""
    drawn = np.random.default_rng(2)
    one, other = (gallery[drawn.integers(0, len(gallery), count)] for _ in range(2))
    mixed = one + other * drawn.choice([0.0, 0.9], (count, 1)) + 0.25 * drawn.standard_normal((count, DIM))
    return unit(mixed.astype(np.float32)).astype("<f2").tobytes()


def decide_all(stored: bytes, gallery: NDArray[np.float32], rule: RejectRule = RULE) -> Decisions:
    return decide_stored(stored, np.zeros(len(stored) // (2 * DIM), bool), gallery, rule)


@pytest.mark.parametrize("people", [1, 2, 7, 600])
def test_stored_faces_are_decided_about_as_new_ones_are(people: int) -> None:
    gallery = make_gallery(people)
    stored = make_stored(gallery, 9000)

    got = decide_all(stored, gallery)

    vectors = read_vectors(stored, DIM)
    wanted = decide(vectors, 16.0 * vectors @ gallery.T, gallery, RULE)
    assert [OUTCOMES[outcome] for outcome in got.outcomes] == [match.outcome for match in wanted]
    assert got.candidates.tolist() == [match.candidate for match in wanted]
    np.testing.assert_allclose(got.similarities, [match.similarity for match in wanted], atol=1e-6)
    np.testing.assert_allclose(got.confidences, [match.confidence for match in wanted], atol=1e-5)
    assert got.nearest.tolist() == [[person for person, _ in match.top] for match in wanted]
    np.testing.assert_allclose(
        got.nearest_similarities, [[similarity for _, similarity in match.top] for match in wanted], atol=1e-6
    )
    if people == 7:
        assert {OUTCOMES[outcome] for outcome in np.unique(got.outcomes)} == {
            FaceOutcome.IDENTIFIED,
            FaceOutcome.UNKNOWN,
            FaceOutcome.AMBIGUOUS,
        }


def test_a_face_of_low_quality_gets_no_name_and_keeps_its_candidate() -> None:
    gallery = make_gallery(3)
    got = decide_stored(gallery.astype("<f2").tobytes(), np.array([False, True, False]), gallery, RULE)

    assert [OUTCOMES[outcome] for outcome in got.outcomes] == ["identified", "low_quality", "identified"]
    assert got.candidates.tolist() == [0, 1, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_an_embedding_that_is_no_direction_is_unknown_and_has_no_candidate(bad: float) -> None:
    gallery = make_gallery(3)
    rows = gallery.astype("<f2")
    rows[1] = bad
    got = decide_all(rows.tobytes(), gallery)

    assert got.candidates.tolist() == [0, NOBODY, 2]
    assert OUTCOMES[got.outcomes[1]] is FaceOutcome.UNKNOWN
    assert got.confidences[1] == 0.0
    assert got.nearest[1].tolist() == [NOBODY] * 3
    assert np.isfinite(got.similarities).all()


def test_stored_embeddings_keep_their_lengths_and_what_is_zero_is_none() -> None:
    rows = (0.9 * make_gallery(4)).astype("<f2")
    rows[2] = 0.0
    got = read_vectors(rows.tobytes(), DIM)

    assert got.dtype == np.float32
    assert np.isnan(got[2]).all()
    kept = [0, 1, 3]
    np.testing.assert_allclose(got[kept], 0.9 * make_gallery(4)[kept], atol=1e-3)


def test_no_faces_are_no_decisions() -> None:
    got = decide_all(b"", make_gallery(3))
    assert len(got) == 0
    assert got.nearest.shape == (0, 3)


def test_embeddings_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="are not 2 embeddings of 16 numbers"):
        decide_stored(bytes(2 * DIM), np.zeros(2, bool), make_gallery(3), RULE)
