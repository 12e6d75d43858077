"""Takes a drawn photo of a drawn person: pose, expression, background, light and camera differ from photo to photo."""

import math
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from core.images.drawn_face import Expression, draw_portrait
from core.images.drawn_pen import Pen, Pose, circle, mixed
from core.images.drawn_people import Colour, DrawnPerson

_OVERSAMPLING = 2
_WALLS: tuple[Colour, ...] = (
    (196, 214, 226),
    (226, 214, 196),
    (186, 208, 188),
    (222, 196, 196),
    (204, 200, 222),
    (168, 190, 200),
    (236, 226, 200),
    (150, 168, 160),
)
_CLOTHES: tuple[Colour, ...] = (
    (64, 92, 138),
    (150, 62, 70),
    (74, 120, 92),
    (226, 222, 214),
    (60, 60, 72),
    (214, 160, 72),
    (124, 88, 140),
    (92, 140, 160),
)


def take_photo(person: DrawnPerson, size_px: int, random_: random.Random) -> Image.Image:
    """Draw one photo of a person.

    Args:
        person: whom.
        size_px: side of the square photo.
        random_: decides everything that differs between photos.

    Returns:
        A picture in mode RGB.
    """
    side = size_px * _OVERSAMPLING
    canvas = _background(side, random_)
    pen = Pen(canvas, _pose(random_))
    draw_portrait(pen, person, _expression(random_), random_.choice(_CLOTHES))
    picture = canvas.resize((size_px, size_px), Image.Resampling.BOX)
    picture = picture.filter(ImageFilter.GaussianBlur(random_.uniform(0.0, 0.7) * size_px / 160))
    return Image.fromarray(_exposed(np.asarray(picture, dtype=np.float32), random_))


def _pose(random_: random.Random) -> Pose:
    return Pose(
        yaw=random_.uniform(-0.22, 0.22),
        pitch=random_.uniform(-0.1, 0.1),
        roll_rad=math.radians(random_.gauss(0, 6)),
        zoom=random_.uniform(0.9, 1.1),
        shift=(random_.uniform(-0.12, 0.12), random_.uniform(-0.1, 0.1)),
    )


def _expression(random_: random.Random) -> Expression:
    smile = random_.uniform(0.0, 1.0)
    return Expression(
        smile=smile,
        open_mouth=random_.uniform(0.35, 1.0) if smile > 0.35 and random_.random() < 0.45 else 0.0,
        brows=random_.uniform(-0.5, 1.0),
        open_eyes=0.1 if random_.random() < 0.05 else random_.uniform(0.78, 1.05),
        gaze=(random_.uniform(-0.7, 0.7), random_.uniform(-0.5, 0.5)),
    )


def _background(side: int, random_: random.Random) -> Image.Image:
    """Draw a wall that fades downwards, with out-of-focus spots on some."""
    wall = mixed(random_.choice(_WALLS), (255, 255, 255), random_.uniform(0.0, 0.3))
    canvas = Image.new("RGB", (side, side), wall)
    fade = Image.linear_gradient("L").resize((side, side)).point([value // 3 for value in range(256)])
    canvas.paste(mixed(wall, (60, 60, 80), 0.6), (0, 0, side, side), fade)
    if random_.random() < 0.5:
        pen = Pen(canvas, Pose())
        for _ in range(random_.randrange(3, 8)):
            spot = circle((random_.uniform(-1.4, 1.4), random_.uniform(-1.4, 1.2)), random_.uniform(0.12, 0.4))
            pen.tint(pen.mask(spot), random_.choice(_WALLS), 0.45, 0.06)
    return canvas


def _exposed(pixels: NDArray[np.float32], random_: random.Random) -> NDArray[np.uint8]:
    """Light the picture from one side, warm or cold, bright or dim, and add the camera's noise."""
    side = pixels.shape[0]
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    turn = random_.uniform(0, math.tau)
    slope = axis[None, :] * math.cos(turn) + axis[:, None] * math.sin(turn)
    light = random_.uniform(0.8, 1.12) * (1 + random_.uniform(0.0, 0.22) * slope)
    warmth = random_.uniform(-0.07, 0.07)
    lit = pixels * light[:, :, None] * np.array([1 + warmth, 1.0, 1 - warmth], dtype=np.float32)
    noise = np.random.default_rng(random_.getrandbits(64)).standard_normal(lit.shape, dtype=np.float32)
    return np.clip(lit + noise * random_.uniform(0.5, 4.0), 0, 255).astype(np.uint8)
