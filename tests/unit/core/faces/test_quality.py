"""The gate lets good faces pass, names what is wrong with poor ones, and stops what is no face."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.faces.align import align_faces
from core.faces.detect import Detections, Detector
from core.faces.detect_scale import scale_photo
from core.faces.quality import (
    AlignedPhoto,
    Quality,
    QualityGate,
    QualityReason,
    _measure,
    judge_faces,
    judge_photos,
)
from tests.detection import detect_one, photos_of, read_photo

ROOT = Path(__file__).resolve().parents[4]
TEMPLATE = np.asarray([(0.3156, 0.4616), (0.6826, 0.4616), (0.5003, 0.6405), (0.3495, 0.8247), (0.6534, 0.8247)])
SIZE = 128
Pixels = NDArray[np.uint8]
Spoil = Callable[[Pixels, NDArray[np.float32]], Pixels]


def judge(
    photo: Pixels, found: Detections, template: NDArray[np.float64] = TEMPLATE, size: int = SIZE
) -> list[Quality]:
    faces = align_faces(photo, found.landmarks_px, template, size)
    return judge_faces(AlignedPhoto(crops=faces.crops, detections=found, residuals=faces.residuals), template)


def aligned(crops: NDArray[np.uint8], found: Detections, residual: float = 0.0) -> AlignedPhoto:
    return AlignedPhoto(crops=crops, detections=found, residuals=np.full(len(crops), residual, np.float32))


def main_face(found: Detections, photo: Pixels) -> int:
    """The face nearest the middle: the person whom a press photo shows."""
    middle = np.asarray(photo.shape[1::-1]) / 2
    boxes = found.boxes_xyxy_px
    return int(np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - middle).sum(axis=1).argmin())


def draw_faces(*sizes_px: float) -> tuple[NDArray[np.uint8], Detections]:
    """Faces whose landmarks fit exactly and whose crops have light, detail and contrast."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(60, 200, (len(sizes_px), 20, 20, 3), dtype=np.uint8)
    crops = np.stack([cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) for face in coarse])
    landmarks = np.stack([TEMPLATE * size for size in sizes_px]).astype(np.float32)
    return crops, detections(landmarks)


def detections(landmarks: NDArray[np.float32], score: float = 0.93) -> Detections:
    boxes = np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1)
    return Detections(boxes_xyxy_px=boxes, landmarks_px=landmarks, scores=np.full(len(landmarks), score, np.float32))


def test_faces_of_good_photos_pass(detector: Detector, test_data: Path) -> None:
    files = photos_of(test_data, "lfw_dev")[5::10]
    passed = 0
    for file in files:
        photo = read_photo(file)
        found = detect_one(detector, photo)
        passed += not judge(photo, found)[main_face(found, photo)].reasons
    assert len(files) > 140
    assert passed >= 0.995 * len(files)


def darken(photo: Pixels, _: NDArray[np.float32]) -> Pixels:
    return (photo * 0.06).astype(np.uint8)


def wash_out(photo: Pixels, _: NDArray[np.float32]) -> Pixels:
    return (photo * 0.12 + 220).astype(np.uint8)


def eyes_apart(landmarks: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def blur(photo: Pixels, landmarks: NDArray[np.float32]) -> Pixels:
    return np.asarray(cv2.GaussianBlur(photo, (0, 0), 0.15 * eyes_apart(landmarks)))


def shrink(photo: Pixels, landmarks: NDArray[np.float32]) -> Pixels:
    return scale_photo(photo, round(6.5 / eyes_apart(landmarks) * max(photo.shape))).pixels


def mask(photo: Pixels, landmarks: NDArray[np.float32]) -> Pixels:
    """Cover mouth and chin with a bar of one grey."""
    apart, nose, mouth = eyes_apart(landmarks), landmarks[2], landmarks[3:].mean(axis=0)
    left, top, right, bottom = nose[0] - apart, nose[1] - 0.15 * apart, nose[0] + apart, mouth[1] + 0.7 * apart
    covered = photo.copy()
    covered[int(top) : int(bottom), max(0, int(left)) : int(right)] = 60
    return covered


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (darken, QualityReason.TOO_DARK),
        (wash_out, QualityReason.TOO_BRIGHT),
        (blur, QualityReason.BLURRED),
        (shrink, QualityReason.TOO_SMALL),
        (mask, QualityReason.OCCLUDED),
    ],
)
def test_a_spoilt_copy_of_a_good_photo_is_refused_for_the_right_reason(
    detector: Detector, test_data: Path, spoil: Spoil, reason: QualityReason
) -> None:
    found_again = named = 0
    for file in photos_of(test_data, "lfw_dev/known")[::40]:
        photo = read_photo(file)
        found = detect_one(detector, photo)
        spoilt = spoil(photo, found.landmarks_px[main_face(found, photo)])
        found = detect_one(detector, spoilt)
        if len(found):
            found_again += 1
            named += reason in judge(spoilt, found)[main_face(found, spoilt)].reasons
    assert found_again >= 15
    assert named >= 0.9 * found_again


