"""The pen of the drawn sample: smooth shapes in the face's own coordinates, posed and scaled to pixels.

A face is 2 units high, centred on (0, 0), y downwards. Points have a depth: what lies nearer (the nose) moves more when
the head turns, which is all the third dimension there is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from core.images.drawn_people import Colour

Point = tuple[float, float]
_STEPS = 6
# Catmull-Rom weights of four neighbouring points, at each step from the second to the third.
_WEIGHTS = tuple(
    (
        -0.5 * t + t * t - 0.5 * t**3,
        1 - 2.5 * t * t + 1.5 * t**3,
        0.5 * t + 2 * t * t - 1.5 * t**3,
        0.5 * (t**3 - t * t),
    )
    for t in (step / _STEPS for step in range(_STEPS))
)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How the head is held."""

    yaw: float = 0.0
    """Turn to the side, in units that something of depth 1 moves."""
    pitch: float = 0.0
    roll_rad: float = 0.0
    zoom: float = 1.0
    shift: Point = (0.0, 0.0)
    """Of the head, in face units."""


class Pen:
    """Draws on one square canvas."""

    def __init__(self, canvas: Image.Image, pose: Pose) -> None:
        self.canvas = canvas
        self.pose = pose
        self._unit = 0.365 * canvas.width * pose.zoom
        self._cos, self._sin = math.cos(pose.roll_rad), math.sin(pose.roll_rad)

    @cached_property
    def _draw(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.canvas)

    def place(self, points: Sequence[Point], depth: float) -> list[Point]:
        """Turn face coordinates into pixels."""
        across, down = self.pose.yaw * depth, self.pose.pitch * depth
        cos, sin = self._unit * self._cos, self._unit * self._sin
        left = self.canvas.width * 0.5 + self._unit * self.pose.shift[0] + across * cos - down * sin
        top = self.canvas.width * 0.535 + self._unit * self.pose.shift[1] + across * sin + down * cos
        return [(left + x * cos - y * sin, top + x * sin + y * cos) for x, y in points]

    def length(self, units: float) -> int:
        """Turn a length into pixels, at least 1."""
        return max(1, round(units * self._unit))

    def shape(self, points: Sequence[Point], colour: Colour, depth: float = 0.0, *, smooth: bool = True) -> None:
        """Fill a closed shape through the points."""
        self._draw.polygon(self.place(closed_curve(points) if smooth else points, depth), fill=colour)

    def dot(self, centre: Point, radius: float, colour: Colour, depth: float = 0.0) -> None:
        """Fill a circle."""
        self._draw.polygon(self.place(circle(centre, radius), depth), fill=colour)

    def stroke(self, points: Sequence[Point], colour: Colour, width: float, depth: float = 0.0) -> None:
        """Draw an open line through the points, with round ends."""
        placed = self.place(open_curve(points), depth)
        pixels = self.length(width)
        self._draw.line(placed, fill=colour, width=pixels, joint="curve")
        for x, y in (placed[0], placed[-1]):
            half = pixels / 2
            self._draw.ellipse((x - half, y - half, x + half, y + half), fill=colour)

    def mask(self, points: Sequence[Point], depth: float = 0.0, *, smooth: bool = True) -> Image.Image:
        """Return where a shape is: mode L, 0 or 255."""
        mask = Image.new("L", self.canvas.size)
        ImageDraw.Draw(mask).polygon(self.place(closed_curve(points) if smooth else points, depth), fill=255)
        return mask

    def line_mask(self, points: Sequence[Point], width: float, depth: float = 0.0) -> Image.Image:
        """Return where an open line through the points is: mode L, 0 or 255."""
        mask = Image.new("L", self.canvas.size)
        ImageDraw.Draw(mask).line(
            self.place(open_curve(points), depth), fill=255, width=self.length(width), joint="curve"
        )
        return mask

    def tint(
        self, mask: Image.Image, colour: Colour, strength: float, blur: float = 0.0, within: Image.Image | None = None
    ) -> None:
        """Lay a colour over the canvas where a mask is.

        Args:
            mask: mode L.
            colour: the colour.
            strength: 0..1.
            blur: softness of the edge, in face units.
            within: a mask that the blurred one is cut off by.
        """
        box = self._box_around(mask, self.length(blur) if blur else 0)
        if box is None:
            return
        part = mask.crop(box)
        if blur:
            part = part.filter(ImageFilter.BoxBlur(self.length(blur)))
        if within is not None:
            part = ImageChops.multiply(part, within.crop(box))
        if strength < 1:
            part = part.point([round(value * strength) for value in range(256)])
        self.canvas.paste(colour, box, part)

    def _box_around(self, mask: Image.Image, margin: int) -> tuple[int, int, int, int] | None:
        """Return the part of the canvas that a mask and its blurred edge touch: working on that alone is far faster."""
        box = mask.getbbox()
        if box is None:
            return None
        width, height = mask.size
        return (
            max(0, box[0] - margin),
            max(0, box[1] - margin),
            min(width, box[2] + margin),
            min(height, box[3] + margin),
        )


def circle(centre: Point, radius: float, stretch: float = 1.0) -> list[Point]:
    """Return the outline of a circle, or of an ellipse `stretch` times as high as wide."""
    return [
        (centre[0] + radius * math.cos(turn), centre[1] + radius * stretch * math.sin(turn))
        for turn in (math.tau * step / 36 for step in range(36))
    ]


def mirrored(points: Sequence[Point]) -> list[Point]:
    """Complete the right half of a shape, from top to bottom, by its left half."""
    return [*points, *((-x, y) for x, y in reversed(points) if x)]


def closed_curve(points: Sequence[Point]) -> list[Point]:
    """Return a closed Catmull-Rom curve through the points."""
    count = len(points)
    return [
        point
        for number in range(count)
        for point in _segment(*(points[(number + offset) % count] for offset in (-1, 0, 1, 2)))
    ]


def open_curve(points: Sequence[Point]) -> list[Point]:
    """Return an open Catmull-Rom curve through the points."""
    padded = [points[0], *points, points[-1]]
    curve = [point for number in range(1, len(points)) for point in _segment(*padded[number - 1 : number + 3])]
    return [*curve, points[-1]]


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Mix two colours; `share` is how much of the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def between(low: float, high: float, share: float) -> float:
    """Return the number that lies at `share` (0..1) of the way."""
    return low + (high - low) * share


def _segment(before: Point, start: Point, end: Point, after: Point) -> list[Point]:
    return [
        (
            a * before[0] + b * start[0] + c * end[0] + d * after[0],
            a * before[1] + b * start[1] + c * end[1] + d * after[1],
        )
        for a, b, c, d in _WEIGHTS
    ]
