"""Draws what was found onto a photo: boxes, texts, landmarks. Finds and decides nothing, reads and writes no file.

An outcome shows in the colour, in the style of the line and in the text, so that none of them is needed alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from core.images.decode import DecodedPhoto
from core.images.fonts import Fonts, Text
from core.images.labels import overlap_px, place_labels
from core.records import FaceOutcome

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

LONGEST_SIDE_PX = 2048
"""Of a picture; larger photos are reduced to it."""
DECODE_SIDE_PX = LONGEST_SIDE_PX * 3 // 4
"""What `decode_photo` may reduce the shorter side to: a photo of 4:3 or longer loses nothing that is shown."""
_LEAST_SIDE_PX = 640  # a smaller photo is enlarged to it, or its labels would not fit
_LEAST_SIDE_OF_A_CROWD_PX = 1280
_CROWD = 8

_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)
_SKY, _ORANGE, _GREY = (86, 180, 233), (230, 159, 0), (128, 128, 128)

# Shares of the square root of the picture's area.
_LINE, _LETTERS = 0.0024, 0.019
_LEAST_LETTERS_PX = 11
_SMALLER = (1.0, 0.85, 0.7, 0.55, 0.45)  # tried in turn until no labels cover each other
_MANY = 100  # texts beyond which only the smallest letters are tried, for the time that it takes
_MOST_LINES = 4
# Longer texts are broken into lines: beyond so many letter heights, or box widths, whichever is more.
_WIDE_IN_LETTERS, _WIDE_IN_BOXES = 9.0, 1.25


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a box is drawn."""

    colour: Colour
    """Of its line and the plate of its text."""
    dashes: tuple[float, ...] = ()
    """Lengths drawn and left out in turn, in line widths; empty for a line without gaps."""


STYLES: dict[FaceOutcome | None, Style] = {
    None: Style(colour=_SKY),
    FaceOutcome.IDENTIFIED: Style(colour=_SKY),
    FaceOutcome.UNKNOWN: Style(colour=_ORANGE, dashes=(6, 3)),
    FaceOutcome.AMBIGUOUS: Style(colour=_WHITE, dashes=(6, 2, 2, 2)),
    FaceOutcome.LOW_QUALITY: Style(colour=_GREY, dashes=(2, 2)),
}
"""By outcome; None is of a face about which nothing was decided.

Two of Okabe and Ito's colours, white and grey, which stay apart (CIE76 of 36 or more) without the eye's red, green or
blue receptors as Machado et al. (2009) simulate it. All carry black text at a contrast of 5:1 or more.
"""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One face to draw."""

    box_xyxy_px: Box
    """In pixels of the upright original photo."""
    text: str
    """Stands beside the box; a no-break space keeps words on one line."""
    outcome: FaceOutcome | None = None
    """None where nothing was decided."""
    landmarks_px: tuple[tuple[float, float], ...] = ()
    """(x, y) in pixels of the upright original photo."""


def annotate_photo(photo: DecodedPhoto, marks: Sequence[Mark], fonts: Fonts, *, caption: str = "") -> Image.Image:
    """Draw marks onto a copy of a photo.

    Args:
        photo: may be decoded at a fraction of its size.
        marks: in any order.
        fonts: `fonts.missing` grows by the characters that no font has.
        caption: of the whole photo, in its upper left corner.

    Returns:
        A picture in mode RGB, its longer side at most LONGEST_SIDE_PX. Small photos are enlarged, as labels need room.
    """
    picture = _scaled(photo, len(marks))
    scale = (picture.width / photo.width_px, picture.height / photo.height_px)
    boxes = [_inside(_times(mark.box_xyxy_px, scale), picture.size) for mark in marks]
    draw = ImageDraw.Draw(picture)
    for mark, box in zip(marks, boxes, strict=True):
        _draw_box(picture, box, STYLES[mark.outcome])
    for mark, box in zip(marks, boxes, strict=True):
        _draw_landmarks(draw, [(x * scale[0], y * scale[1]) for x, y in mark.landmarks_px], box)
    _draw_labels(picture, marks, boxes, fonts)
    if caption:
        plate = _plate(caption, picture.size, picture.width, _letters(picture, 1.0), fonts)
        plate.draw(draw, (0, 0), _WHITE)
    return picture


def _scaled(photo: DecodedPhoto, marks: int) -> Image.Image:
    """Return a copy of the photo that has room for its labels and is not larger than a picture may be."""
    longest = max(photo.width_px, photo.height_px)
    least = _LEAST_SIDE_OF_A_CROWD_PX if marks > _CROWD else _LEAST_SIDE_PX
    scale = min(max(longest, least), LONGEST_SIDE_PX) / longest
    size = (max(1, round(photo.width_px * scale)), max(1, round(photo.height_px * scale)))
    picture = Image.fromarray(photo.pixels)
    return picture.copy() if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def _times(box: Box, scale: tuple[float, float]) -> Box:
    return box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1]


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """Return the part of a box that lies in the picture, at least a pixel wide and high."""
    x1, y1 = min(max(box[0], 0.0), size[0] - 1.0), min(max(box[1], 0.0), size[1] - 1.0)
    return x1, y1, min(max(box[2], x1 + 1), size[0]), min(max(box[3], y1 + 1), size[1])


def _span(picture: Image.Image) -> float:
    return math.sqrt(picture.width * picture.height)


def _letters(picture: Image.Image, share: float) -> int:
    return max(_LEAST_LETTERS_PX, round(_LETTERS * share * _span(picture)))


def _line_width(picture: Image.Image, box: Box) -> int:
    """Return the width of a box's line: it grows with the picture, and leaves most of a small face to be seen."""
    widest = min(box[2] - box[0], box[3] - box[1]) / 10
    return max(1, round(min(max(2.0, _LINE * _span(picture)), widest)))


