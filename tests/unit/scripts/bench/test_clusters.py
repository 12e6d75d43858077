"""The figures of clustering: of known people, of halves of them, and among strangers. No photo is read."""

from pathlib import Path

import numpy as np
import pytest

from core.records import ErrorRecord
from scripts.bench.clusters import measure_clusters
from scripts.bench.seen import SeenPhotos
from tests.clustered import person_vector
from tests.unit.scripts.runner import Run


def seen(owners: list[int], people: list[int], *, poor: int = 0, errors: int = 0) -> SeenPhotos:
    """Photos of these people, said to be these owners'; the first few are poor."""
    count = len(owners)
    return SeenPhotos(
        vectors=np.stack([person_vector(person, photo) for photo, person in enumerate(people)]),
        owners=np.array(owners, np.int64),
        found=np.ones(count, bool),
        good=np.arange(count) >= poor,
        several=np.zeros(count, bool),
        errors=tuple((f"{n}.jpg", ErrorRecord(code="photo_broken", message="It is.")) for n in range(errors)),
    )


NOBODY = SeenPhotos(
    vectors=np.zeros((0, 32), np.float32),
    owners=np.zeros(0, np.int64),
    found=np.zeros(0, bool),
    good=np.zeros(0, bool),
    several=np.zeros(0, bool),
    errors=(),
)


def test_people_told_apart_score_full() -> None:
    known = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    document = measure_clusters(seen(known, known), NOBODY, 0.6, draws=3)
    assert (document["known"]["f1"], document["known"]["clusters"], document["known"]["in_none"]) == (1.0, 3, 0)
    assert document["halves"]["f1"] == {"mean": 1.0, "min": 1.0, "max": 1.0}
    assert document["among_strangers"] is None


def test_a_photo_without_a_good_face_is_in_no_cluster() -> None:
    known = [0, 0, 0, 1, 1, 1]
    figures = measure_clusters(seen(known, known, poor=1), NOBODY, 0.6, draws=1)["known"]
    assert (figures["in_none"], figures["precision"]) == (1, 1.0)
    assert figures["recall"] == pytest.approx(4 / 6)


def test_a_stranger_beside_a_known_person_is_a_mistake_and_so_are_two_together() -> None:
    known = [0, 0, 0, 1, 1, 1]
    strangers = seen([-1] * 4, [1, 5, 5, 6])  # one like the second person, two alike, one like nobody
    figures = measure_clusters(seen(known, known), strangers, 0.6, draws=1)["among_strangers"]
    assert (figures["strangers_in_clusters"], figures["strangers_beside_known"]) == (3, 1)
    assert figures["precision"] == pytest.approx(6 / 10)
    assert figures["recall"] == 1.0


def test_photos_that_cannot_be_used_are_listed() -> None:
    document = measure_clusters(seen([0, 0], [0, 0], errors=2), NOBODY, 0.6, draws=1)
    assert [error["uri"] for error in document["first_errors"]] == ["0.jpg", "1.jpg"]


def test_a_folder_that_is_not_there_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    ran = run("bench", "clusters", tmp_path / "nowhere")
    assert ran.code == 2
    assert "is no folder" in ran.err
