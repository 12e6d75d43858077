"""Draws hair, headscarves and beards of the drawn sample. Knows the head's outline, not the face."""

from collections.abc import Sequence

from PIL import Image, ImageChops

from core.images.drawn_pen import Pen, Point, circle, closed_curve, mirrored, mixed
from core.images.drawn_people import HAIRS, SCARVES, Beard, Colour, DrawnPerson, Hair

_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
_LONG_BACK = {Hair.LONG: 1.32, Hair.WAVES: 1.30, Hair.BOB: 0.74}
# Where the hairline runs: right half, from the middle to the temple, in half face widths and face units.
_HAIRLINES: dict[Hair, tuple[Point, ...]] = {
    Hair.SHORT: ((0.0, -0.62), (0.45, -0.6), (0.78, -0.5), (0.93, -0.12)),
    Hair.QUIFF: ((0.0, -0.66), (0.45, -0.66), (0.8, -0.5), (0.95, -0.1)),
    Hair.BUZZ: ((0.0, -0.64), (0.5, -0.62), (0.76, -0.5), (0.95, -0.14)),
    Hair.CURLS: ((0.0, -0.55), (0.4, -0.53), (0.72, -0.42), (0.94, 0.0)),
    Hair.BOB: ((0.0, -0.36), (0.4, -0.36), (0.74, -0.3), (0.86, 0.0), (0.9, 0.4)),
    Hair.LONG: ((0.0, -0.84), (0.3, -0.66), (0.68, -0.34), (0.9, 0.05), (0.98, 0.5)),
    Hair.WAVES: ((0.0, -0.8), (0.35, -0.68), (0.7, -0.42), (0.9, 0.0), (1.0, 0.45)),
    Hair.BUN: ((0.0, -0.68), (0.4, -0.66), (0.76, -0.46), (0.93, -0.08)),
}


def hair_colour(person: DrawnPerson) -> Colour:
    """Return the colour of the hair, or of the headscarf."""
    return (SCARVES if person.hair is Hair.SCARF else HAIRS)[person.hair_colour]


def beard_colour(person: DrawnPerson) -> Colour:
    """Return the colour of brows and beard."""
    return HAIRS[person.hair_colour if person.hair is not Hair.SCARF else person.hair_colour % 3]


def draw_back_hair(pen: Pen, person: DrawnPerson, width: float) -> None:
    """Draw what hangs behind the head."""
    colour = mixed(hair_colour(person), _BLACK, 0.22)
    if person.hair in _LONG_BACK:
        _draw_hanging(pen, person, width, colour)
    elif person.hair is Hair.CURLS:
        for x, y in circle((0.0, -0.34), width * 1.08, 0.98)[::2]:
            if y < 0.3:
                pen.dot((x, y), 0.26, colour, -0.3)
    elif person.hair is Hair.BUN:
        pen.dot((0.06, -1.28), 0.3, colour, -0.3)
        pen.tint(pen.mask(circle((0.02, -1.34), 0.14), -0.3), _WHITE, 0.16, 0.06)
    elif person.hair is Hair.SCARF:
        pen.shape(
            mirrored(((0.0, -1.2), (width * 0.9, -0.95), (width * 1.2, -0.2), (width * 1.18, 0.7), (0.75, 1.4))),
            colour,
            -0.2,
        )


def draw_front_hair(pen: Pen, person: DrawnPerson, outline: Sequence[Point], width: float) -> None:
    """Draw what lies on the head and over the forehead."""
    if person.hair is Hair.BALD:
        pen.tint(pen.mask(circle((-0.18, -0.72), 0.24, 0.6)), _WHITE, 0.22, 0.12)
        return
    if person.hair is Hair.SCARF:
        _draw_scarf(pen, person, outline, width)
        return
    mask = _cap_mask(pen, person, width)
    colour = hair_colour(person)
    pen.tint(mask, colour, 0.62 if person.hair is Hair.BUZZ else 1.0)
    _shine(pen, mask, colour, person)


def draw_beard(pen: Pen, person: DrawnPerson, outline: Sequence[Point], face: Image.Image, mouth_y: float) -> None:
    """Draw the beard; the mouth comes over it."""
    colour = mixed(beard_colour(person), (60, 40, 30), 0.2)
    if person.beard in (Beard.STUBBLE, Beard.FULL):
        lower = [(x, y) for x, y in closed_curve(outline) if y > 0.18]
        right = sorted((point for point in lower if point[0] >= 0), key=lambda point: point[1])
        left = sorted((point for point in lower if point[0] < 0), key=lambda point: -point[1])
        inner = [(-0.5, 0.42), (-0.34, mouth_y - 0.2), (0.0, mouth_y - 0.24), (0.34, mouth_y - 0.2), (0.5, 0.42)]
        mask = pen.mask([*right, *left, *inner], 0.05, smooth=False)
        full = person.beard is Beard.FULL
        pen.tint(mask, colour, 0.95 if full else 0.3, 0.035 if full else 0.07, within=None if full else face)
    if person.beard in (Beard.MOUSTACHE, Beard.GOATEE):
        half = (
            (0.0, mouth_y - 0.17),
            (0.2, mouth_y - 0.16),
            (0.37, mouth_y - 0.01),
            (0.18, mouth_y - 0.06),
            (0.0, mouth_y - 0.08),
        )
        pen.tint(pen.mask(mirrored(half), 0.28), colour, 0.95, 0.012)
    if person.beard is Beard.GOATEE:
        chin = mirrored(((0.0, mouth_y + 0.12), (0.2, mouth_y + 0.12), (0.24, 0.9), (0.12, 1.06), (0.0, 1.09)))
        pen.tint(pen.mask(chin, 0.12), colour, 0.95, 0.02)


