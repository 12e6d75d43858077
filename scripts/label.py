"""`facefleet label`: says whom a photo shows, and which of its faces is meant."""

import hashlib

import click

from core.clock import utc_now
from core.errors import InputError
from core.records import Split
from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.found_faces import FoundFace, decode_bytes, find_faces, find_photo, read_bytes
from scripts.output import show_count, write_json


@command(
    "label",
    example="facefleet label ada.jpg --is 'Ada Lovelace'\nfacefleet label party.jpg --face 1 --is Ada --split test",
)
@click.argument("photo")
@click.option("--is", "name", required=True, metavar="NAME", help="Whom it shows; somebody new is added.")
@click.option(
    "--face",
    "number",
    type=click.IntRange(min=0),
    metavar="N",
    help="Which of its faces, as `facefleet detect PHOTO` numbers them.",
    show_default="the only one",
)
@click.option(
    "--split",
    type=click.Choice([split.value for split in Split]),
    default=Split.TRAIN.value,
    help="What the photo is for: to learn from, or to measure with.",
)
def label(invocation: Invocation, photo: str, name: str, number: int | None, split: str) -> None:
    """Say whom a photo shows.

    PHOTO is a file, or the URI of one. The next training learns from it. A photo with several faces needs --face: no
    face is guessed.
    """
    from db.labels import label_photo
    from db.people import get_or_add_person

    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was labelled."
    uri = find_photo(photo)
    data = read_bytes(uri, settings)
    pixels = decode_bytes(data, settings)
    box = None if number is None else _choose(find_faces(pixels, settings), number, photo).box_xyxy_px
    with open_database(settings) as database, database.write() as session:
        person = get_or_add_person(session, name, utc_now())
        added = label_photo(
            session,
            person=person,
            sha256=hashlib.sha256(data).hexdigest(),
            uri=uri,
            split=Split(split),
            author=current_user(),
            now=utc_now(),
            box_xyxy_px=box,
        )
        known_as = person.name
    if invocation.as_json:
        shown = None if box is None else [round(side, 2) for side in box]
        write_json({"photo": photo, "person": known_as, "face": number, "box": shown, "added": added})
    else:
        what = photo if number is None else f"Face {number} of {photo}"
        click.echo(f"{what} shows {known_as}." if added else f"That {what} shows {known_as} was known already.")


def _choose(faces: list[FoundFace], number: int, photo: str) -> FoundFace:
    """Return the face of this number.

    Raises:
        InputError: there is none.
    """
    if number >= len(faces):
        found = show_count(len(faces), "face")
        raise InputError(
            f"{photo} has no face {number}: {found} found, numbered from 0. Nothing was labelled. "
            f"Look at it with `facefleet detect {photo}`."
        )
    return faces[number]
