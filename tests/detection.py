"""What detection is held to: OpenCV's FaceDetectorYN with the same weights, annotated faces, and how both are scored.

`python -m tests.detection` prints every figure of docs/decisions/0012-detection.md on the whole test data.
"""

import json
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from core.faces.detect import MAX_OVERLAP, MIN_SCORE, Detections, Detector, load_detector
from core.faces.detect_scale import prepare_for_detection
from core.images.decode import DecodeLimits, decode_photo

Pixels = NDArray[np.uint8]


def weights_of(test_data: Path) -> Path:
    """The detector's ONNX file."""
    return test_data / "weights" / "yunet" / "face_detection_yunet_2023mar.onnx"


def read_photo(file: Path) -> Pixels:
    return decode_photo(file.read_bytes(), DecodeLimits()).pixels


class OpenCvDetector:
    """The reference, at the scale of the pixels that it is given."""

    def __init__(self, weights: Path) -> None:
        self._detector = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), MIN_SCORE, MAX_OVERLAP)

    def detect(self, pixels: Pixels) -> Detections:
        height, width = pixels.shape[:2]
        self._detector.setInputSize((width, height))
        found = self._detector.detect(np.ascontiguousarray(pixels[:, :, ::-1]))[1]
        faces = np.zeros((0, 15), np.float32) if found is None else found
        corners = np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:4]], axis=1)
        boxes = corners.reshape(-1, 2, 2).clip(0, (width, height)).reshape(-1, 4)
        return Detections(
            boxes_xyxy_px=boxes, landmarks_px=faces[:, 4:14].reshape(-1, 5, 2), scores=np.asarray(faces[:, 14])
        )


def overlaps(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of every box with every other, [N, M]."""
    a, b = np.asarray(boxes, float).reshape(-1, 1, 4), np.asarray(others, float).reshape(1, -1, 4)
    shared = np.prod(np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None), axis=-1)
    sizes = [np.prod(c[..., 2:] - c[..., :2], axis=-1) for c in (a, b)]
    return shared / np.maximum(sizes[0] + sizes[1] - shared, 1e-9)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How faces compare with the reference's."""

    reference: int
    """Faces of the reference."""
    matched: int
    """Those of them that were found at an overlap of 0.9."""
    extra: int
    """Faces that the reference has not, not even at an overlap of 0.5."""
    landmarks_px: float
    """Mean distance of the matched faces' landmarks."""


def compare(pairs: Iterable[tuple[Detections, Detections]]) -> Agreement:
    """Compare (ours, reference's) photo by photo."""
    reference = matched = extra = 0
    distances: list[float] = []
    for ours, theirs in pairs:
        table = overlaps(theirs.boxes_xyxy_px, ours.boxes_xyxy_px)
        reference += len(theirs)
        extra += int((table.max(axis=0, initial=0.0) < 0.5).sum())
        for row in np.flatnonzero(table.max(axis=1, initial=0.0) >= 0.9):
            matched += 1
            moved = ours.landmarks_px[table[row].argmax()] - theirs.landmarks_px[row]
            distances.extend(np.linalg.norm(moved, axis=1))
    return Agreement(
        reference=reference, matched=matched, extra=extra, landmarks_px=float(np.mean(distances)) if distances else 0.0
    )


def count_found(boxes: NDArray[np.floating], found: Detections, overlap: float = 0.5) -> int:
    """Count annotated boxes that a detection overlaps."""
    return int((overlaps(boxes, found.boxes_xyxy_px).max(axis=1, initial=0.0) >= overlap).sum())


def crowds(test_data: Path) -> Iterator[tuple[Pixels, NDArray[np.floating]]]:
    """The annotated crowds of `scenes/wider_416`: pixels and boxes."""
    folder = test_data / "data" / "scenes" / "wider_416"
    for name, boxes in json.loads((folder / "boxes_xyxy.json").read_text()).items():
        yield read_photo(folder / "images" / name), np.asarray(boxes, float).reshape(-1, 4)


def annotated_scenes(test_data: Path) -> Iterator[tuple[str, Pixels, NDArray[np.floating]]]:
    """The annotated photos of `scenes/dlib_faces`: name, pixels and boxes."""
    folder = test_data / "data" / "scenes" / "dlib_faces"
    for listing in ("training.xml", "testing.xml"):
        for image in ElementTree.parse(folder / listing).iter("image"):
            corners = [
                [float(box.attrib[key]) for key in ("left", "top", "width", "height")] for box in image.iter("box")
            ]
            boxes = np.asarray(corners).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            yield image.attrib["file"], read_photo(folder / image.attrib["file"]), boxes


def photos_of(test_data: Path, *folders: str) -> list[Path]:
    """The JPEG files below folders of the test data, in order."""
    return sorted(file for folder in folders for file in (test_data / "data" / folder).rglob("*.jpg"))


def detect_one(detector: Detector, pixels: Pixels) -> Detections:
    return detector.detect([prepare_for_detection(pixels)])[0]


def _compare_at_one_scale(detector: Detector, reference: OpenCvDetector, files: Sequence[Path]) -> Agreement:
    """Compare on what the first look sees."""

    def pairs() -> Iterator[tuple[Detections, Detections]]:
        for file in files:
            scaled = prepare_for_detection(read_photo(file)).pixels
            yield detect_one(detector, scaled), reference.detect(scaled)

    return compare(pairs())


def _milliseconds(call: Callable[[], object], rounds: int = 30) -> float:
    """Median time of a call on its core, other processes left out."""
    times = []
    for _ in range(rounds):
        begun = time.thread_time()
        call()
        times.append(time.thread_time() - begun)
    return 1e3 * float(np.median(times))


def _speeds(detector: Detector, reference: OpenCvDetector) -> Iterator[str]:
    for width, height in ((250, 250), (500, 375), (640, 480), (1600, 1200)):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        photo = prepare_for_detection(pixels)
        ours = _milliseconds(lambda photo=photo: detector.look([photo] * 4)) / 4
        scaling = _milliseconds(lambda pixels=pixels: prepare_for_detection(pixels))
        theirs = _milliseconds(lambda pixels=pixels: reference.detect(pixels), 10)
        yield f"{width} x {height}: {ours:.2f} ms in fours, scaling {scaling:.2f} ms; OpenCV {theirs:.2f} ms"


def main(test_data: Path) -> None:
    """Print every figure."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    detector = load_detector(weights_of(test_data).read_bytes(), "cpu", threads=1)
    reference = OpenCvDetector(weights_of(test_data))

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    for folder in ("lfw_dev", "scenes/dlib_faces", "scenes/wider_416", "exif_orientation"):
        say(f"{folder}: {_compare_at_one_scale(detector, reference, photos_of(test_data, folder))}")
    for name, find in (("facefleet", lambda pixels: detect_one(detector, pixels)), ("OpenCV", reference.detect)):
        found = [(len(boxes), count_found(boxes, find(pixels))) for pixels, boxes in crowds(test_data)]
        say(f"crowds, {name}: {sum(hits for _, hits in found)} of {sum(total for total, _ in found)}")
        scenes = [(len(boxes), count_found(boxes, find(pixels))) for _, pixels, boxes in annotated_scenes(test_data)]
        say(f"scenes, {name}: {sum(hits for _, hits in scenes)} of {sum(total for total, _ in scenes)}")
    for line in _speeds(detector, reference):
        say(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
