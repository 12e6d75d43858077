import json

import numpy as np

from core.records import Example, PersonClass
from core.training.findings import FINDINGS_KEPT, describe_labels, kept_examples
from core.training.request import SkippedPhoto

CLASSES = [PersonClass(person_id=number, name=f"P{number}") for number in range(100)]


def example(uri: str, person: int) -> Example:
    return Example(uri=uri, class_index=person)


def skip(uri: str) -> SkippedPhoto:
    return SkippedPhoto(uri=uri, code="no_face", message="")


def test_findings_stand_with_names_and_places() -> None:
    axes = np.eye(4, dtype=np.float32)
    photos = [example(f"{person}/{number}", person) for person in range(3) for number in range(4)]
    vectors = np.repeat(axes[:3], 4, axis=0) + 0.05 * np.random.default_rng(0).standard_normal((12, 4))
    vectors[11] = vectors[1] + 0.3 * axes[3]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    said = np.repeat(np.arange(3), 4)

    told = describe_labels(photos, [], vectors.astype(np.float32), said, CLASSES)

    wrong = told["first"][0]
    assert (wrong["kind"], wrong["photo"], wrong["person"], wrong["suggested"]) == ("mislabelled", "2/3", "P2", "P0")
    assert wrong["like"].startswith("0/")
    assert told["count"] == sum(told["by_kind"].values())
    assert json.loads(json.dumps(told)) == told


def test_of_many_findings_the_first_are_named_and_all_are_counted() -> None:
    photos = [example(str(person), person) for person in range(100)]
    vectors = np.eye(100, dtype=np.float32)
    told = describe_labels(photos, [], vectors, np.arange(100), CLASSES)
    assert (told["count"], told["by_kind"], len(told["first"])) == (100, {"few_photos": 100}, FINDINGS_KEPT)


def test_skipped_photos_are_left_out() -> None:
    photos = [example("a", 0), example("b", 0), example("c", 1)]
    assert kept_examples(photos, [skip("b")], [0, 1]) == [photos[0], photos[2]]


def test_of_a_photo_with_two_labelled_faces_the_one_that_was_skipped_is_left_out() -> None:
    photos = [example("a", 0), example("both", 1), example("both", 2), example("c", 2)]
    assert kept_examples(photos, [skip("both")], [0, 2, 2]) == [photos[0], photos[2], photos[3]]
    assert kept_examples(photos, [skip("both")], [0, 1, 2]) == [photos[0], photos[1], photos[3]]