def _draw_box(picture: Image.Image, box: Box, style: Style) -> None:
    """Draw a box's line on its edge, between two thin black ones, so that it is seen on any ground."""
    draw = ImageDraw.Draw(picture)
    line = _line_width(picture, box)
    halo = max(1, line // 3)
    x1, y1, x2, y2 = (round(value) for value in box)
    outer = line // 2
    left, top = max(x1 - outer, 0), max(y1 - outer, 0)
    right, bottom = min(x2 + outer, picture.width) - 1, min(y2 + outer, picture.height) - 1
    draw.rectangle((left - halo, top - halo, right + halo, bottom + halo), outline=_BLACK, width=line + 2 * halo)
    across, down = list(_strokes(left, right, line, style)), list(_strokes(top, bottom, line, style))
    for begin, end in across:
        draw.rectangle((begin, top, end, top + line - 1), fill=style.colour)
        draw.rectangle((begin, bottom - line + 1, end, bottom), fill=style.colour)
    for begin, end in down:
        draw.rectangle((left, begin, left + line - 1, end), fill=style.colour)
        draw.rectangle((right - line + 1, begin, right, end), fill=style.colour)


def _strokes(begin: int, end: int, line: int, style: Style) -> Iterator[tuple[int, int]]:
    """Yield where a side of a box is drawn: first and last pixel of each stroke."""
    if not style.dashes:
        yield begin, end
        return
    at, turn = begin, 0
    while at <= end:
        length = max(1, round(style.dashes[turn % len(style.dashes)] * line))
        if turn % 2 == 0:
            yield at, min(at + length - 1, end)
        at, turn = at + length, turn + 1


def _draw_landmarks(draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], box: Box) -> None:
    """Draw white dots with a black rim, smaller on small faces."""
    radius = max(1.0, min(box[2] - box[0], box[3] - box[1]) / 45)
    for x, y in points:
        for size, colour in ((radius + max(1.0, radius / 2), _BLACK), (radius, _WHITE)):
            draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)


