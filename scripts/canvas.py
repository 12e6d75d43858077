"""What charts are drawn on: an SVG file, or the pixels of a PNG. One drawing serves both. Knows no figures.

Coordinates are in pixels of the picture at its natural size, y downwards.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image, ImageColor, ImageDraw

from core.images.fonts import Fonts
from scripts.files import replacing

Anchor = Literal["start", "middle", "end"]
Points = Sequence[tuple[float, float]]

_SHARPER = 2  # a PNG has twice the pixels, so that it is also legible on a screen of high density
_FONTS = "DejaVu Sans, Verdana, Noto Sans, Arial, sans-serif"


class Canvas(Protocol):
    """Takes strokes; a later one covers an earlier one."""

    def area(self, points: Points, colour: str) -> None:
        """Fill a polygon."""

    def line(self, points: Points, colour: str, width_px: float = 1.0, *, dashed: bool = False) -> None:
        """Draw a line through points; a dashed one has two."""

    def dot(self, at: tuple[float, float], radius_px: float, colour: str) -> None:
        """Fill a circle, with a thin white ring around it."""

    def text(self, at: tuple[float, float], text: str, size_px: int, colour: str, anchor: Anchor = "start") -> None:
        """Write one line; `at` is where its baseline begins, has its middle, or ends."""

    def to_bytes(self) -> bytes:
        """Return the file."""


@contextmanager
def drawing(file: Path, width: int, height: int, background: str, title: str) -> "Iterator[Canvas]":
    """Lend a canvas, and write what was drawn at the end; a file of the same name is replaced.

    Args:
        file: with a suffix that `check_picture` lets pass.
        width: of the picture, in pixels.
        height: the same.
        background: a colour.
        title: for who does not see it; SVG alone has room for it.

    Raises:
        InputError: it cannot be written there.
    """
    is_svg = file.suffix.lower() == ".svg"
    canvas: Canvas = SvgCanvas(width, height, background, title) if is_svg else PixelCanvas(width, height, background)
    yield canvas
    with replacing(file) as stream:
        stream.write(canvas.to_bytes())


class SvgCanvas:
    """An SVG file that needs nothing beside it.

    Args:
        width_px, height_px: its natural size; it scales.
        background: colour.
        title: for those who do not see it.
    """

    def __init__(self, width_px: int, height_px: int, background: str, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_px}" height="{height_px}" '
            f'viewBox="0 0 {width_px} {height_px}" role="img" font-family="{_FONTS}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width_px}" height="{height_px}" fill="{background}"/>',
        ]

    def area(self, points: Points, colour: str) -> None:
        """Fill a polygon."""
        self._parts.append(f'<polygon points="{_joined(points)}" fill="{colour}"/>')

    def line(self, points: Points, colour: str, width_px: float = 1.0, *, dashed: bool = False) -> None:
        """Draw a line through points."""
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{_joined(points)}" fill="none" stroke="{colour}" stroke-width="{width_px:g}"{dash}/>'
        )

    def dot(self, at: tuple[float, float], radius_px: float, colour: str) -> None:
        """Fill a circle."""
        x, y = at
        circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius_px:.1f}" fill="{colour}" stroke="#ffffff"/>'
        self._parts.append(circle)

    def text(self, at: tuple[float, float], text: str, size_px: int, colour: str, anchor: Anchor = "start") -> None:
        """Write one line."""
        x, y = at
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size_px}" fill="{colour}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def to_bytes(self) -> bytes:
        """Return the file."""
        return "\n".join([*self._parts, "</svg>", ""]).encode()


class PixelCanvas:
    """A PNG file of twice the natural size; without a library that draws, letters come from the fonts of this machine.

    Args:
        width_px, height_px: its natural size.
        background: colour.
    """

    def __init__(self, width_px: int, height_px: int, background: str) -> None:
        self._image = Image.new("RGB", (width_px * _SHARPER, height_px * _SHARPER), background)
        self._draw = ImageDraw.Draw(self._image)
        self._fonts = Fonts()

    def area(self, points: Points, colour: str) -> None:
        """Fill a polygon."""
        self._draw.polygon(_scaled(points), fill=colour)

    def line(self, points: Points, colour: str, width_px: float = 1.0, *, dashed: bool = False) -> None:
        """Draw a line through points."""
        for part in _dashes(points) if dashed else [points]:
            self._draw.line(_scaled(part), fill=colour, width=max(1, round(width_px * _SHARPER)), joint="curve")

    def dot(self, at: tuple[float, float], radius_px: float, colour: str) -> None:
        """Fill a circle."""
        (x, y), radius = (value * _SHARPER for value in at), radius_px * _SHARPER
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline="#ffffff", width=2)

    def text(self, at: tuple[float, float], text: str, size_px: int, colour: str, anchor: Anchor = "start") -> None:
        """Write one line."""
        line = self._fonts.text(text, size_px * _SHARPER)
        left = at[0] * _SHARPER - line.width_px * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        red, green, blue = ImageColor.getrgb(colour)[:3]
        line.draw(self._draw, left, at[1] * _SHARPER - line.ascent_px, (red, green, blue))

    def to_bytes(self) -> bytes:
        """Return the file."""
        buffer = io.BytesIO()
        self._image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def _joined(points: Points) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _scaled(points: Points) -> list[tuple[float, float]]:
    return [(x * _SHARPER, y * _SHARPER) for x, y in points]


def _dashes(points: Points, length_px: float = 4.0) -> list[Points]:
    """Cut the line between two points into dashes."""
    (x1, y1), (x2, y2) = points
    count = max(1, int(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5 / length_px))
    places = [(x1 + (x2 - x1) * at / count, y1 + (y2 - y1) * at / count) for at in range(count + 1)]
    return [places[at : at + 2] for at in range(0, count, 2)]