def _draw_hanging(pen: Pen, person: DrawnPerson, width: float, colour: Colour) -> None:
    bottom = _LONG_BACK[person.hair]
    flare = 1.16 if person.hair is Hair.BOB else 1.3
    half: list[Point] = [(0.0, -1.14), (width * 0.86, -0.98), (width * 1.2, -0.4), (width * flare, 0.3)]
    pen.shape(mirrored([*half, (width * flare, bottom - 0.1), (width * 0.9, bottom), (0.0, bottom)]), colour, -0.25)
    if person.hair is Hair.WAVES:
        for step in range(6):
            y = -0.42 + 0.33 * step
            for side in (-1, 1):
                pen.shape(circle((side * width * (1.16 + 0.05 * (step % 2)), y), 0.24, 1.25), colour, -0.25)


def _cap_mask(pen: Pen, person: DrawnPerson, width: float) -> Image.Image:
    """Return where hair covers the head."""
    line = _hairline(person)
    right = [(x * width, y) for x, y in line[0]]
    left = [(-x * width, y) for x, y in line[1]]
    side_y = max(right[-1][1], left[-1][1])
    swell = {Hair.BUZZ: 1.03, Hair.SHORT: 1.08, Hair.CURLS: 1.2}.get(person.hair, 1.1)
    outer: list[Point] = [
        (width * swell, side_y),
        (width * swell * 1.01, -0.42),
        (width * swell * 0.86, -0.86),
        (width * 0.46, -1.06 * swell + 0.02),
        (0.0, -1.1 * swell + 0.03),
    ]
    points = [*right, *outer, *[(-x, y) for x, y in reversed(outer[:-1])], *reversed(left[1:])]
    mask = pen.mask(points, 0.02)
    if person.hair is Hair.QUIFF:
        lean = -1 if person.hair_side < 0.5 else 1
        tuft = [
            (-width * 0.7, -0.72),
            (-width * 0.62, -1.16),
            (lean * 0.1, -1.36),
            (width * 0.62, -1.2),
            (width * 0.7, -0.72),
        ]
        mask = ImageChops.lighter(mask, pen.mask(tuft, 0.1))
    if person.hair is Hair.CURLS:
        for x, y in closed_curve(outer)[: 8 * 4 : 5] + [(-x, y) for x, y in closed_curve(outer)[: 8 * 4 : 5]]:
            mask = ImageChops.lighter(mask, pen.mask(circle((x * 0.98, y * 0.97), 0.19), 0.0))
    return mask


def _hairline(person: DrawnPerson) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return the right and the left half of the hairline."""
    if person.hair is not Hair.PARTED:
        return _HAIRLINES[person.hair], _HAIRLINES[person.hair]
    swept: tuple[Point, ...] = ((0.0, -0.6), (0.35, -0.5), (0.74, -0.4), (0.93, -0.1))
    parted: tuple[Point, ...] = ((0.0, -0.6), (0.42, -0.8), (0.76, -0.56), (0.93, -0.1))
    return (swept, parted) if person.hair_side < 0.5 else (parted, swept)


def _shine(pen: Pen, mask: Image.Image, colour: Colour, person: DrawnPerson) -> None:
    """Give hair a soft light from above and a few strands."""
    pen.tint(pen.mask(circle((-0.2, -0.95), 0.42, 0.4)), mixed(colour, _WHITE, 0.45), 0.4, 0.14, within=mask)
    if person.hair in (Hair.BUZZ, Hair.CURLS):
        return
    part = 0.0 if person.hair not in (Hair.PARTED, Hair.QUIFF) else (0.3 if person.hair_side < 0.5 else -0.3)
    for number in range(11):
        x = -0.9 + 0.18 * number
        curve = [(part + (x - part) * 0.25, -1.16), (part + (x - part) * 0.8, -0.9), (x * 1.04, -0.3), (x * 1.06, 0.3)]
        tone = _BLACK if number % 2 else _WHITE
        pen.tint(pen.line_mask(curve, 0.03, 0.02), mixed(colour, tone, 0.4), 0.3, 0.012, within=mask)


def _draw_scarf(pen: Pen, person: DrawnPerson, outline: Sequence[Point], width: float) -> None:
    colour = hair_colour(person)
    opening = pen.mask(
        mirrored(((0.0, -0.68), (width * 0.66, -0.5), (width * 0.86, 0.0), (width * 0.74, 0.62), (0.0, 0.97))), 0.05
    )
    wrap = pen.mask(
        mirrored(
            ((0.0, -1.15), (width * 0.8, -0.95), (width * 1.14, -0.2), (width * 1.08, 0.6), (0.62, 1.25), (0.0, 1.38))
        )
    )
    cloth = ImageChops.subtract(wrap, opening)
    pen.tint(cloth, colour, 1.0)
    pen.tint(pen.mask(circle((-0.25, -0.95), 0.4, 0.4)), mixed(colour, _WHITE, 0.5), 0.45, 0.14, within=cloth)
    for bend in (0.0, 0.16):
        folds = ((-width * 1.0, 0.5 + bend), (-0.45, 1.0 + bend), (0.2, 1.16 + bend), (width * 0.95, 0.72 + bend))
        pen.stroke(folds, mixed(colour, _BLACK, 0.18), 0.022)
