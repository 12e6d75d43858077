"""`facefleet cluster show --pictures`: all faces of a cluster in one picture, cut out of their photos."""

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from core.errors import FacefleetError, PhotoChangedError
from core.images.decode import DecodedPhoto, DecodeLimits, decode_photo
from core.images.fonts import Fonts
from core.images.read import PhotoReader
from core.settings import Settings
from scripts.files import replacing
from scripts.pictures import make_folder
from scripts.progress import show_progress

if TYPE_CHECKING:
    from db.clusters import Member

Box = tuple[float, float, float, float]

MOST_TILES = 200
_TILE_PX = 144
_CAPTION_PX = 18
_GAP_PX = 6
_LETTERS_PX = 11
_AROUND = 0.35  # of a box's longer side, beyond it on each side: hair and ears tell people apart
_GROUND, _INK = (245, 245, 245), (20, 20, 20)
_BOX = (230, 159, 0)


@dataclass(kw_only=True)
class Sheet:
    """What was written."""

    file: Path | None = None
    """None when no face could be cut out."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Faces whose photo could not be read."""


def write_sheet(settings: Settings, folder: Path, name: str, members: "Sequence[Member]") -> Sheet:
    """Write NAME.png with a tile of each face and its id; of more than MOST_TILES, the first ones.

    Raises:
        InputError: the folder cannot be written.
    """
    sheet = Sheet()
    tiles: list[tuple[str, Image.Image]] = []
    shown = members[:MOST_TILES]
    with Cutter(settings) as cutter, show_progress("Cutting out faces", len(shown), unit="faces") as bar:
        for number, member in enumerate(shown, start=1):
            try:
                tiles.append((member.face, cutter.cut(member.uri, member.sha256, member.box_xyxy_px)))
            except FacefleetError as error:
                why = {"code": error.code, "message": error.message}
                sheet.failures.append({"face": member.face, "uri": member.uri, "error": why})
            bar.update(done=number)
    if tiles:
        sheet.file = write_png(_draw(tiles), folder, f"{name}.png")
    return sheet


def write_png(picture: Image.Image, folder: Path, name: str) -> Path:
    """Write a picture whole or not at all; the folder is made.

    Raises:
        InputError: it cannot be written.
    """
    make_folder(folder)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    with replacing(folder / name) as stream:
        stream.write(buffer.getvalue())
    return folder / name


class Cutter:
    """Cuts faces out of photos, which it reads as workers do. Keeps the photo that it read last."""

    def __init__(self, settings: Settings) -> None:
        self._reader = PhotoReader.from_settings(settings)
        self._limits = DecodeLimits.from_settings(settings)
        self._last: tuple[str, DecodedPhoto] | None = None

    def __enter__(self) -> "Cutter":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def cut(
        self, uri: str, sha256: str | None, box: Box, size_px: int = _TILE_PX, *, mark: bool = False
    ) -> Image.Image:
        """Return the square around a face, black outside the photo.

        Args:
            uri: of the photo.
            sha256: of its bytes as they were looked at; another photo is refused.
            box: (x1, y1, x2, y2) in pixels of the upright original.
            size_px: side of the square.
            mark: whether to draw the box.

        Raises:
            PhotoError: the photo cannot be used, or is another one by now.
            SourceUnreachableError: the place it lies in did not answer.
        """
        photo = self._photo(uri, sha256)
        x1, y1, x2, y2 = (side * photo.scale for side in box)
        side = max(x2 - x1, y2 - y1) * (1.0 + 2.0 * _AROUND)
        left, top = (x1 + x2 - side) / 2.0, (y1 + y2 - side) / 2.0
        picture = Image.fromarray(photo.pixels).transform(
            (size_px, size_px), Image.Transform.EXTENT, (left, top, left + side, top + side), Image.Resampling.BICUBIC
        )
        if mark:
            scale = size_px / side
            edges = [(x1 - left) * scale, (y1 - top) * scale, (x2 - left) * scale, (y2 - top) * scale]
            ImageDraw.Draw(picture).rectangle(edges, outline=_BOX, width=max(2, size_px // 160))
        return picture

    def _photo(self, uri: str, sha256: str | None) -> DecodedPhoto:
        if self._last is not None and self._last[0] == uri:
            return self._last[1]
        data = self._reader.read(uri)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise PhotoChangedError(
                "The file is not the one that was looked at, so the face was not cut out of it. Submit it again, or "
                "put the old file back."
            )
        photo = decode_photo(data, self._limits)
        self._last = (uri, photo)
        return photo


def _draw(tiles: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Put tiles into a grid that is about as wide as high."""
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    wide, high = _TILE_PX + _GAP_PX, _TILE_PX + _CAPTION_PX + _GAP_PX
    picture = Image.new("RGB", (columns * wide + _GAP_PX, rows * high + _GAP_PX), _GROUND)
    draw, fonts = ImageDraw.Draw(picture), Fonts()
    for number, (name, tile) in enumerate(tiles):
        left, top = _GAP_PX + number % columns * wide, _GAP_PX + number // columns * high
        picture.paste(tile, (left, top))
        fonts.text(name, _LETTERS_PX).draw(draw, left, top + _TILE_PX + 2, _INK)
    return picture
