"""Draws one person's head and shoulders with an expression. Knows nothing of background, light and camera."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops

from core.images.drawn_hair import beard_colour, draw_back_hair, draw_beard, draw_front_hair
from core.images.drawn_pen import Pen, Point, between, circle, mirrored, mixed
from core.images.drawn_people import IRISES, SKINS, Colour, DrawnPerson, Glasses, Hair

_EYE_Y = -0.06
_WHITE: Colour = (255, 255, 255)
_INK: Colour = (40, 28, 30)
_GOLD: Colour = (232, 190, 90)
_FRECKLES = (
    (0.18, 0.2),
    (0.26, 0.27),
    (0.33, 0.18),
    (0.4, 0.26),
    (0.3, 0.34),
    (0.46, 0.2),
    (0.21, 0.3),
    (0.08, 0.1),
    (0.38, 0.33),
)


@dataclass(frozen=True, kw_only=True)
class Expression:
    """What a face does in one photo."""

    smile: float = 0.5
    """-1 (earnest) to 1 (beaming)."""
    open_mouth: float = 0.0
    """0..1."""
    brows: float = 0.0
    """-1 (lowered) to 1 (raised)."""
    open_eyes: float = 1.0
    """0 (shut) to 1."""
    gaze: Point = (0.0, 0.0)
    """Where the eyes look, -1..1 to each side."""


def draw_portrait(pen: Pen, person: DrawnPerson, expression: Expression, clothes: Colour) -> None:
    """Draw a person over what is on the canvas."""
    skin = _skin(person)
    width = between(0.68, 0.84, person.face_width)
    outline = _outline(person, width)
    draw_back_hair(pen, person, width)
    _draw_body(pen, skin, clothes)
    if person.hair is not Hair.SCARF:
        _draw_ears(pen, person, skin, width)
    face = pen.mask(outline)
    pen.tint(face, skin, 1.0)
    _shade(pen, skin, face, width, blush=between(0.6, 0.3, person.skin))
    _draw_marks(pen, person, skin)
    mouth_y = between(0.5, 0.6, person.nose_length)
    draw_beard(pen, person, outline, face, mouth_y)
    _draw_mouth(pen, person, expression, skin, mouth_y)
    _draw_nose(pen, person, skin)
    for side in (-1, 1):
        _draw_eye(pen, person, expression, skin, side)
        _draw_brow(pen, person, expression, side)
    draw_front_hair(pen, person, outline, width)
    _draw_glasses(pen, person, width)


def _skin(person: DrawnPerson) -> Colour:
    place = person.skin * (len(SKINS) - 1)
    index = min(int(place), len(SKINS) - 2)
    return mixed(SKINS[index], SKINS[index + 1], place - index)


def _darker(skin: Colour, share: float) -> Colour:
    return mixed(skin, (96, 34, 24), share)


def _outline(person: DrawnPerson, width: float) -> list[Point]:
    jaw = between(0.66, 0.92, person.jaw)
    chin = between(0.2, 0.4, person.jaw)
    bottom = between(0.94, 1.06, person.chin)
    return mirrored(
        (
            (0.0, -1.02),
            (width * 0.62, -0.9),
            (width * 0.98, -0.38),
            (width * 0.98, 0.1),
            (width * jaw, 0.58),
            (chin, bottom - 0.08),
            (0.0, bottom),
        )
    )


def _draw_body(pen: Pen, skin: Colour, clothes: Colour) -> None:
    shoulders = mirrored(((0.0, 1.18), (0.42, 1.2), (1.05, 1.42), (1.38, 1.9), (1.4, 2.6), (0.0, 2.6)))
    pen.shape(mirrored(((0.0, 0.6), (0.36, 0.6), (0.36, 1.1), (0.5, 1.32), (0.0, 1.62))), _darker(skin, 0.14), -0.1)
    pen.shape(shoulders, clothes, -0.15)
    pen.shape(mirrored(((0.0, 1.1), (0.36, 1.14), (0.3, 1.36), (0.0, 1.5))), _darker(skin, 0.14), -0.1)
    pen.tint(
        pen.mask(circle((0.0, 1.0), 0.42, 0.5), -0.1),
        _darker(skin, 0.5),
        0.5,
        0.08,
        within=pen.mask(circle((0.0, 1.1), 0.36)),
    )


def _draw_ears(pen: Pen, person: DrawnPerson, skin: Colour, width: float) -> None:
    size = between(0.15, 0.23, person.ears)
    for side in (-1, 1):
        centre = (side * width * 1.0, 0.06)
        pen.shape(circle(centre, size * 0.72, 1.45), _darker(skin, 0.06), -0.12)
        pen.shape(circle((centre[0] + side * 0.015, 0.06), size * 0.4, 1.4), _darker(skin, 0.2), -0.12)
        if person.earrings:
            pen.dot((centre[0] + side * 0.02, 0.06 + size * 1.25), 0.055, _GOLD, -0.12)


def _shade(pen: Pen, skin: Colour, face: Image.Image, width: float, blush: float) -> None:
    """Round the head off: darker edges, rosy cheeks, shadow under the brows, light on forehead, nose and chin."""
    middle = pen.mask(circle((0.0, -0.02), width * 0.84, 1.16))
    pen.tint(ImageChops.invert(middle), _darker(skin, 0.4), 0.5, 0.16, within=face)
    for side in (-1, 1):
        pen.tint(
            pen.mask(circle((side * 0.43, 0.28), 0.17), 0.1), mixed(skin, (226, 74, 70), 0.5), blush, 0.1, within=face
        )
    light = ImageChops.lighter(
        pen.mask(circle((0.0, -0.5), 0.28, 0.6), 0.1), pen.mask(circle((0.0, 0.86), 0.1, 0.7), 0.1)
    )
    pen.tint(light, mixed(skin, _WHITE, 0.6), 0.35, 0.12, within=face)


def _draw_marks(pen: Pen, person: DrawnPerson, skin: Colour) -> None:
    if person.freckles:
        for x, y in _FRECKLES:
            for side in (-1, 1):
                pen.dot((side * x, y + 0.02 * side), 0.017, _darker(skin, 0.34), 0.18)
    if person.mole >= 0.6:
        spots = ((0.34, 0.46), (-0.36, 0.4), (0.22, 0.4), (-0.46, 0.12))
        pen.dot(spots[min(int((person.mole - 0.6) / 0.1), 3)], 0.028, mixed(skin, _INK, 0.75), 0.15)


def _draw_nose(pen: Pen, person: DrawnPerson, skin: Colour) -> None:
    half, tip = between(0.09, 0.19, person.nose_width), between(0.2, 0.34, person.nose_length)
    shadow = _darker(skin, 0.42)
    pen.tint(pen.mask(((0.02, -0.05), (0.07, 0.0), (half, tip), (0.0, tip + 0.05)), 0.3), shadow, 0.3, 0.045)
    pen.tint(
        pen.mask(circle((-0.02, tip - 0.07), half * 0.45, 1.2), 0.34),
        mixed(skin, _WHITE, 0.7),
        between(0.5, 0.22, person.skin),
        0.04,
    )
    wings = [
        (-half, tip - 0.05),
        (-half * 0.9, tip + 0.02),
        (0.0, tip + 0.06),
        (half * 0.9, tip + 0.02),
        (half, tip - 0.05),
    ]
    pen.stroke(wings, shadow, 0.028, 0.3)


def _draw_mouth(pen: Pen, person: DrawnPerson, expression: Expression, skin: Colour, y: float) -> None:
    half = between(0.22, 0.34, person.mouth_width) * (1 + 0.12 * max(expression.smile, 0.0))
    full = between(0.035, 0.085, person.lips)
    lift = 0.03 + 0.075 * expression.smile
    gap = 0.11 * expression.open_mouth
    low = y + lift * 0.5 + gap
    lip = mixed(_darker(skin, 0.36), (200, 60, 76), between(0.12, 0.6, person.lip_redness))
    corner = (half, y - lift)
    above = ((0.0, y - full * 0.75), (half * 0.3, y - full - 0.01), corner)
    below = (corner, (half * 0.55, low + full * 0.75), (0.0, low + full * 1.25))
    if gap > 0.01:
        _draw_teeth(pen, half, y, lift, gap)
    pen.shape(mirrored(((0.0, low), (half * 0.5, low - lift * 0.25), *below)), lip, 0.26)
    upper = mirrored((*above, (half * 0.5, y + lift * 0.3), (0.0, y + lift * 0.45)))
    pen.shape(upper, mixed(lip, _INK, 0.12), 0.26)
    if gap <= 0.01:
        right = ((0.0, y + lift * 0.5), (half * 0.5, y + lift * 0.3), corner)
        left = [(-x, down) for x, down in right[:0:-1]]
        pen.stroke([*left, *right], mixed(lip, _INK, 0.55), 0.018, 0.26)
    pen.tint(pen.mask(circle((-0.03, low + full * 0.7), half * 0.3, 0.25), 0.26), _WHITE, 0.25, 0.025)


def _draw_teeth(pen: Pen, half: float, y: float, lift: float, gap: float) -> None:
    """Draw what an open mouth shows."""
    low = y + lift * 0.5 + gap
    top = ((0.0, y), (half * 0.6, y - lift * 0.3))
    inside = mirrored((*top, (half, y - lift), (half * 0.6, low - 0.005), (0.0, low + 0.015)))
    teeth = mirrored((*top, (half * 0.9, y - lift * 0.8), (half * 0.6, y + gap * 0.42), (0.0, y + gap * 0.55)))
    pen.shape(inside, (96, 34, 40), 0.26)
    pen.tint(pen.mask(teeth, 0.26), (250, 247, 240), 1.0, within=pen.mask(inside, 0.26))


def _eye_shape(person: DrawnPerson, openness: float, side: int) -> tuple[Point, list[Point]]:
    """Return an eye's centre, and its lids from the inner corner over the top to the outer one and back below."""
    half = between(0.13, 0.175, person.eye_size)
    high = between(0.075, 0.115, person.eye_size) * max(openness, 0.06)
    centre = (side * between(0.3, 0.38, person.eye_gap), _EYE_Y)
    tilt = between(-0.035, 0.035, person.eye_tilt)
    around = ((-1.0, 0.35), (-0.45, -0.75), (0.15, -1.0), (0.7, -0.6), (1.0, 0.05), (0.5, 0.72), (-0.3, 0.85))
    return centre, [(centre[0] + side * half * x, centre[1] + high * y - tilt * x) for x, y in around]


