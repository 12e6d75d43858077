"""Text on pictures in any script: finds, among the fonts of this machine, those that have a text's characters.

Pillow's own font has ASCII and a few signs more, no accents. Whatever no font has is drawn as an empty box, and named.
"""

import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont

# Plain faces of families that reach far, the ones that reach furthest first; names as files have them, without suffix.
_FAMILIES = (
    "DejaVuSans",
    "NotoSans-Regular",
    "Arial Unicode",
    "NotoSansCJK-Regular",
    "NotoSans*-Regular",
    "wqy-*",
    "DroidSansFallback*",
    "LiberationSans-Regular",
)
_SUFFIXES = (".ttf", ".ttc", ".otf")
_JOINING = {"Mn", "Mc", "Me", "Cf"}
_PROBE_PX = 16
_NOWHERE = "\U0010ffff"  # never a character, so fonts show what they show for one that they lack


@dataclass(frozen=True, kw_only=True, eq=False)
class Text:
    """A line of text with the fonts it is drawn in."""

    runs: tuple[tuple[str, Font], ...]
    """Its parts from left to right, each with its font."""

    @cached_property
    def width_px(self) -> int:
        """How wide it is."""
        return round(sum(font.getlength(part) for part, font in self.runs) + 0.5)

    @cached_property
    def height_px(self) -> int:
        """From the top of its highest letters to the bottom of its lowest."""
        return self.ascent_px + max(font.getmetrics()[1] for _, font in self.runs)

    def draw(self, draw: ImageDraw.ImageDraw, left_px: float, top_px: float, colour: tuple[int, int, int]) -> None:
        """Draw it with its upper left corner there."""
        for part, font in self.runs:
            draw.text((left_px, top_px + self.ascent_px), part, fill=colour, font=font, anchor="ls")
            left_px += font.getlength(part)

    @cached_property
    def ascent_px(self) -> int:
        """From the top of its highest letters to the line they stand on."""
        return max(font.getmetrics()[0] for _, font in self.runs)


class Fonts:
    """Chooses fonts for text, and remembers which characters it found no font for.

    Args:
        folders: where fonts are looked for, at any depth; where this system keeps them when None.
    """

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        self._folders = tuple(_system_folders() if folders is None else folders)
        self._loaded: dict[tuple[str | None, int], Font] = {}
        self._known: dict[tuple[str | None, str], bool] = {}
        self.missing: set[str] = set()
        """Characters that were to be drawn and that no font has."""

    def text(self, text: str, size_px: int) -> Text:
        """Return a text of one line, ready to be drawn.

        One font for all of it where one has all of it; else each character in the first font that has it.

        Args:
            text: without control characters.
            size_px: of the letters, >= 1.
        """
        text = unicodedata.normalize("NFC", text)
        whole = next((font for font in self._fonts() if all(self._has(font, char) for char in text)), None)
        parts = [(text, whole)] if all(self._has(whole, char) for char in text) else self._split(text)
        return Text(runs=tuple((part.replace("\u00a0", " "), self._load(font, size_px)) for part, font in parts))

    def _split(self, text: str) -> list[tuple[str, str | None]]:
        """Part a text where its font changes; the boxes of what is missing are Pillow's font's."""
        parts: list[tuple[str, str | None]] = []
        for char in text:
            fonts = [parts[-1][1], *self._fonts()] if parts else self._fonts()
            has = [font for font in fonts if self._has(font, char)]
            if not has:
                self.missing.add(char)
            font = has[0] if has else None
            if parts and parts[-1][1] == font:
                parts[-1] = (parts[-1][0] + char, font)
            else:
                parts.append((char, font))
        return parts

    def _fonts(self) -> list[str | None]:
        """The files of fonts that are tried, in order; last, as None, Pillow's own."""
        return [*self._files, None]

    @cached_property
    def _files(self) -> list[str]:
        """The fonts of this machine that are tried, in order."""
        found: dict[str, str] = {}
        for path in _walk(self._folders):
            found.setdefault(path.stem, str(path))
        ranked = [name for family in _FAMILIES for name in sorted(found) if fnmatchcase(name, family)]
        return [found[name] for name in dict.fromkeys(ranked) if self._opens(found[name])]

    def _opens(self, file: str) -> bool:
        try:
            self._load(file, _PROBE_PX)
        except OSError:  # no font, or one of coloured bitmaps: another one serves
            return False
        return True

    def _has(self, font: str | None, char: str) -> bool:
        """Whether a font can draw a character; what joins or modifies goes with the character before it."""
        if char.isspace() or unicodedata.category(char) in _JOINING:
            return True
        key = (font, char)
        if key not in self._known:
            self._known[key] = self._drawn(font, char) != self._drawn(font, _NOWHERE)
        return self._known[key]

    def _drawn(self, font: str | None, char: str) -> tuple[tuple[int, int], bytes]:
        mask = self._load(font, _PROBE_PX).getmask(char)
        return mask.size, bytes(mask)

    def _load(self, file: str | None, size_px: int) -> Font:
        key = (file, size_px)
        if key not in self._loaded:
            self._loaded[key] = _default(size_px) if file is None else ImageFont.truetype(file, size_px)
        return self._loaded[key]


def _default(size_px: int) -> Font:
    font = ImageFont.load_default(size_px)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 - the other kind is of a Pillow without FreeType
    return font


def _walk(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the font files of folders that may not exist."""
    for folder in folders:
        for inside, _, names in os.walk(folder):
            yield from (Path(inside, name) for name in names if name.lower().endswith(_SUFFIXES))


def _system_folders() -> list[Path]:
    """Where Linux (freedesktop.org) and macOS keep fonts; those of the user first."""
    if sys.platform == "darwin":
        return [Path("~/Library/Fonts").expanduser(), Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [Path(place, "fonts").expanduser() for place in (home, *shared.split(os.pathsep))]
