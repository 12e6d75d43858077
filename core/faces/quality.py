"""The quality gate: measures aligned faces and says which are too poor to be named, and why.

Drops nothing: a face below the gate keeps its place, with its reasons. docs/quality.md describes each measure.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.faces.detect import Detections

_SIDE = 48
"""Pixels a side of the grey picture on which everything inside a face is measured."""
_REACH = 1.1
"""Half the side of that picture, in distances between the eyes: from the brows to the chin."""
_EYE, _MOUTH = (6, 4), (9, 5)
"""Half width and height of the areas around an eye and the mouth, in its pixels."""
_LUMA = (0.299, 0.587, 0.114)
"""Luminance of RGB (ITU-R BT.601)."""
_FLOOR = 2.0
"""Grey levels added to a contrast that is divided by, so that a blank face has no texture."""
_TOGETHER = 64
"""Faces of different photos that are measured at once: as fast as all, and the crops of crowds are not held twice."""


class QualityReason(StrEnum):
    """Why a face is below the gate."""

    TOO_SMALL = "too_small"  # its eyes are too few pixels apart
    TOO_DARK = "too_dark"  # hardly any light on it
    TOO_BRIGHT = "too_bright"  # washed out
    BLURRED = "blurred"  # no fine detail: out of focus, moved, or enlarged
    EXTREME_POSE = "extreme_pose"  # turned or tilted so far that it does not fit the template
    OCCLUDED = "occluded"  # an eye or the mouth is covered, or the whole by fur, leaves or a mesh
    LOW_DETECTION_SCORE = "low_detection_score"  # the detector is not sure that it is a face
    TOO_MANY_FACES = "too_many_faces"  # the photo shows many larger ones


@dataclass(frozen=True, kw_only=True)
class QualityGate:
    """What a face must reach. The defaults let pass all but a few of 1,426 press photos: docs/quality.md."""

    min_eye_distance_px: float = 10.0
    """Of the eyes from each other, or from the mouth where that is more (the head is turned)."""
    min_luminance: float = 15.0
    """Mean, 0..255."""
    max_luminance: float = 225.0
    """Mean, 0..255."""
    min_sharpness: float = 0.1
    """Deviation of the Laplacian over that of the luminance."""
    max_sharpness: float = 0.95
    """Of the same: no skin has as much texture."""
    min_contrast: float = 0.15
    """Deviation of the luminance around an eye or the mouth over that of the whole face: the least of the three."""
    max_yaw: float = 0.42
    """Distance of the nose from the line between eyes and mouth, over that line's length."""
    min_pitch: float = 0.33
    """How far down that line the nose lies: 0 at the eyes, 1 at the mouth."""
    max_pitch: float = 0.75
    """The same."""
    min_eye_ratio: float = 0.52
    """Distance of the eyes from each other over that from the mouth."""
    max_residual: float = 0.1
    """Root mean square distance of the landmarks from the template, in sides of the crop."""
    min_score: float = 0.88
    """Of the detector, 0..1."""
    max_faces: int = 64
    """Of one photo, the largest first."""