def _draw_eye(pen: Pen, person: DrawnPerson, expression: Expression, skin: Colour, side: int) -> None:
    centre, lids = _eye_shape(person, expression.open_eyes, side)
    socket = pen.mask(circle((centre[0], centre[1] - 0.05), 0.2, 0.75), 0.15)
    pen.tint(socket, _darker(skin, 0.4), 0.3, 0.07)
    lash = mixed(_darker(skin, 0.4), _INK, 0.8)
    if expression.open_eyes > 0.25:
        white = pen.mask(lids, 0.16)
        pen.tint(white, (250, 248, 245), 1.0)
        x, y = centre[0] + 0.035 * expression.gaze[0], centre[1] + 0.02 * expression.gaze[1] - 0.004
        iris = IRISES[person.iris]
        radius = between(0.074, 0.094, person.eye_size)
        for size, colour in ((radius, mixed(iris, _INK, 0.45)), (radius * 0.84, iris), (radius * 0.46, _INK)):
            pen.tint(pen.mask(circle((x, y), size), 0.17), colour, 1.0, within=white)
        pen.tint(pen.mask(circle((x - 0.028, y - 0.03), radius * 0.27), 0.17), _WHITE, 0.95, within=white)
        pen.stroke(lids[5:7][::-1], _darker(skin, 0.45), 0.012, 0.16)
        pen.stroke(lids[:5], lash, 0.034, 0.16)
    else:
        pen.stroke([lids[0], lids[6], lids[5], lids[4]], lash, 0.034, 0.16)