@pytest.mark.parametrize("longer_px", [None, 320, 480, 800])
def test_no_dog_passes(detector: Detector, test_data: Path, longer_px: int | None) -> None:
    photo = read_photo(test_data / "data" / "scenes" / "dlib_faces" / "dogs.jpg")
    photo = photo if longer_px is None else scale_photo(photo, longer_px).pixels
    found = detect_one(detector, photo)
    assert len(found) > 0
    assert all(quality.reasons for quality in judge(photo, found))


def test_most_faces_of_group_photos_pass(detector: Detector, test_data: Path) -> None:
    judged = []
    for file in photos_of(test_data, "scenes/dlib_faces")[:9]:
        photo = read_photo(file)
        judged.extend(judge(photo, detect_one(detector, photo)))
    assert len(judged) > 40
    assert sum(not quality.reasons for quality in judged) >= 0.9 * len(judged)


def test_a_good_face_has_no_reason_and_a_score_of_at_least_a_half() -> None:
    crops, found = draw_faces(120.0)
    quality = judge_faces(aligned(crops, found), TEMPLATE)[0]
    assert quality.reasons == ()
    assert 0.5 <= quality.score <= 1.0
    assert quality.measures.eye_distance_px == pytest.approx(44.0, abs=0.1)
    assert quality.measures.yaw == pytest.approx(0.0, abs=0.01)
    assert quality.measures.pitch == pytest.approx(0.49, abs=0.01)


def test_a_face_the_detector_doubts_is_refused() -> None:
    crops, found = draw_faces(120.0)
    doubted = detections(found.landmarks_px, score=0.8)
    quality = judge_faces(aligned(crops, doubted), TEMPLATE)[0]
    assert quality.reasons == (QualityReason.LOW_DETECTION_SCORE,)
    assert quality.score < 0.5


@pytest.mark.parametrize(
    ("point", "by"),
    [(2, (0.2, 0.0)), (2, (-0.2, 0.0)), (2, (0.0, 0.13)), (2, (0.0, -0.1)), (1, (-0.2, 0.0))],
    ids=["right", "left", "down", "up", "profile"],
)
def test_a_face_that_is_turned_away_is_refused(point: int, by: tuple[float, float]) -> None:
    crops, found = draw_faces(120.0)
    found.landmarks_px[0, point] += np.asarray(by, np.float32) * 120
    quality = judge_faces(aligned(crops, found), TEMPLATE)[0]
    assert quality.reasons == (QualityReason.EXTREME_POSE,)


def test_a_face_that_lies_on_its_side_is_not_turned_away() -> None:
    crops, found = draw_faces(120.0)
    sideways = found.landmarks_px[:, :, ::-1] * np.asarray((-1, 1), np.float32)
    upright = judge_faces(aligned(crops, found), TEMPLATE)[0].measures
    lying = judge_faces(aligned(crops, detections(sideways)), TEMPLATE)[0].measures
    assert lying.yaw == pytest.approx(upright.yaw, abs=1e-5)
    assert lying.pitch == pytest.approx(upright.pitch, abs=1e-5)


def test_landmarks_that_do_not_fit_are_refused() -> None:
    crops, found = draw_faces(120.0)
    quality = judge_faces(aligned(crops, found, 0.15), TEMPLATE)[0]
    assert quality.reasons == (QualityReason.EXTREME_POSE,)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_landmarks_that_are_no_face_are_refused_and_never_raise(value: float) -> None:
    landmarks = np.full((1, 5, 2), value, np.float32)
    photo = np.full((60, 60, 3), 128, np.uint8)
    quality = judge(photo, detections(landmarks))[0]
    assert {QualityReason.TOO_SMALL, QualityReason.EXTREME_POSE, QualityReason.TOO_DARK} <= {*quality.reasons}
    assert quality.score == 0.0


