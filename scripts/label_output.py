"""Shows what became of labels: what was said, what is decided of the faces now, and their history."""

from typing import TYPE_CHECKING, Any

import click

from core.records import FaceOutcome, Verdict
from scripts.common import Invocation
from scripts.label_targets import Targets
from scripts.output import (
    add_row,
    make_console,
    make_table,
    printable,
    show_count,
    show_time,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from db.labels import PastLabel
    from db.tables import Person

_FACES_SHOWN = 10


def show_labelled(
    session: "Session", targets: Targets, verdict: Verdict, person: "Person | None", added: int, invocation: Invocation
) -> None:
    """Show what was said, and what is decided of the faces now."""
    name = _current_name(session, person)
    faces = _faces_now(session, targets)
    if invocation.as_json:
        return write_json({"verdict": verdict.value, "person": name, "added": added, **_documents(targets, faces)})
    known = len(targets) - added
    known_already = "" if not known else f" {'That' if known == 1 else f'{known:,} of that'} was known already."
    click.echo(f"{_what(targets)}: {words(verdict, name)}.{known_already}")
    _print_faces(faces)
    return None


def show_undone(session: "Session", targets: Targets, undone: int, invocation: Invocation) -> None:
    """Show that something was taken back, and what is decided of the faces now."""
    faces = _faces_now(session, targets)
    if invocation.as_json:
        return write_json({"undone": undone, **_documents(targets, faces)})
    click.echo(f"{_what(targets)}: {show_count(undone, 'label')} taken back.")
    _print_faces(faces)
    return None


def show_history(session: "Session", targets: Targets, invocation: Invocation) -> None:
    """Show all that was ever said of each face or photo."""
    histories = list(_histories(session, targets))
    if invocation.as_json:
        document = [{"target": name, "labels": [_past(each) for each in past]} for name, past in histories]
        return write_json({"history": document})
    console = make_console()
    for name, past in histories:
        if not past:
            click.echo(f"Nobody has said anything of {printable(name)}.")
            continue
        table = make_table(["When", "Who", "What", ""], title=printable(name) if len(histories) > 1 else None)
        for each in past:
            what = words(each.verdict, each.person)
            said = f"takes back: {what}" if each.undoes_id is not None else what
            state = "undone" if each.undone else "holds" if each.holds else ""
            add_row(table, show_time(each.at), each.author, said, state)
        console.print(table)
    return None


def words(verdict: Verdict, person: str | None) -> str:
    """Return a label in words."""
    if verdict is Verdict.IS:
        return f"is {person}"
    if verdict is Verdict.IS_NOT:
        return f"is not {person}" if person else "is none of the people"
    return "is no face" if verdict is Verdict.NOT_A_FACE else "is to be ignored"


def _what(targets: Targets) -> str:
    if len(targets) > 1:
        return f"{len(targets):,} faces"
    if targets.face_ids:
        return targets.face_ids[0]
    (photo,) = targets.photos
    return printable(photo.name if photo.face is None else f"Face {photo.face} of {photo.name}")


def _current_name(session: "Session", person: "Person | None") -> str | None:
    from db.people import person_names

    return None if person is None else person_names(session, {person.id})[person.id]


def _faces_now(session: "Session", targets: Targets) -> list[dict[str, Any]]:
    """Return what is decided of the stored faces now."""
    from db.people import person_names
    from db.redecide import load_faces

    faces = [stored.face for stored in load_faces(session, targets.faces)]
    names = person_names(session, {face.person_id for face in faces if face.person_id is not None})
    return [
        {
            "face": face_id,
            "outcome": face.outcome.value,
            "person": None if face.person_id is None else names[face.person_id],
            "reasons": list(face.quality_reasons),
        }
        for face_id, face in zip(targets.face_ids, faces, strict=True)
    ]


def _documents(targets: Targets, faces: list[dict[str, Any]]) -> dict[str, Any]:
    photos = [
        {
            "photo": photo.name,
            "face": photo.face,
            "box": None if photo.box_xyxy_px is None else [round(side, 2) for side in photo.box_xyxy_px],
        }
        for photo in targets.photos
    ]
    return {"faces": faces, "photos": photos}


def _print_faces(faces: list[dict[str, Any]]) -> None:
    for face in faces[:_FACES_SHOWN]:
        decided = face["outcome"].replace("_", " ")
        if face["outcome"] == FaceOutcome.IDENTIFIED:
            decided += f" as {face['person']}"
        click.echo(f"  {face['face']} is now {printable(decided)}")
    if len(faces) > _FACES_SHOWN:
        click.echo(f"  and {len(faces) - _FACES_SHOWN:,} more (all: --json)")


def _histories(session: "Session", targets: Targets) -> "Iterator[tuple[str, list[PastLabel]]]":
    from db.labels import list_labels
    from db.redecide import load_faces

    for face_id, stored in zip(targets.face_ids, load_faces(session, targets.faces), strict=True):
        yield face_id, list_labels(session, stored.sha256, stored.box, alone=stored.alone)
    for photo in targets.photos:
        yield photo.name, list_labels(session, photo.sha256, photo.box_xyxy_px)


def _past(label: "PastLabel") -> dict[str, Any]:
    return {
        "label": label.label_id,
        "verdict": label.verdict.value,
        "person": label.person,
        "author": label.author,
        "at": label.at.isoformat(),
        "undoes": label.undoes_id,
        "undone": label.undone,
        "holds": label.holds,
    }