@dataclass(frozen=True, kw_only=True)
class FaceMeasures:
    """What was measured of one face; NaN where its landmarks make no sense. Units as in `QualityGate`."""

    eye_distance_px: float
    luminance: float
    sharpness: float
    contrast: float
    yaw: float
    """Towards the right of the picture when positive."""
    pitch: float
    eye_ratio: float
    residual: float
    score: float


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How good one face is."""

    score: float
    """0..1: of the measure that comes off worst, 0.5 being its bound and 1 what is usual in good photos. So it is at
    least 0.5 where no measure gives a reason."""
    reasons: tuple[QualityReason, ...]
    """Why it is below the gate, in the order of the enum; empty when it passes."""
    measures: FaceMeasures


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedPhoto:
    """The faces of one photo, as they are judged."""

    crops: NDArray[np.uint8]
    """[N, S, S, 3] RGB, aligned to a template."""
    detections: Detections
    """The faces, in pixels of the photo that the crops were cut from."""
    residuals: NDArray[np.float32]
    """[N], of the alignment."""


def judge_photos(
    photos: Sequence[AlignedPhoto], template: NDArray[np.floating], gate: QualityGate | None = None
) -> list[list[Quality]]:
    """Judge the faces of several photos: 0.1 ms a face for forty at once, where one alone takes 0.9 ms.

    Args:
        photos: one or more, with crops of one size.
        template (float [5, 2]): what the crops are aligned to, in fractions of their side.
        gate: the bounds; the defaults when None.

    Returns:
        For each photo one judgement a face, in the same order.
    """
    return [judged for block in _blocks(photos) for judged in _judge_block(block, template, gate or QualityGate())]


def judge_faces(photo: AlignedPhoto, template: NDArray[np.floating], gate: QualityGate | None = None) -> list[Quality]:
    """Judge the faces of one photo, as `judge_photos`."""
    return judge_photos([photo], template, gate)[0]


def _blocks(photos: Sequence[AlignedPhoto]) -> Iterator[list[AlignedPhoto]]:
    """Group photos, in their order, so that no block holds more faces than it must to be judged fast."""
    block: list[AlignedPhoto] = []
    faces = 0
    for photo in photos:
        if block and faces + len(photo.crops) > _TOGETHER:
            yield block
            block, faces = [], 0
        block.append(photo)
        faces += len(photo.crops)
    if block:
        yield block


def _judge_block(
    photos: Sequence[AlignedPhoto], template: NDArray[np.floating], gate: QualityGate
) -> list[list[Quality]]:
    crops = np.concatenate([photo.crops for photo in photos])
    if len(crops) == 0:
        return [[] for _ in photos]
    measured = iter(
        _measure(
            crops,
            np.concatenate([photo.detections.landmarks_px for photo in photos]),
            np.concatenate([photo.detections.scores for photo in photos]),
            np.concatenate([photo.residuals for photo in photos]),
            np.asarray(template, np.float64),
        )
    )
    return [_judge_photo(list(islice(measured, len(photo.crops))), gate) for photo in photos]


def _judge_photo(measured: Sequence[FaceMeasures], gate: QualityGate) -> list[Quality]:
    sizes = np.asarray([face.eye_distance_px for face in measured])
    beyond = set(np.argsort(-np.nan_to_num(sizes), kind="stable")[gate.max_faces :].tolist())
    return [_judge(face, gate, too_many=number in beyond) for number, face in enumerate(measured)]


def _judge(face: FaceMeasures, gate: QualityGate, *, too_many: bool) -> Quality:
    marks = list(_marks(face, gate))
    found = {reason for reason, mark in marks if mark < 0.5}
    if too_many:
        found.add(QualityReason.TOO_MANY_FACES)
    return Quality(
        score=min(mark for _, mark in marks),
        reasons=tuple(reason for reason in QualityReason if reason in found),
        measures=face,
    )


def _marks(face: FaceMeasures, gate: QualityGate) -> Iterator[tuple[QualityReason, float]]:
    """Mark each measure by its distance from the bound; the last number is what is usual in good photos."""
    reason = QualityReason
    yield reason.TOO_SMALL, _mark(face.eye_distance_px - gate.min_eye_distance_px, 30.0)
    yield reason.TOO_DARK, _mark(face.luminance - gate.min_luminance, 75.0)
    yield reason.TOO_BRIGHT, _mark(gate.max_luminance - face.luminance, 65.0)
    yield reason.BLURRED, _mark(face.sharpness - gate.min_sharpness, 0.3)
    yield reason.OCCLUDED, _mark(gate.max_sharpness - face.sharpness, 0.25)
    yield reason.OCCLUDED, _mark(face.contrast - gate.min_contrast, 0.35)
    yield reason.EXTREME_POSE, _mark(gate.max_yaw - abs(face.yaw), 0.32)
    yield reason.EXTREME_POSE, _mark(face.pitch - gate.min_pitch, 0.17)
    yield reason.EXTREME_POSE, _mark(gate.max_pitch - face.pitch, 0.13)
    yield reason.EXTREME_POSE, _mark(face.eye_ratio - gate.min_eye_ratio, 0.38)
    yield reason.EXTREME_POSE, _mark(gate.max_residual - face.residual, 0.07)
    yield reason.LOW_DETECTION_SCORE, _mark(face.score - gate.min_score, 0.05)


def _mark(distance: float, usual: float) -> float:
    """Return 0.5 at the bound, 1 at the usual distance on its good side, 0 as far on the other; 0 for NaN too."""
    if not math.isfinite(distance):
        return 0.0
    return min(max(0.5 + 0.5 * distance / usual, 0.0), 1.0)


def _measure(
    crops: NDArray[np.uint8],
    landmarks_px: NDArray[np.float32],
    scores: NDArray[np.float32],
    residuals: NDArray[np.float32],
    template: NDArray[np.float64],
) -> list[FaceMeasures]:
    with torch.inference_mode():
        grey, points = _grey_faces(crops, template)
        inside = _measure_inside(grey, points)
    geometry = _measure_geometry(landmarks_px)
    columns: dict[str, NDArray[np.floating]] = {**inside, **geometry, "residual": residuals, "score": scores}
    lists = {name: column.tolist() for name, column in columns.items()}
    return [FaceMeasures(**{name: column[row] for name, column in lists.items()}) for row in range(len(crops))]


def _grey_faces(crops: NDArray[np.uint8], template: NDArray[np.float64]) -> tuple[Tensor, NDArray[np.float64]]:
    """Cut the same part of every face out of its crop, whatever the template, at one size.

    Returns:
        Luminance, float32 [N, 48, 48], and where the landmarks should lie in it, float [5, 2].
    """
    size = crops.shape[1]
    reach = _REACH * float(np.linalg.norm(template[1] - template[0]))
    middle = template.mean(axis=0)
    (left, top), (right, bottom) = (np.rint(np.clip(middle + by, 0, 1) * size).astype(int) for by in (-reach, reach))
    part = torch.from_numpy(crops[:, top:bottom, left:right]).permute(0, 3, 1, 2)
    scaled = F.interpolate(part, size=(_SIDE, _SIDE), mode="bilinear", antialias=True).to(torch.float32)
    luma = torch.tensor(_LUMA).view(1, 3, 1, 1)
    points = (template * size - (left, top)) * _SIDE / np.asarray((right - left, bottom - top))
    return (scaled * luma).sum(dim=1), points


def _measure_inside(grey: Tensor, points: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """Measure light, detail and the contrast around eyes and mouth, [N] each."""
    whole = grey.std(dim=(1, 2)) + _FLOOR
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    detail = F.conv2d(grey[:, None], kernel[None, None]).std(dim=(1, 2, 3))
    left_eye, right_eye, _, left_mouth, right_mouth = points
    areas = ((left_eye, _EYE), (right_eye, _EYE), ((left_mouth + right_mouth) / 2, _MOUTH))
    contrast = torch.stack([_around(grey, place, half).std(dim=(1, 2)) / whole for place, half in areas])
    return {
        "luminance": grey.mean(dim=(1, 2)).numpy(),
        "sharpness": (detail / whole).numpy(),
        "contrast": contrast.amin(dim=0).numpy(),
    }


def _around(grey: Tensor, place: NDArray[np.float64], half: tuple[int, int]) -> Tensor:
    """Return the pixels around a place, float32 [N, h, w]; at least two, wherever it lies."""
    x, y = np.clip(place, 1, _SIDE - 2).astype(int)
    return grey[:, max(0, y - half[1]) : y + half[1] + 1, max(0, x - half[0]) : x + half[0] + 1]


def _measure_geometry(landmarks_px: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Measure size and pose from the landmarks, [N] each; NaN or infinite where they make no sense."""
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks_px.astype(np.float64).transpose(1, 0, 2)
    with np.errstate(all="ignore"):  # what is not finite is marked 0
        eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
        apart = np.linalg.norm(right_eye - left_eye, axis=1)
        line = mouth - eyes
        length = np.linalg.norm(line, axis=1)
        down = line / length[:, None]
        across = np.stack((down[:, 1], -down[:, 0]), axis=-1)  # to the right of an upright picture
        return {
            "eye_distance_px": np.maximum(apart, length),
            "yaw": ((nose - eyes) * across).sum(axis=1) / length,
            "pitch": ((nose - eyes) * down).sum(axis=1) / length,
            "eye_ratio": apart / length,
        }
