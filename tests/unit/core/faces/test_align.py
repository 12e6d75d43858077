"""Faces come to lie where the backbone expects them, from the full-size pixels, whatever the landmarks are."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from core.faces.align import align_faces, align_photos, fit_similarities
from core.faces.detect import Detector
from core.faces.detect_scale import scale_photo
from core.images.decode import DecodeLimits, decode_photo
from tests.detection import detect_one, photos_of, read_photo

TEMPLATE = np.asarray(
    [(0.3156, 0.4616), (0.6826, 0.4616), (0.5003, 0.6405), (0.3495, 0.8247), (0.6534, 0.8247)], np.float64
)
SIZE = 64
Pixels = NDArray[np.uint8]


def placed(scale: float, angle: float, x: float, y: float) -> NDArray[np.float32]:
    """Landmarks of a perfect face: the template turned by `angle` and scaled to `scale` pixels a side, at (x, y)."""
    turned = (TEMPLATE @ (1, 1j)) * scale * np.exp(1j * angle) + complex(x, y)
    return np.stack((turned.real, turned.imag), axis=-1).astype(np.float32)[None]


def draw_photo(height: int, width: int) -> Pixels:
    """A soft pattern in which every place looks different."""
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def opencv_crop(photo: Pixels, landmarks: NDArray[np.float32], size: int = SIZE) -> Pixels:
    """The same crop as OpenCV makes it."""
    fit = fit_similarities(landmarks, TEMPLATE * size)
    turn, move = fit.turns[0], fit.moves[0]
    matrix = np.asarray([[turn.real, -turn.imag, move.real], [turn.imag, turn.real, move.imag]])
    return np.asarray(cv2.warpAffine(photo, matrix, (size, size)))


@pytest.mark.parametrize(("scale", "angle"), [(100.0, 0.0), (33.0, 0.4), (900.0, -2.5), (64.0, 3.1)])
def test_a_known_similarity_is_found_exactly(scale: float, angle: float) -> None:
    fit = fit_similarities(placed(scale, angle, 310.0, -45.0), TEMPLATE)
    assert np.abs(fit.turns[0] - np.exp(-1j * angle) / scale) < 1e-6 / scale
    assert np.abs(fit.turns[0] * complex(310.0, -45.0) + fit.moves[0]) < 1e-5
    assert fit.residuals[0] < 1e-5


def test_the_residual_is_the_landmarks_distance_in_sides_of_the_crop() -> None:
    moved = placed(200.0, 0.3, 50.0, 60.0)
    moved[0, 2] += (0.0, 20.0)  # a nose a tenth of the side away: the fit takes up part of it
    residual = align_faces(np.zeros((300, 300, 3), np.uint8), moved, TEMPLATE, SIZE).residuals[0]
    assert 0.02 < residual < 0.1 / np.sqrt(5)


def test_no_similarity_fits_better() -> None:
    generator = np.random.default_rng(0)
    points = placed(150.0, 0.2, 80.0, 90.0) + generator.normal(0, 8, (1, 5, 2)).astype(np.float32)
    fit = fit_similarities(points, TEMPLATE)
    flat, goal = points[0].astype(float) @ (1, 1j), TEMPLATE @ (1, 1j)
    for _ in range(200):
        turn = fit.turns[0] * (1 + generator.normal(0, 0.01) + 1j * generator.normal(0, 0.01))
        move = fit.moves[0] + generator.normal(0, 0.01) + 1j * generator.normal(0, 0.01)
        assert np.sqrt((np.abs(turn * flat + move - goal) ** 2).mean()) >= fit.residuals[0] - 1e-9


def test_a_mirror_image_is_not_turned_over() -> None:
    """Landmarks in mirrored order fit badly, and the crop is not reflected to make them fit."""
    mirrored = placed(100.0, 0.0, 50.0, 50.0)
    mirrored[0, :, 0] = 200.0 - mirrored[0, :, 0]
    fit = fit_similarities(mirrored, TEMPLATE)
    assert fit.residuals[0] > 0.15


@pytest.mark.parametrize("angle", [0.0, 0.5, -1.2])
def test_crops_are_those_of_opencv(angle: float) -> None:
    photo = draw_photo(240, 320)
    for x, y in ((120.0, 60.0), (-20.0, -15.0), (290.0, 200.0)):  # inside, and across two corners
        landmarks = placed(80.0, angle, x, y)
        crop = align_faces(photo, landmarks, TEMPLATE, SIZE).crops[0]
        assert np.abs(crop.astype(int) - opencv_crop(photo, landmarks)).max() <= 2


def test_real_crops_are_those_of_opencv(detector: Detector, test_data: Path) -> None:
    for file in photos_of(test_data, "lfw_dev/known")[::60]:
        photo = read_photo(file)
        landmarks = detect_one(detector, photo).landmarks_px
        for face, crop in zip(landmarks, align_faces(photo, landmarks, TEMPLATE, 128).crops, strict=True):
            assert np.abs(crop.astype(int) - opencv_crop(photo, face[None], 128)).max() <= 2


def test_outside_the_photo_is_black() -> None:
    photo = np.full((100, 100, 3), 200, np.uint8)
    crop = align_faces(photo, placed(64.0, 0.0, -32.0, 0.0), TEMPLATE, SIZE).crops[0]
    assert (crop[:, :31] == 0).all()
    assert (crop[:, 33:] == 200).all()


@pytest.mark.parametrize("at", [(500.0, 500.0), (-900.0, 20.0)])
def test_a_face_beside_the_photo_is_black(at: tuple[float, float]) -> None:
    photo = np.full((100, 100, 3), 200, np.uint8)
    assert not align_faces(photo, placed(64.0, 0.0, *at), TEMPLATE, SIZE).crops.any()


@pytest.mark.parametrize("scale", [300.0, 640.0, 1500.0])
def test_a_large_face_is_averaged_and_does_not_alias(scale: float) -> None:
    checkers = (np.indices((1600, 1600)).sum(axis=0) % 2 * 255).astype(np.uint8)
    photo = np.repeat(checkers[:, :, None], 3, axis=2)
    crop = align_faces(photo, placed(scale, 0.1, 100.0, 20.0), TEMPLATE, SIZE).crops[0]
    assert crop[16:-16, 16:-16].std() < 20  # single pixels of it would scatter by 127


def test_a_large_face_lies_where_a_small_one_does() -> None:
    rows, columns = np.indices((160, 160), dtype=np.uint8)
    small = np.stack((columns, rows, columns), axis=-1)  # a pixel's colour is its place
    large = scale_photo(small, 1280).pixels  # pixel x of the small one has its middle at 8 x + 3.5 of the large one
    here = placed(64.0, 0.2, 60.0, 40.0)
    crop = align_faces(small, here, TEMPLATE, SIZE).crops[0]
    same = align_faces(large, 8 * here + np.float32(3.5), TEMPLATE, SIZE).crops[0]
    assert np.abs(crop.astype(int) - same).max() <= 1


@pytest.mark.parametrize("value", [0.0, 7.5, np.nan, np.inf, 1e30])
def test_landmarks_that_are_no_face_give_a_black_crop_and_never_raise(value: float) -> None:
    photo = np.full((50, 50, 3), 200, np.uint8)
    faces = np.stack([np.full((5, 2), value, np.float32), placed(40.0, 0.0, 5.0, 5.0)[0]])
    aligned = align_faces(photo, faces, TEMPLATE, SIZE)
    assert np.isinf(aligned.residuals[0])
    assert not aligned.crops[0].any()
    assert aligned.residuals[1] < 1e-5
    assert aligned.crops[1].any()


def test_one_landmark_that_is_not_finite_gives_a_black_crop() -> None:
    landmarks = placed(40.0, 0.0, 5.0, 5.0)
    landmarks[0, 3, 1] = np.nan
    aligned = align_faces(np.full((50, 50, 3), 200, np.uint8), landmarks, TEMPLATE, SIZE)
    assert np.isinf(aligned.residuals[0])
    assert not aligned.crops.any()


def test_faces_together_are_aligned_as_one_by_one() -> None:
    photo = draw_photo(300, 400)
    faces = np.concatenate([placed(60.0 + 50 * n, 0.3 * n, 60.0 * n, 30.0) for n in range(5)])
    together = align_faces(photo, faces, TEMPLATE, SIZE)
    for row, face in enumerate(faces):
        alone = align_faces(photo, face[None], TEMPLATE, SIZE)
        assert np.array_equal(together.crops[row], alone.crops[0])
        assert together.residuals[row] == alone.residuals[0]


def test_photos_together_are_aligned_as_one_by_one() -> None:
    photos = [draw_photo(300, 400), draw_photo(120, 90), draw_photo(200, 240)]
    faces = [
        np.concatenate([placed(90.0, 0.1, 40.0, 30.0)] * 2),
        np.zeros((0, 5, 2), np.float32),
        placed(70.0, 0, 9, 9),
    ]
    together = align_photos(photos, faces, TEMPLATE, SIZE)
    for photo, landmarks, aligned in zip(photos, faces, together, strict=True):
        alone = align_faces(photo, landmarks, TEMPLATE, SIZE)
        assert np.array_equal(aligned.crops, alone.crops)
        assert np.array_equal(aligned.residuals, alone.residuals)


def test_no_faces_give_no_crops() -> None:
    aligned = align_faces(np.zeros((9, 9, 3), np.uint8), np.zeros((0, 5, 2), np.float32), TEMPLATE, SIZE)
    assert aligned.crops.shape == (0, SIZE, SIZE, 3)
    assert aligned.residuals.shape == (0,)


def test_a_view_with_strides_is_aligned_as_its_copy() -> None:
    photo = draw_photo(200, 240)[:, ::-1]
    landmarks = placed(90.0, 0.1, 40.0, 30.0)
    crops = [align_faces(pixels, landmarks, TEMPLATE, SIZE).crops for pixels in (photo, photo.copy())]
    assert np.array_equal(*crops)


def stored_as(photo: Pixels, orientation: int) -> bytes:
    """A file whose pixels lie as a camera held that way stores them, and that says so."""
    turns = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # undoing each orientation
    picture = Image.fromarray(photo)
    turn = turns[orientation]
    picture = picture if turn is None else picture.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


def test_the_same_face_is_cut_out_of_every_exif_orientation(detector: Detector, test_data: Path) -> None:
    """The orientation files show landscapes: a person's face is put into each, and the file turned as it was."""
    face = read_photo(photos_of(test_data, "lfw_dev/known")[0])
    files = photos_of(test_data, "exif_orientation")
    assert len(files) == 18
    for shape in ("Landscape", "Portrait"):
        crops = []
        for file in (file for file in files if file.name.startswith(shape)):
            upright = read_photo(file).copy()
            upright[300:550, 400:650] = face
            with Image.open(file) as image:
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1) or 1
            photo = decode_photo(stored_as(upright, orientation), DecodeLimits()).pixels
            found = detect_one(detector, photo)
            assert len(found) == 1
            crops.append(align_faces(photo, found.landmarks_px, TEMPLATE, SIZE).crops[0].astype(int))
        assert len(crops) == 9
        assert all(np.abs(crop - crops[0]).mean() < 6 for crop in crops)


def test_the_orientation_files_hold_no_face(detector: Detector, test_data: Path) -> None:
    assert all(
        len(detect_one(detector, read_photo(file))) == 0 for file in photos_of(test_data, "exif_orientation")[::6]
    )