def _draw_brow(pen: Pen, person: DrawnPerson, expression: Expression, side: int) -> None:
    x = between(0.3, 0.38, person.eye_gap)
    y = _EYE_Y - 0.2 - 0.05 * expression.brows - 0.02 * person.eye_size
    arch, weight = between(0.01, 0.075, person.brow_arch), between(0.02, 0.05, person.brow_weight)
    top: list[Point] = [(x - 0.17, y - 0.005 - weight), (x, y - arch - weight), (x + 0.19, y + 0.045)]
    below: list[Point] = [(x, y - arch + weight), (x - 0.17, y - 0.005 + weight)]
    points = [(side * across, down) for across, down in (*top, *below)]
    pen.tint(pen.mask(points, 0.18), mixed(beard_colour(person), _INK, 0.35), 0.88, 0.008)


def _draw_glasses(pen: Pen, person: DrawnPerson, width: float) -> None:
    if person.glasses is Glasses.NONE:
        return
    dark = (52, 44, 48) if person.jaw < 0.5 else (134, 62, 44)
    frame = _GOLD if person.skin > 0.65 else dark
    x = between(0.3, 0.38, person.eye_gap) + 0.005
    for side in (-1, 1):
        rim = _rim((side * x, _EYE_Y + 0.02), person.glasses)
        pen.tint(pen.mask(rim, 0.22), (214, 236, 250), 0.16)
        pen.stroke([*rim, rim[0], rim[1]], frame, 0.034, 0.22)
        pen.stroke([(side * (x + 0.24), _EYE_Y - 0.03), (side * width * 0.99, _EYE_Y - 0.05)], frame, 0.034, 0.1)
    pen.stroke([(-x + 0.24, _EYE_Y), (0.0, _EYE_Y - 0.035), (x - 0.24, _EYE_Y)], frame, 0.034, 0.24)


def _rim(centre: Point, kind: Glasses) -> Sequence[Point]:
    if kind is Glasses.ROUND:
        return circle(centre, 0.235)[::3]
    x, y = centre
    return [
        (x + 0.245 * a, y + 0.175 * b)
        for a, b in ((-1, 0), (-0.9, 0.85), (0, 1), (0.9, 0.85), (1, 0), (0.92, -0.95), (0, -1), (-0.92, -0.95))
    ]
