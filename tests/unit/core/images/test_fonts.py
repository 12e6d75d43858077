"""Fonts for any script: chosen by what they have, and what none has is told. The second font is made here."""

import struct
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from core.images.fonts import Fonts, Text

CYRILLIC = range(0x0410, 0x0450)


@pytest.fixture
def fonts(tmp_path: Path) -> Fonts:
    """Fonts of a machine that has one more than Pillow brings: it has Cyrillic letters and spaces, and no others."""
    write_font(tmp_path / "deep" / "DejaVuSans.ttf", {ord(" "): 1, **{code: 30 + code % 40 for code in CYRILLIC}})
    (tmp_path / "NotoSans-Regular.ttf").write_bytes(b"no font")
    return Fonts([tmp_path, tmp_path / "missing"])


def test_a_name_in_cyrillic_is_drawn_where_a_font_has_it(fonts: Fonts) -> None:
    (run,) = fonts.text("Жозефина", 20).runs

    assert fonts.missing == set()
    assert run[0] == "Жозефина"
    assert ink(fonts.text("Ж", 20)) != ink(Fonts([]).text("Ж", 20))


def test_what_no_font_has_is_drawn_as_boxes_and_told() -> None:
    fonts = Fonts([])

    text = fonts.text("山田 7", 20)

    assert fonts.missing == {"山", "田"}
    assert text.width_px > fonts.text(" 7", 20).width_px + 15
    assert ink(fonts.text("山", 20)) == ink(fonts.text("田", 20))


def test_a_text_of_two_scripts_takes_a_font_for_each(fonts: Fonts) -> None:
    runs = fonts.text("Ада Smith 97\u00a0%", 20).runs

    assert [part for part, _ in runs] == ["Ада ", "Smith 97 %"]
    assert str(runs[0][1].path).endswith("DejaVuSans.ttf")
    assert fonts.missing == set()


def test_accents_that_are_written_apart_are_joined() -> None:
    assert Fonts([]).text("Zoe\u0308", 20).runs[-1][0] == Fonts([]).text("Zoë", 20).runs[-1][0]


def test_a_text_stays_within_the_size_it_states() -> None:
    for size_px in (11, 24, 60):
        text = Fonts([]).text("Ada Ågy|Q", size_px)
        left, top, right, bottom = ink(text, margin=20)[0]
        assert left >= 19 and top >= 19
        assert right <= 21 + text.width_px and bottom <= 21 + text.height_px


def ink(text: Text, margin: int = 0) -> tuple[tuple[int, int, int, int], bytes]:
    """Draw a text and return where it left something, and what."""
    canvas = Image.new("RGB", (text.width_px + 2 * margin + 9, text.height_px + 2 * margin + 9))
    text.draw(ImageDraw.Draw(canvas), margin, margin, (255, 255, 255))
    box = canvas.getbbox()
    assert box is not None
    return box, canvas.crop(box).tobytes()


def write_font(file: Path, glyphs: dict[int, int]) -> None:
    """Write Pillow's own font with another table of characters (`cmap`, format 12): code points to glyph numbers."""
    default = ImageFont.load_default(20)
    assert isinstance(default, ImageFont.FreeTypeFont)
    data = bytearray(default.font_bytes)
    groups = b"".join(struct.pack(">III", code, code, glyph) for code, glyph in sorted(glyphs.items()))
    header = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(glyphs))
    data += b"\0" * (-len(data) % 4)
    entry = next(
        at for at in range(12, 12 + 16 * struct.unpack(">H", data[4:6])[0], 16) if data[at : at + 4] == b"cmap"
    )
    struct.pack_into(">II", data, entry + 8, len(data), len(header) + len(groups))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(data) + header + groups)
