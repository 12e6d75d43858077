"""What was seen in a photo becomes one outcome: a poor face gets no name, and only pretrained embeddings are kept."""

import dataclasses

import numpy as np

from core.faces.match import Match
from core.finding import FaceCrop
from core.outcomes import SeenFace, embeddings_to_keep, photo_result
from core.reading import LoadedPhoto
from core.records import FaceOutcome, ItemOutcome, PhotoTask

PHOTO = LoadedPhoto(task=PhotoTask(ordinal=7, uri="a.jpg"), sha256="a" * 64, width_px=40, height_px=30)
MATCH = Match(
    outcome=FaceOutcome.IDENTIFIED,
    candidate=1,
    similarity=0.9,
    runner_up=0.1,
    confidence=0.97,
    top=((1, 0.9), (0, 0.1)),
)
NO_ANSWER = dataclasses.replace(MATCH, candidate=None, outcome=FaceOutcome.UNKNOWN, similarity=None, top=())


def seen(match: Match = MATCH, *reasons: str) -> SeenFace:
    crop = FaceCrop(
        pixels=np.zeros((4, 4, 3), np.uint8),
        box_xyxy_px=(1.0, 2.0, 3.0, 4.0),
        landmarks_px=((1.0, 2.0),) * 5,
        quality=0.4,
        quality_reasons=reasons,
    )
    return SeenFace(crop=crop, match=match, embedding=None)


def test_a_face_below_the_quality_gate_keeps_its_candidate_and_gets_no_name() -> None:
    poor, good = photo_result(PHOTO, [seen(MATCH, "blurred"), seen()], [101, 102]).faces
    assert (poor.outcome, poor.person_id, poor.candidate_id) == (FaceOutcome.LOW_QUALITY, None, 102)
    assert (poor.quality, poor.quality_reasons, poor.landmarks_px[0]) == (0.4, ("blurred",), (1.0, 2.0))
    assert (good.outcome, good.person_id, good.index) == (FaceOutcome.IDENTIFIED, 102, 1)


def test_a_photo_without_faces_is_an_outcome_and_no_error() -> None:
    result = photo_result(PHOTO, [], [101])
    assert (result.outcome, result.error, result.faces) == (ItemOutcome.NO_FACE, None, ())


def test_a_face_without_an_answer_is_an_error_of_its_photo() -> None:
    result = photo_result(PHOTO, [seen(), seen(NO_ANSWER)], [101, 102])
    assert result.outcome is ItemOutcome.ERROR
    assert result.error is not None and "no usable answer" in result.error.message
    assert result.faces == ()


def test_only_embeddings_of_a_pretrained_backbone_are_kept() -> None:
    rows = np.random.default_rng(0).normal(size=(2, 256)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert embeddings_to_keep(rows, None) == [None, None]
    first, second = embeddings_to_keep(rows, "b" * 64)
    assert first is not None and second is not None
    assert first.backbone_sha256 == "b" * 64
    restored = np.frombuffer(second.vector, "<f2").astype(np.float32)
    assert np.dot(restored, rows[1]) > 0.9999
