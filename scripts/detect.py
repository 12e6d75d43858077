"""`facefleet detect`: what detection sees in one photo, as a table and as a picture. Stores nothing, names nobody."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.records import FaceOutcome
from core.settings import Settings
from scripts.common import Invocation, command
from scripts.files import replacing
from scripts.found_faces import FoundFace, decode_bytes, find_faces, find_photo, read_bytes
from scripts.output import add_row, make_console, make_table, say, show_count, write_json

if TYPE_CHECKING:
    from PIL import Image

    from core.images.decode import DecodedPhoto

_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_QUALITY = 92
_WIDE = 110  # columns of a terminal that has room for landmarks


@command("detect", example="facefleet detect party.jpg\nfacefleet detect party.jpg --picture faces.jpg")
@click.argument("file")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.jpg",
    help="Save the photo with boxes, landmarks and reasons, as JPEG or PNG. One of the same name is replaced.",
)
def detect(invocation: Invocation, file: str, picture: Path | None) -> None:
    """Find the faces in one photo and show what is found: boxes, landmarks, quality and reasons.

    FILE is a photo, or the URI of one. Faces are numbered from 0, left to right, then top to bottom.
    """
    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was written."
    uri = find_photo(file)
    format_ = _check_picture(picture, file) if picture else None
    photo = decode_bytes(read_bytes(uri, settings), settings)
    faces = find_faces(photo, settings)
    if picture and format_:
        with replacing(picture) as stream:
            _draw(photo, faces).save(stream, format_, quality=_QUALITY)
    if invocation.as_json:
        size = {"width": photo.width_px, "height": photo.height_px}
        saved = str(picture) if picture else None
        write_json({"file": file, **size, "faces": [face.to_json() for face in faces], "picture": saved})
    else:
        _print(faces, photo, picture)


def _check_picture(picture: Path, file: str) -> str:
    """Return the format of the picture to write.

    Raises:
        UsageError: its name says none, or it would take the photo's place.
    """
    format_ = _FORMATS.get(picture.suffix.lower())
    if format_ is None:
        raise click.UsageError(f"{picture} has no name of a JPEG or PNG. End it with .jpg or .png.")
    if picture.exists() and Path(file).exists() and picture.samefile(file):
        raise click.UsageError("The picture would take the photo's place. Give it another name.")
    return format_


def _draw(photo: "DecodedPhoto", faces: Sequence[FoundFace]) -> "Image.Image":
    """Draw what was found onto a copy of the photo."""
    from core.images.annotate import Mark, annotate_photo
    from core.images.fonts import Fonts

    marks = [
        Mark(
            box_xyxy_px=face.box_xyxy_px,
            text=f"{face.number}\u2002{_show_quality(face)}",
            outcome=FaceOutcome.LOW_QUALITY if face.reasons else None,
            landmarks_px=face.landmarks_px,
        )
        for face in faces
    ]
    return annotate_photo(photo, marks, Fonts(), caption="" if faces else "no face")


def _show_quality(face: FoundFace) -> str:
    return ", ".join(face.reasons).replace("_", " ") or f"{face.quality:.2f}"


def _print(faces: Sequence[FoundFace], photo: "DecodedPhoto", picture: Path | None) -> None:
    """Print the table, and what was found in words. A narrow terminal shows no landmarks: --json has them."""
    console = make_console()
    wide = console.width >= _WIDE
    table = make_table([">Face", ">Box", ">Score", ">Quality", "Reasons", *(["Landmarks"] if wide else [])])
    for face in faces:
        box = " ".join(f"{value:.0f}" for value in face.box_xyxy_px)
        landmarks = " ".join(f"{x:.0f},{y:.0f}" for x, y in face.landmarks_px)
        cells = [face.number, box, f"{face.score:.2f}", f"{face.quality:.2f}", ", ".join(face.reasons), landmarks]
        add_row(table, *cells[: None if wide else -1])
    if faces:
        console.print(table)
    passed = sum(not face.reasons for face in faces)
    count = f"{show_count(len(faces), 'face')}, {passed:,} good enough to be named" if faces else "no face"
    say(f"{photo.width_px:,} x {photo.height_px:,} pixels: {count}.")
    if picture:
        say(f"{picture}: the photo with what was found.")
