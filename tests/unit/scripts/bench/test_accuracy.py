"""The command, on made-up photos without weights; with them it is in test_accuracy_on_photos.py."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.records import ErrorRecord, FaceEmbedding, FaceOutcome, FaceResult, ItemOutcome, PhotoResult
from scripts.bench.seen import gather
from tests.factories import make_photo
from tests.unit.scripts.runner import Run

FACE = FaceResult(
    index=0,
    box_xyxy_px=(30.0, 30.0, 70.0, 70.0),
    landmarks_px=(),
    quality=0.9,
    quality_reasons=(),
    outcome=FaceOutcome.UNKNOWN,
    person_id=None,
    candidate_id=None,
    similarity=None,
    confidence=None,
)


def face(*vector: float, **changes: object) -> FaceResult:
    stored = FaceEmbedding(backbone_sha256="0" * 64, vector=np.array(vector, "<f2").tobytes())
    return replace(FACE, embedding=stored, **changes)


def photo(*faces: FaceResult) -> PhotoResult:
    outcome = ItemOutcome.FACES if faces else ItemOutcome.NO_FACE
    return PhotoResult(ordinal=0, uri="/p.jpg", outcome=outcome, sha256="0", width_px=100, height_px=100, faces=faces)


def broken() -> PhotoResult:
    error = ErrorRecord(code="photo_broken", message="Cut off.")
    return replace(photo(), uri="/b.jpg", outcome=ItemOutcome.ERROR, error=error)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Two people with two photos each, as folders go."""
    for person, name in enumerate(("Ada", "Grace")):
        (tmp_path / "album" / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "album" / name / f"{number}.png").write_bytes(make_photo(person, shade=number))
    return tmp_path / "album"


def test_of_a_photo_the_main_face_is_kept() -> None:
    beside = face(1.0, 0.0, box_xyxy_px=(0.0, 0.0, 20.0, 20.0))
    seen = gather([photo(face(3.0, 4.0), beside), photo(face(0.0, 2.0, quality_reasons=("blurred",)))], [4, 5], 2)

    assert seen.vectors == pytest.approx(np.array([[3.0, 4.0], [0.0, 2.0]]), abs=1e-3)
    assert seen.owners.tolist() == [4, 5]
    assert (seen.several.tolist(), seen.good.tolist()) == ([True, False], [True, False])


def test_photos_are_counted_by_what_they_show() -> None:
    seen = gather([photo(face(1.0)), broken(), photo()], [0, 1, 2], 1)

    assert seen.owners.tolist() == [0, 2], "what cannot be used is no row"
    assert seen.to_json() == {"photos": 3, "errors": 1, "no_face": 1, "several_faces": 0, "poor_face": 0}
    assert seen.vectors.tolist() == [[1.0], [0.0]]
    assert [uri for uri, _ in seen.errors] == ["/b.jpg"]


def test_without_weights_it_says_how_to_get_them(run: Run, home: Path, album: Path) -> None:
    ran = run("bench", "accuracy", album, "--photos-a-person", "1", "--json")

    assert ran.code == 1
    assert ran.document["error"]["code"] == "weights_missing"
    assert "facefleet weights pull face-reidentification-retail-0095" in ran.document["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["/no/such"], "is no folder"),
        (["{album}", "--strangers", "/no/such"], "is no folder with photos"),
        (["{album}"], "0 of 2 people have more than 3 photos"),
        (["{album}", "--photos-a-person", "1", "--backbone", "none"], "No weights are called 'none'"),
    ],
)
def test_what_cannot_be_measured_is_wrong_usage(run: Run, album: Path, arguments: list[str], fact: str) -> None:
    ran = run("bench", "accuracy", *(argument.format(album=album) for argument in arguments), "--json")

    assert ran.code == 2
    assert fact in ran.document["error"]["message"]
    assert "Nothing was" in ran.document["error"]["message"]


@pytest.mark.parametrize("words", [[], ["speed"]])
def test_speed_is_measured_when_nothing_else_is_asked_for(run: Run, words: list[str]) -> None:
    ran = run("bench", *words, "--rounds", "0", "--json")

    assert ran.code == 2
    assert "'--rounds': 0 is not in the range" in ran.document["error"]["message"]
    assert "facefleet bench speed --help" in ran.document["error"]["message"]


def test_another_benchmark_that_does_not_exist_is_not_taken_for_speed(run: Run) -> None:
    assert "Did you mean 'accuracy'?" in run("bench", "acuracy").err
    assert "Commands:" in run("bench", "--help").out
