"""`facefleet people`: who can be named, and from which photos. Importing stands in scripts/people_import.py."""

import click

from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.output import (
    add_row,
    make_console,
    make_table,
    print_fields,
    print_text,
    show_minute,
    show_time,
    write_json,
)
from scripts.people_changes import merge, rename, undo
from scripts.people_import import import_

_PHOTOS_SHOWN = 20


@click.group()
def people() -> None:
    """Import labelled photos, look at the people who can be named, merge and rename them."""


for _command in (import_, merge, rename, undo):
    people.add_command(_command)


@command("list", group=people, example="facefleet people list")
def list_(invocation: Invocation) -> None:
    """List everybody with their numbers of photos."""
    from db.people import list_people

    with open_database(Settings.from_env()) as database, database.read() as session:
        everybody = list_people(session)
    if invocation.as_json:
        fields = ("name", "also_called", "train_photos", "test_photos")
        write_json({"people": [{name: getattr(person, name) for name in fields} for person in everybody]})
    elif everybody:
        table = make_table(["Name", ">Training photos", ">Test photos", "Since"])
        for person in everybody:
            counts = (f"{person.train_photos:,}", f"{person.test_photos:,}")
            name = ", also ".join((person.name, *person.also_called))
            add_row(table, name, *counts, show_minute(person.created_at))
        make_console().print(table)
    else:
        click.echo("Nobody is known yet. Import labelled photos: facefleet people import DIR")


@command("show", group=people, example='facefleet people show "Ada Lovelace"')
@click.argument("name")
def show(invocation: Invocation, name: str) -> None:
    """Show a person and the photos that say who they are; a merged person as whom they count as."""
    from db.people import find_person, find_summary, labelled_photos

    with open_database(Settings.from_env()) as database, database.read() as session:
        person = find_summary(session, find_person(session, name))
        photos = [
            {"uri": photo.uri, "split": photo.split.value, "sha256": photo.sha256}
            for photo in labelled_photos(session, person.person_id)
        ]
    if invocation.as_json:
        document = {"name": person.name, "also_called": person.also_called}
        return write_json({**document, "created_at": person.created_at.isoformat(), "photos": photos})
    console = make_console()
    also = ", ".join(person.also_called) or None
    fields = [("Name", person.name), ("Also called", also), ("Since", show_time(person.created_at))]
    print_fields(console, [*fields, ("Photos", len(photos))])
    for photo in photos[:_PHOTOS_SHOWN]:
        print_text(console, f"{photo['split']:5}  {photo['uri']}", indent=2)
    if len(photos) > _PHOTOS_SHOWN:
        console.print(f"  and {len(photos) - _PHOTOS_SHOWN:,} more (all: --json)")
    return None
