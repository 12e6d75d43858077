"""What a model says of photos, in people: as it decides when it serves, merged people being one."""

import numpy as np
import pytest

from core.faces.match import decide
from core.models.engine import load_engine
from core.models.store import ModelStore
from core.records import Example, FaceOutcome
from core.training.answers import NOBODY, Asked, Knowledge, answer, ask_engine
from tests.factories import make_artifact, make_classes, make_face, make_network, make_rule


def unit(*rows: list[float]) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def asked(vectors: np.ndarray, gallery: np.ndarray, codes: dict[int, str] | None = None) -> Asked:
    return Asked(
        places=np.arange(len(vectors)), embeddings=vectors, logits=(vectors @ gallery.T) * 10, codes=codes or {}
    )


def test_photos_are_decided_about_as_when_the_model_serves() -> None:
    gallery = unit([1, 0, 0], [0, 1, 0], [0, 0.9, 0.4])
    vectors = unit([1, 0.1, 0], [0, 1, 0.2], [0.5, 0.5, 0.7], [0.3, 0, 1])
    rule = make_rule(threshold=0.8, margin=0.05)
    said = answer(asked(vectors, gallery), Knowledge(gallery=gallery, people=np.array([7, 8, 9]), rule=rule), 4)

    matches = decide(vectors, vectors @ gallery.T, gallery, rule)
    assert said.named.tolist() == [match.outcome is FaceOutcome.IDENTIFIED for match in matches]
    assert said.nearest.tolist() == [7 + (match.candidate or 0) for match in matches]
    assert said.similarity == pytest.approx([match.similarity for match in matches])
    assert said.confidence == pytest.approx([match.confidence for match in matches])
    assert {match.outcome for match in matches} >= {FaceOutcome.IDENTIFIED, FaceOutcome.UNKNOWN, FaceOutcome.AMBIGUOUS}


def test_classes_of_one_person_are_no_rivals() -> None:
    gallery = unit([1, 0], [0.98, 0.05], [0, 1])
    vectors = unit([1, 0.02])
    rule = make_rule(threshold=0.8, margin=0.1)
    apart, merged = (
        answer(asked(vectors, gallery), Knowledge(gallery=gallery, people=np.array(people), rule=rule), 1)
        for people in ([7, 8, 9], [7, 7, 9])
    )
    assert (apart.named[0], merged.named[0], merged.nearest[0]) == (False, True, 7)


def test_a_photo_without_a_face_is_a_miss_and_one_that_cannot_be_read_says_nothing() -> None:
    gallery = unit([1, 0])
    codes = {1: "no_face", 2: "face_too_poor", 3: "photo_missing"}
    knowledge = Knowledge(gallery=gallery, people=np.array([7]), rule=make_rule())
    said = answer(asked(unit([1, 0]), gallery, codes), knowledge, 4)
    assert said.usable.tolist() == [True, True, True, False]
    assert said.found.tolist() == [True, False, False, False]
    assert said.nearest.tolist() == [7, NOBODY, NOBODY, NOBODY]


def test_an_answer_that_is_no_number_names_nobody() -> None:
    gallery = unit([1, 0])
    vectors = np.array([[np.nan, 1]], np.float32)
    said = answer(asked(vectors, gallery), Knowledge(gallery=gallery, people=np.array([7]), rule=make_rule()), 1)
    assert (said.nearest[0], said.named[0], said.found[0]) == (NOBODY, False, True)


def test_a_loaded_model_is_asked_about_the_photos_that_can_be_read(tmp_path: object) -> None:
    from core.errors import PhotoMissingError

    store = ModelStore(tmp_path)  # type: ignore[arg-type]
    classes = make_classes("Ada", "Grace")
    sha256 = make_artifact(store, classes)
    engine = load_engine(store.path(sha256), sha256, "cpu", batch_size=4, tuning_budget_s=0.0)

    def load(example: Example) -> np.ndarray:
        if example.uri == "gone":
            raise PhotoMissingError("gone")
        return make_face(int(example.uri))

    photos = [Example(uri=uri, class_index=0) for uri in ("1", "gone", "0", "1")]
    found = ask_engine(engine, photos, load, read_threads=2, should_stop=lambda: False)
    assert found.places.tolist() == [0, 2, 3]
    assert found.codes == {1: "photo_missing"}
    gallery = make_network(2).gallery.numpy()
    said = answer(found, Knowledge(gallery=gallery, people=np.array([101, 102]), rule=make_rule()), 4)
    assert said.nearest.tolist() == [102, NOBODY, 101, 102]
    assert said.named.tolist() == [True, False, True, True]
