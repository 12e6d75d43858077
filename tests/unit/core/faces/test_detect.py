"""Faces are found as OpenCV finds them with the same weights, in batches, at sizes that suit the photo."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from core.errors import SettingError, WeightsUnreadableError
from core.faces.detect import MAX_OVERLAP, MIN_SCORE, Detector, load_detector, order_faces
from core.faces.detect_network import FaceDecoder, FaceDetectorNetwork, PhotoHeads
from core.faces.detect_scale import FIRST_LOOK_PX, canvas_of, prepare_for_detection, scale_photo
from core.faces.detect_weights import read_yunet
from core.models.openvino import OpenVinoNetwork
from core.records import EngineKind
from tests.detection import (
    OpenCvDetector,
    annotated_scenes,
    compare,
    count_found,
    crowds,
    detect_one,
    overlaps,
    photos_of,
    read_photo,
    weights_of,
)
from tests.gpu import GPU, needs_gpu


@pytest.fixture(scope="module")
def weights(test_data: Path) -> bytes:
    return weights_of(test_data).read_bytes()


@pytest.fixture(scope="module")
def reference(test_data: Path) -> OpenCvDetector:
    return OpenCvDetector(weights_of(test_data))


def boxes(*rows: tuple[float, float, float, float]) -> NDArray[np.float32]:
    return np.asarray(rows, np.float32).reshape(-1, 4)


def test_the_faces_are_those_that_opencv_finds(detector: Detector, reference: OpenCvDetector, test_data: Path) -> None:
    files = photos_of(test_data, "lfw_dev")[::24] + photos_of(test_data, "scenes/dlib_faces")
    seen = [prepare_for_detection(read_photo(file)).pixels for file in files]
    agreement = compare((detect_one(detector, pixels), reference.detect(pixels)) for pixels in seen)
    assert agreement.reference >= 120
    assert agreement.matched >= 0.995 * agreement.reference
    assert agreement.extra == 0
    assert agreement.landmarks_px < 0.01


def test_every_annotated_face_of_the_scenes_is_found(detector: Detector, test_data: Path) -> None:
    for name, pixels, annotated in annotated_scenes(test_data):
        found = detect_one(detector, pixels)
        assert count_found(annotated, found, overlap=0.45) == len(annotated), name


def test_a_second_look_finds_more_in_crowds_than_opencv(
    detector: Detector, reference: OpenCvDetector, test_data: Path
) -> None:
    ours = theirs = 0
    for pixels, annotated in list(crowds(test_data))[::2]:
        ours += count_found(annotated, detect_one(detector, pixels))
        theirs += count_found(annotated, reference.detect(pixels))
    assert ours > theirs > 50


def test_a_batch_of_mixed_sizes_is_answered_as_one_by_one(detector: Detector, test_data: Path) -> None:
    files = photos_of(test_data, "scenes/dlib_faces")[:4] + photos_of(test_data, "lfw_dev")[:4]
    photos = [prepare_for_detection(read_photo(file)) for file in files[::2] + files[1::2]]
    for photo, together in zip(photos, detector.detect(photos), strict=True):
        alone = detector.detect([photo])[0]
        assert np.allclose(together.boxes_xyxy_px, alone.boxes_xyxy_px, atol=1e-2)
        assert np.allclose(together.landmarks_px, alone.landmarks_px, atol=1e-2)
        assert np.allclose(together.scores, alone.scores, atol=1e-4)


def test_no_photos_give_no_answers(detector: Detector) -> None:
    assert detector.detect([]) == []


def test_a_face_is_stated_in_pixels_of_the_large_original(detector: Detector, test_data: Path) -> None:
    small = read_photo(photos_of(test_data, "scenes/dlib_faces")[0])
    large = scale_photo(small, 2500).pixels
    factor = 2500 / max(small.shape)
    here, there = detect_one(detector, small), detect_one(detector, large)
    assert len(here) == len(there) > 0
    assert overlaps(here.boxes_xyxy_px * factor, there.boxes_xyxy_px).diagonal().min() > 0.8


def test_a_face_that_fills_a_photo_of_12_megapixels_is_found(detector: Detector, test_data: Path) -> None:
    photo = read_photo(photos_of(test_data, "lfw_dev/known")[0])
    x1, y1, x2, y2 = detect_one(detector, photo).boxes_xyxy_px[0].astype(int)
    filled = scale_photo(photo[y1:y2, x1:x2], 4000).pixels
    found = detect_one(detector, filled)
    assert len(found) == 1
    whole = boxes((0, 0, filled.shape[1], filled.shape[0]))
    assert overlaps(found.boxes_xyxy_px, whole)[0, 0] > 0.6


def test_a_face_too_small_for_the_first_look_is_found_by_the_second(detector: Detector, test_data: Path) -> None:
    face = read_photo(photos_of(test_data, "lfw_dev/known")[0])
    meadow = np.full((2400, 3200, 3), (90, 120, 60), np.uint8)
    tile = scale_photo(face, 90).pixels
    meadow[1000:1090, 2000:2090] = tile
    assert len(detector.look([prepare_for_detection(meadow)])[0]) == 0
    found = detect_one(detector, meadow)
    assert len(found) == 1
    assert (found.landmarks_px[0] > (2000, 1000)).all()
    assert (found.landmarks_px[0] < (2090, 1090)).all()


@pytest.mark.parametrize("shape", [(64, 64), (16, 3000), (1, 1), (2000, 20)])
def test_a_photo_without_faces_has_none(detector: Detector, shape: tuple[int, int]) -> None:
    found = detect_one(detector, np.full((*shape, 3), 128, np.uint8))
    assert found.boxes_xyxy_px.shape == (0, 4)
    assert found.landmarks_px.shape == (0, 5, 2)
    assert found.scores.shape == (0,)


def test_boxes_stay_inside_the_photo(detector: Detector, test_data: Path) -> None:
    photo = read_photo(photos_of(test_data, "lfw_dev/known")[0])
    x1, y1, x2, y2 = detect_one(detector, photo).boxes_xyxy_px[0].astype(int)
    for cut in (photo[(y1 + y2) // 2 - 20 :], photo[:, : (x1 + x2) // 2 + 20]):
        height, width = cut.shape[:2]
        found = detect_one(detector, np.ascontiguousarray(cut))
        assert len(found) > 0
        assert (found.boxes_xyxy_px >= 0).all()
        assert (found.boxes_xyxy_px <= (width, height, width, height)).all()
        assert (found.boxes_xyxy_px[:, 2:] > found.boxes_xyxy_px[:, :2]).all()
        assert (found.scores >= MIN_SCORE).all()


def test_the_compiled_network_answers_as_the_eager_one(weights: bytes, test_data: Path) -> None:
    decoder = FaceDecoder(min_score=MIN_SCORE, max_overlap=MAX_OVERLAP)
    eager = FaceDetectorNetwork(PhotoHeads(read_yunet(weights)), decoder).eval()
    compiled = torch.jit.freeze(torch.jit.script(eager))
    batch = torch.zeros((2, 256, 256, 3), dtype=torch.uint8)
    for row, file in zip(batch, photos_of(test_data, "lfw_dev/known")[:2], strict=True):
        row[:250, :250] = torch.from_numpy(read_photo(file))
    with torch.inference_mode():
        expected = eager(batch)
        for _ in range(3):
            answer = compiled(batch)
            assert torch.equal(answer[0], expected[0])
            assert torch.allclose(answer[1], expected[1], atol=1e-4)


def test_the_detector_is_known_by_its_weights(detector: Detector) -> None:
    assert detector.sha256 == "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"


def test_a_file_that_is_no_network_is_refused() -> None:
    with pytest.raises(WeightsUnreadableError, match="no ONNX file"):
        load_detector(b"<html>Please log in</html>", "cpu")


def test_another_network_is_refused(weights: bytes) -> None:
    model = onnx.load_model_from_string(weights)
    del model.graph.node[5]
    with pytest.raises(WeightsUnreadableError, match="another network"):
        read_yunet(model.SerializeToString())


@pytest.mark.parametrize(
    ("name", "shape"),
    [("420", (16, 3, 5, 5)), ("464", (4,)), ("bbox_head.multi_level_obj.1.conv1.weight", (2, 64, 1, 1))],
)
def test_weights_of_another_shape_are_refused(weights: bytes, name: str, shape: tuple[int, ...]) -> None:
    model = onnx.load_model_from_string(weights)
    constant = next(constant for constant in model.graph.initializer if constant.name == name)
    constant.CopyFrom(numpy_helper.from_array(np.zeros(shape, np.float32), name))
    if name == "464":  # no weight, but what one node reads in its place
        model.graph.node[0].input[1] = name
    with pytest.raises(WeightsUnreadableError, match="shape"):
        read_yunet(model.SerializeToString())


def test_weights_outside_the_file_are_refused(weights: bytes) -> None:
    model = onnx.load_model_from_string(weights)
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    with pytest.raises(WeightsUnreadableError, match="not in it"):
        read_yunet(model.SerializeToString())


def test_weights_that_are_not_finite_are_refused(weights: bytes) -> None:
    model = onnx.load_model_from_string(weights)
    constant = model.graph.initializer[0]
    broken = np.full(tuple(constant.dims), np.nan, np.float32)
    constant.CopyFrom(numpy_helper.from_array(broken, constant.name))
    with pytest.raises(WeightsUnreadableError, match="not finite"):
        read_yunet(model.SerializeToString())


def test_openvino_finds_the_same_faces(detector: Detector, weights: bytes, test_data: Path) -> None:
    in_openvino = load_detector(weights, "cpu", engine=EngineKind.OPENVINO)
    photos = [prepare_for_detection(read_photo(file)) for file in photos_of(test_data, "scenes/dlib_faces")]
    for expected, found in zip(detector.detect(photos), in_openvino.detect(photos), strict=True):
        assert len(expected) == len(found)
        assert np.allclose(expected.landmarks_px, found.landmarks_px, atol=0.01)
        assert np.allclose(expected.scores, found.scores, atol=1e-4)


@pytest.mark.parametrize("wrong", ["answers otherwise", "answers with NaN", "does not run"])
def test_a_detector_that_openvino_does_not_run_right_runs_in_torch(
    weights: bytes, wrong: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(network: object, batch: np.ndarray) -> list[np.ndarray]:
        if wrong == "does not run":
            raise RuntimeError("no such kernel")
        filled = np.nan if wrong == "answers with NaN" else 0.5
        _, height, width, _ = batch.shape
        return [np.full((1, height // s, width // s, 16), filled, np.float32) for s in (8, 16, 32)]

    monkeypatch.setattr(OpenVinoNetwork, "__call__", answer)
    blank = prepare_for_detection(np.zeros((64, 64, 3), np.uint8))
    assert len(load_detector(weights, "cpu", engine=EngineKind.OPENVINO).look([blank])[0]) == 0
    assert "OpenVINO" in caplog.text


def test_a_device_that_does_not_exist_is_refused(weights: bytes) -> None:
    with pytest.raises(SettingError, match="cuda:99"):
        load_detector(weights, "cuda:99")


@needs_gpu
def test_a_gpu_finds_what_the_cpu_finds(detector: Detector, weights: bytes, test_data: Path) -> None:
    on_gpu = load_detector(weights, GPU)
    photos = [prepare_for_detection(read_photo(file)) for file in photos_of(test_data, "scenes/dlib_faces")]
    for here, there in zip(detector.detect(photos), on_gpu.detect(photos), strict=True):
        assert len(here) == len(there)
        assert np.allclose(here.landmarks_px, there.landmarks_px, atol=1.0)


def test_faces_are_numbered_from_left_to_right_however_their_heights_jitter() -> None:
    generator = np.random.default_rng(0)
    row = boxes(*((100 * n, 50, 100 * n + 60, 120) for n in range(5)))
    for _ in range(20):
        jitter = np.repeat(generator.uniform(-9, 9, (5, 2)).astype(np.float32), 2, axis=1)[:, [0, 2, 1, 3]]
        shuffled = generator.permutation(5)
        assert np.array_equal(shuffled[order_faces((row + jitter)[shuffled])], np.arange(5))


def test_faces_above_one_another_are_numbered_from_top_to_bottom_however_they_jitter() -> None:
    column = boxes((10, 0, 70, 80), (16, 100, 76, 180), (4, 200, 64, 280), (200, 50, 260, 130))
    generator = np.random.default_rng(0)
    for _ in range(20):
        jitter = generator.uniform(-1, 1, (4, 1)).astype(np.float32)
        shuffled = generator.permutation(4)
        assert np.array_equal(shuffled[order_faces((column + jitter)[shuffled])], np.arange(4))


def test_no_faces_are_put_in_order_too() -> None:
    assert order_faces(boxes()).tolist() == []


def test_a_small_photo_is_looked_at_as_it_is() -> None:
    pixels = np.zeros((FIRST_LOOK_PX, 200, 3), np.uint8)
    photo = prepare_for_detection(pixels)
    assert photo.pixels is pixels
    assert photo.factor_xy == (1.0, 1.0)


def test_a_large_photo_is_scaled_by_averaging() -> None:
    checkers = (np.indices((1280, 2560)).sum(axis=0) % 2 * 255).astype(np.uint8)
    photo = prepare_for_detection(np.repeat(checkers[:, :, None], 3, axis=2))
    assert photo.pixels.shape == (320, 640, 3)
    assert photo.factor_xy == (4.0, 4.0)
    assert np.abs(photo.pixels[2:-2, 2:-2].astype(int) - 127).max() <= 2


def test_a_view_with_strides_is_scaled_as_its_copy() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 700, 3), dtype=np.uint8)
    mirrored = pixels[:, ::-1]
    assert np.array_equal(prepare_for_detection(mirrored).pixels, prepare_for_detection(mirrored.copy()).pixels)


@pytest.mark.parametrize(("longer", "shorter"), [(640, 1), (333, 250), (100_000, 16)])
def test_a_canvas_holds_its_photo_and_is_a_multiple_of_the_stride(longer: int, shorter: int) -> None:
    photo = prepare_for_detection(np.zeros((shorter, longer, 3), np.uint8))
    canvas = canvas_of(photo)
    assert all(side % 32 == 0 and side >= needed for side, needed in zip(canvas, photo.pixels.shape[:2], strict=True))


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_what_is_no_photo_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="uint8"):
        prepare_for_detection(np.zeros(shape, np.uint8))
