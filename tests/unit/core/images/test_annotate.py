import dataclasses
import itertools
import random

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.images.annotate import LONGEST_SIDE_PX, STYLES, Mark, annotate_photo
from core.images.decode import DecodedPhoto
from core.images.drawn_people import draw_people
from core.images.drawn_photo import take_photo
from core.images.fonts import Fonts
from core.records import FaceOutcome

# Linear RGB as seen without the eye's red, green or blue receptors: Machado, Oliveira and Fernandes (2009), severity 1.
SIGHTS = {
    "all receptors": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


@pytest.mark.parametrize("outcome", STYLES)
def test_the_edge_of_a_box_has_the_colour_of_its_outcome(outcome: FaceOutcome | None) -> None:
    picture = annotate(gray(900, 600), Mark(box_xyxy_px=(300, 200, 500, 400), text="", outcome=outcome))

    edges = [picture[200, 300:500], picture[399, 300:500], picture[200:400, 300], picture[200:400, 499]]
    for edge in edges:
        drawn = (edge == STYLES[outcome].colour).all(axis=1)
        assert drawn.mean() > (0.4 if STYLES[outcome].dashes else 0.98)
        assert drawn.all() == (not STYLES[outcome].dashes)
    assert (picture[205:395, 305:495] == 90).all()
    assert (picture[:190] == 90).all() and (picture[410:] == 90).all()


def test_boxes_are_in_pixels_of_the_original_however_the_photo_was_decoded() -> None:
    mark = Mark(box_xyxy_px=(800, 800, 1600, 1600), text="")
    reduced = gray(500, 400, scale=1 / 8)  # of 4000 x 3200

    whole, small = annotate(gray(4000, 3200), mark), annotate(reduced, mark)

    assert whole.shape == small.shape == (1638, LONGEST_SIDE_PX, 3)
    assert (whole == small).all()
    assert tuple(whole[500, round(800 * LONGEST_SIDE_PX / 4000)]) == STYLES[None].colour


@pytest.mark.parametrize(
    ("size", "shown"), [((92, 112), (526, 640)), ((640, 480), (640, 480)), ((3000, 60), (2048, 41))]
)
def test_small_photos_are_enlarged_and_large_ones_reduced(size: tuple[int, int], shown: tuple[int, int]) -> None:
    picture = annotate_photo(gray(*size), [], Fonts([]))

    assert picture.size == shown


def test_the_photo_itself_is_left_as_it_was() -> None:
    photo = drawn_photo(640)
    before = photo.pixels.copy()

    annotate_photo(photo, [Mark(box_xyxy_px=(0, 0, 640, 640), text="Ada")], Fonts([]))

    assert (photo.pixels == before).all()


@pytest.mark.parametrize("size", [(92, 112), (160, 160), (640, 480), (400, 3000), (3000, 60), (4000, 3000)])
@pytest.mark.parametrize("text", ["Ada Lovelace 97\u00a0%", "W" * 300, "low quality: " + "too small, " * 20])
def test_a_text_never_leaves_the_picture(size: tuple[int, int], text: str) -> None:
    """Its plate has a black edge all round it, also where its box reaches the edge of the photo."""
    mark = Mark(box_xyxy_px=(0.6 * size[0], 0.7 * size[1], size[0], size[1]), text=text, outcome=FaceOutcome.AMBIGUOUS)

    plates = written(gray(*size), mark)

    picture = annotate(gray(*size), mark)
    rows, columns = np.nonzero(plates)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    for edge in (picture[top, left:right], picture[bottom, left:right]):
        assert (edge == 0).all(axis=1).mean() > 0.95
    for edge in (picture[top:bottom, left], picture[top:bottom, right]):
        assert (edge == 0).all(axis=1).mean() > 0.95


def test_a_face_that_is_the_whole_photo_has_its_box_and_text_inside() -> None:
    mark = Mark(box_xyxy_px=(0, 0, 160, 160), text="Ada", outcome=FaceOutcome.IDENTIFIED)

    colour = (annotate(gray(160, 160), mark) == STYLES[FaceOutcome.IDENTIFIED].colour).all(axis=2)
    assert colour[-1].mean() > 0.98 and colour[:, -1].mean() > 0.98
    assert written(gray(160, 160), mark).sum() > 300


def test_forty_faces_keep_forty_plates_apart() -> None:
    marks = [
        Mark(box_xyxy_px=(x, y, x + 60, y + 75), text="Person", outcome=FaceOutcome.AMBIGUOUS)
        for x, y in itertools.product(range(60, 1260, 150), range(60, 960, 180))
    ]

    _, _, islands, _ = cv2.connectedComponentsWithStats(written(gray(1280, 960), *marks).astype(np.uint8))
    sizes = islands[1:, cv2.CC_STAT_AREA]
    assert len(marks) == 40
    assert len(sizes) == 40
    assert sizes.min() > 0.95 * sizes.max()


def test_landmarks_are_dots_where_they_are() -> None:
    points = ((340, 260), (460, 260), (400, 300), (350, 350), (450, 350))
    with_them = annotate(gray(900, 600), Mark(box_xyxy_px=(300, 200, 500, 400), text="", landmarks_px=points))
    without = annotate(gray(900, 600), Mark(box_xyxy_px=(300, 200, 500, 400), text=""))

    for x, y in points:
        assert tuple(with_them[y, x]) == (255, 255, 255)
        assert tuple(without[y, x]) == (90, 90, 90)


def test_a_caption_stands_in_the_corner() -> None:
    picture = np.asarray(annotate_photo(drawn_photo(160), [], Fonts([]), caption="no face"))

    assert (picture[0, :40] == 0).all()
    assert (picture[2:10, 2] == 255).all()


def test_outcomes_look_different_to_everyone() -> None:
    """By colour, whatever receptors the eye has, and without colour by the line."""
    for one, other in itertools.combinations(FaceOutcome, 2):
        assert STYLES[one].dashes != STYLES[other].dashes
        for sight in SIGHTS.values():
            assert np.linalg.norm(lab(STYLES[one].colour, sight) - lab(STYLES[other].colour, sight)) > 36


def test_black_text_is_read_on_every_plate() -> None:
    for style in STYLES.values():
        luminance = np.array([0.2126, 0.7152, 0.0722]) @ linear(style.colour)
        assert (luminance + 0.05) / 0.05 >= 5  # WCAG 2.2 asks for 4.5


@pytest.mark.parametrize("shade", [0, 255])
def test_a_box_is_seen_on_black_and_on_white(shade: int) -> None:
    for outcome in STYLES:
        photo = gray(900, 600, shade=shade)
        edge = annotate(photo, Mark(box_xyxy_px=(300, 200, 500, 400), text="", outcome=outcome))[290:310, 290:310]
        assert np.abs(edge.astype(int) - shade).max() >= 127


def annotate(photo: DecodedPhoto, *marks: Mark) -> NDArray[np.uint8]:
    return np.asarray(annotate_photo(photo, marks, Fonts([])))


def gray(width: int, height: int, *, shade: int = 90, scale: float = 1.0) -> DecodedPhoto:
    """A photo of one shade, decoded at `scale`."""
    pixels = np.full((height, width, 3), shade, np.uint8)
    return DecodedPhoto(
        pixels=pixels, width_px=round(width / scale), height_px=round(height / scale), format="PNG", scale=scale
    )


def drawn_photo(size_px: int) -> DecodedPhoto:
    """A photo of nobody."""
    (person,) = draw_people(1, random.Random(0))
    pixels = np.array(take_photo(person, size_px, random.Random(1)))
    return DecodedPhoto(pixels=pixels, width_px=size_px, height_px=size_px, format="PNG", scale=1.0)


def written(photo: DecodedPhoto, *marks: Mark) -> NDArray[np.bool_]:
    """Where the texts of marks are drawn, plates and all."""
    silent = [dataclasses.replace(mark, text="") for mark in marks]
    return (annotate(photo, *marks) != annotate(photo, *silent)).any(axis=2)


def linear(colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """sRGB as light."""
    share = np.array(colour) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(colour: tuple[int, int, int], sight: list[list[float]]) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of a colour as it is seen."""
    seen = np.clip(np.array(sight) @ linear(colour), 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    x, y, z = np.cbrt(np.maximum(np.array(to_xyz) @ seen / [0.95047, 1, 1.08883], 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
