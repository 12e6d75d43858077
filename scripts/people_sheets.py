"""The pictures of `people check`: a sheet a person, each row a photo that looks wrong and what it was compared with."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from core.errors import FacefleetError
from core.faces.vectors import directions
from core.images.fonts import Fonts
from scripts.files import replacing
from scripts.picture_painter import OURS
from scripts.pictures import make_folder

if TYPE_CHECKING:
    from core.training.hygiene import Finding
    from scripts.people_check import CheckedPhotos

_SIDE_PX = 144
_GAP_PX = 8
_LETTERS_PX = 15
_LINE_PX = 24
_BESIDE = 4  # photos of a person, the most similar ones
_ROWS = 40  # of one sheet; the most striking come first
_QUALITY = 90
_PAPER, _INK, _WRONG, _MISSING = (255, 255, 255), (20, 20, 20), (213, 94, 0), (225, 225, 225)
"""Vermillion marks what looks wrong (Okabe and Ito's palette for all kinds of sight)."""
_SAYS = {"mislabelled": "wrong name?", "unlike": "unlike others", "duplicate": "near-duplicate"}


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Photos under one caption."""

    caption: str
    rows: tuple[int, ...]
    marked: bool = False


def write_sheets(checked: "CheckedPhotos", folder: Path, tell: Callable[[int], None]) -> int:
    """Write a sheet for each person of whom a photo looks wrong; return how many.

    Args:
        checked: photos and findings.
        folder: was checked to be new, empty, or to hold earlier pictures alone.
        tell: told how many are written.

    Raises:
        InputError: the folder cannot be written.
    """
    by_person: dict[int, list[Finding]] = defaultdict(list)
    for finding in checked.findings:
        if finding.photo is not None:
            by_person[finding.person].append(finding)
    make_folder(folder)
    fonts = Fonts()
    for number, (person, findings) in enumerate(sorted(by_person.items()), start=1):
        sheet = _draw_sheet(checked, findings[:_ROWS], fonts)
        with replacing(folder / _file_name(number, checked.classes[person].name)) as stream:
            sheet.save(stream, "JPEG", quality=_QUALITY, comment=OURS)
        tell(number)
    return len(by_person)


def _file_name(number: int, name: str) -> str:
    cleaned = re.sub(r"[^\w.-]+", "_", name)[:60].strip("._")
    return f"{number:04d}-{cleaned or 'person'}.jpg"


def _draw_sheet(checked: "CheckedPhotos", findings: "Sequence[Finding]", fonts: Fonts) -> Image.Image:
    lines = [_groups(checked, finding) for finding in findings]
    photos = max(sum(len(group.rows) for group in groups) for groups in lines)
    width = photos * (_SIDE_PX + _GAP_PX) + max(map(len, lines)) * 2 * _GAP_PX + _GAP_PX
    height = len(lines) * (_SIDE_PX + _LINE_PX + 2 * _GAP_PX) + _GAP_PX
    sheet = Image.new("RGB", (width, height), _PAPER)
    for number, groups in enumerate(lines):
        _draw_line(sheet, checked, groups, _GAP_PX + number * (_SIDE_PX + _LINE_PX + 2 * _GAP_PX), fonts)
    return sheet


def _groups(checked: "CheckedPhotos", finding: "Finding") -> list[_Group]:
    """Return a photo, those of its person that it is most like, and those of whom it looks like."""
    assert finding.photo is not None  # noqa: S101 - only such findings are drawn
    wrong = {each.photo for each in checked.findings if each.kind.value != "duplicate"}
    own = _nearest(checked, finding.photo, finding.person, wrong)
    groups = [
        _Group(caption=_SAYS[finding.kind.value], rows=(finding.photo,), marked=True),
        _Group(caption=checked.classes[finding.person].name, rows=own),
    ]
    if finding.suggested is not None:
        like = _nearest(checked, finding.photo, finding.suggested, wrong)
        groups.append(_Group(caption=checked.classes[finding.suggested].name, rows=like))
    return groups


def _nearest(checked: "CheckedPhotos", photo: int, person: int, wrong: set[int | None]) -> tuple[int, ...]:
    """Return the photos of a person, without those that look wrong, that are most like this one, the nearest first."""
    of_person = (checked.labels == person).nonzero()[0].tolist()
    rows = np.array([row for row in of_person if row != photo and row not in wrong], np.int64)
    cosines = directions(checked.vectors[rows]) @ checked.vectors[photo]  # but for the length of this one
    return tuple(int(row) for row in rows[(-cosines).argsort(kind="stable")[:_BESIDE]])


def _draw_line(sheet: Image.Image, checked: "CheckedPhotos", groups: Sequence[_Group], top: int, fonts: Fonts) -> None:
    draw = ImageDraw.Draw(sheet)
    left = _GAP_PX
    for group in groups:
        room = max(1, len(group.rows)) * (_SIDE_PX + _GAP_PX) - _GAP_PX
        text = group.caption
        while fonts.text(text, _LETTERS_PX).width_px > room and len(text) > 1:
            text = text[:-2].rstrip() + "\u2026"
        fonts.text(text, _LETTERS_PX).draw(draw, left, top, _WRONG if group.marked else _INK)
        for row in group.rows:
            sheet.paste(_crop(checked, row), (left, top + _LINE_PX))
            if group.marked:
                box = (left - 4, top + _LINE_PX - 4, left + _SIDE_PX + 3, top + _LINE_PX + _SIDE_PX + 3)
                draw.rectangle(box, outline=_WRONG, width=4)
            left += _SIDE_PX + _GAP_PX
        left += 2 * _GAP_PX


def _crop(checked: "CheckedPhotos", row: int) -> Image.Image:
    """Return a face as the network saw it; grey when the photo can no longer be read."""
    try:
        pixels = checked.load_crop(checked.photos[row])
    except FacefleetError:
        return Image.new("RGB", (_SIDE_PX, _SIDE_PX), _MISSING)
    return Image.fromarray(pixels).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC)