@dataclass(frozen=True, kw_only=True)
class _Plate:
    """A text on a plate of one colour."""

    lines: tuple[Text, ...]
    margin: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width = max(line.width_px for line in self.lines)
        return width + 2 * self.margin, sum(line.height_px for line in self.lines) + self.margin

    def draw(self, draw: ImageDraw.ImageDraw, corner: tuple[float, float], colour: Colour) -> None:
        """Draw it with its upper left corner there."""
        (left, top), (width, height) = corner, self.size
        draw.rectangle((left, top, left + width - 1, top + height - 1), fill=colour, outline=_BLACK)
        top += self.margin // 2
        for line in self.lines:
            line.draw(draw, left + self.margin, top, _BLACK)
            top += line.height_px


def _draw_labels(picture: Image.Image, marks: Sequence[Mark], boxes: Sequence[Box], fonts: Fonts) -> None:
    """Draw all texts: those that give a name choose their place first, then those of larger faces."""
    ranked = sorted((number for number, mark in enumerate(marks) if mark.text), key=lambda n: _rank(marks[n], boxes[n]))
    if not ranked:
        return
    owners = [boxes[number] for number in ranked]
    best: tuple[float, list[_Plate], list[list[float]]] | None = None
    shares = _SMALLER if len(ranked) <= _MANY else _SMALLER[-1:]
    for letters_px in dict.fromkeys(_letters(picture, share) for share in shares):
        plates = [
            _plate(marks[number].text, picture.size, boxes[number][2] - boxes[number][0], letters_px, fonts)
            for number in ranked
        ]
        places = place_labels([plate.size for plate in plates], owners, picture.size)
        if best is None or overlap_px(places) < best[0]:
            best = (overlap_px(places), plates, places.tolist())
        if best[0] == 0:
            break
    assert best is not None  # noqa: S101 - the loop runs at least once
    draw = ImageDraw.Draw(picture)
    drawn = list(zip(ranked, best[1], best[2], strict=True))
    for number, _, place in drawn:
        _draw_leader(draw, place, boxes[number], STYLES[marks[number].outcome].colour)
    for number, plate, place in drawn:
        plate.draw(draw, (place[0], place[1]), STYLES[marks[number].outcome].colour)


def _rank(mark: Mark, box: Box) -> tuple[bool, float]:
    return mark.outcome is not FaceOutcome.IDENTIFIED, -(box[2] - box[0]) * (box[3] - box[1])


def _draw_leader(draw: ImageDraw.ImageDraw, label: Sequence[float], box: Box, colour: Colour) -> None:
    """Lead from a box to its label where they do not touch."""
    ends = []
    for low, high in ((0, 2), (1, 3)):
        begin, end = max(label[low], box[low]), min(label[high], box[high])
        middle = (begin + end) / 2
        ends.append((middle, middle) if begin <= end else (end, begin) if label[low] > box[high] else (begin, end))
    (box_x, label_x), (box_y, label_y) = ends
    if math.hypot(label_x - box_x, label_y - box_y) > 5:
        draw.line((box_x, box_y, label_x, label_y), fill=_BLACK, width=3)
        draw.line((box_x, box_y, label_x, label_y), fill=colour, width=1)


def _plate(text: str, picture_px: tuple[int, int], box_width_px: float, letters_px: int, fonts: Fonts) -> _Plate:
    """Lay a text out in lines that fit the picture; what does not fit ends in an ellipsis."""
    margin = max(2, letters_px // 3)
    room = picture_px[0] - 2 * margin
    narrow = max(_WIDE_IN_LETTERS * letters_px, _WIDE_IN_BOXES * box_width_px)
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and fonts.text(longer, letters_px).width_px > min(narrow, room):
            lines.append(word)
        else:
            lines[-1] = longer
    most = max(1, min(_MOST_LINES, (picture_px[1] - margin) // (2 * letters_px)))
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return _Plate(lines=tuple(_cut(line, letters_px, room, fonts) for line in lines), margin=margin)


def _cut(line: str, letters_px: int, room: float, fonts: Fonts) -> Text:
    """Return a line that is not wider than the room."""
    whole = fonts.text(line, letters_px)
    while whole.width_px > room and len(line) > 1:
        line = line[: max(1, min(len(line) - 1, int(len(line) * room / whole.width_px)))]
        whole = fonts.text(line + "…", letters_px)
    return whole