def test_of_many_faces_the_largest_are_kept() -> None:
    crops, found = draw_faces(90.0, 150.0, 60.0, 120.0)
    gate = QualityGate(max_faces=2)
    judged = judge_faces(aligned(crops, found), TEMPLATE, gate)
    beyond = [QualityReason.TOO_MANY_FACES in quality.reasons for quality in judged]
    assert beyond == [True, False, True, False]


def test_a_stricter_gate_refuses_more_and_scores_lower() -> None:
    crops, found = draw_faces(120.0)
    usual, strict = (
        judge_faces(aligned(crops, found), TEMPLATE, gate)[0]
        for gate in (QualityGate(), QualityGate(min_eye_distance_px=90.0))
    )
    assert strict.reasons == (QualityReason.TOO_SMALL,)
    assert strict.score < 0.5 <= usual.score


def test_the_score_is_below_a_half_exactly_when_a_measure_gives_a_reason(detector: Detector, test_data: Path) -> None:
    for file in photos_of(test_data, "scenes/dlib_faces"):
        photo = read_photo(file)
        for quality in judge(photo, detect_one(detector, photo)):
            assert (quality.score < 0.5) == bool(quality.reasons)


def test_faces_together_are_judged_as_one_by_one(detector: Detector, test_data: Path) -> None:
    photo = read_photo(test_data / "data" / "scenes" / "dlib_faces" / "2008_002470.jpg")
    found = detect_one(detector, photo)
    together = judge(photo, found)
    for row, quality in enumerate(together):
        alone = judge(photo, detections(found.landmarks_px[row : row + 1], float(found.scores[row])))[0]
        assert alone.reasons == quality.reasons
        assert alone.score == pytest.approx(quality.score, abs=1e-4)


def test_another_template_and_size_measure_the_same_face_alike(detector: Detector, test_data: Path) -> None:
    photo = read_photo(photos_of(test_data, "lfw_dev/known")[0])
    found = detect_one(detector, photo)
    wider = (TEMPLATE - TEMPLATE.mean(axis=0)) * 0.8 + (0.5, 0.55)
    here, there = judge(photo, found)[0].measures, judge(photo, found, wider, 160)[0].measures
    assert there.luminance == pytest.approx(here.luminance, rel=0.03)
    assert there.sharpness == pytest.approx(here.sharpness, rel=0.2)
    assert there.contrast == pytest.approx(here.contrast, rel=0.2)


@pytest.mark.parametrize("at_once", [1, 3, 64])
def test_photos_that_are_judged_together_are_judged_as_each_alone(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.faces.quality._TOGETHER", at_once)
    gate = QualityGate(max_faces=2)
    none = aligned(np.zeros((0, SIZE, SIZE, 3), np.uint8), detections(np.zeros((0, 5, 2), np.float32)))
    photos = [aligned(*draw_faces(*sizes)) for sizes in ((120.0,), (40.0, 90.0, 60.0), (6.0, 70.0))]
    measured: list[int] = []
    monkeypatch.setattr(
        "core.faces.quality._measure", lambda crops, *others: measured.append(len(crops)) or _measure(crops, *others)
    )
    together = judge_photos([none, *photos, none], TEMPLATE, gate)
    assert measured == {1: [1, 3, 2], 3: [1, 3, 2], 64: [6]}[at_once]
    assert [len(judged) for judged in together] == [0, 1, 3, 2, 0]
    for photo, judged in zip(photos, together[1:-1], strict=True):
        for here, alone in zip(judged, judge_faces(photo, TEMPLATE, gate), strict=True):
            assert here.reasons == alone.reasons
            assert here.score == pytest.approx(alone.score, abs=1e-5)


def test_no_faces_are_judged_too() -> None:
    crops, found = np.zeros((0, SIZE, SIZE, 3), np.uint8), detections(np.zeros((0, 5, 2), np.float32))
    assert judge_faces(aligned(crops, found), TEMPLATE) == []


def test_every_reason_and_every_bound_is_documented_as_it_is() -> None:
    text = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.M)[: len(QualityReason)] == [reason.value for reason in QualityReason]
    gate = QualityGate()
    bounds = dict(re.findall(r"`((?:min|max)_\w+)` (\d[\d.]*)", text))
    assert {name: float(value) for name, value in bounds.items()} == {
        name: float(value) for name, value in vars(gate).items()
    }
