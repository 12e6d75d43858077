"""`facefleet people merge`, `rename` and `undo`: who counts as whom, what they are called, and taking either back."""

import click

from core.clock import utc_now
from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.output import printable, write_json


@command("merge", example="facefleet people merge 'A. Lovelace' 'Ada Lovelace'")
@click.argument("name", metavar="A")
@click.argument("into", metavar="B")
def merge(invocation: Invocation, name: str, into: str) -> None:
    """Let person A count as person B from now on.

    What was said and decided of A shows B; what the model knows of A gives the name B. Nothing is rewritten: take it
    back with `people undo A`.
    """
    from db.renames import merge_people

    invocation.on_interrupt = "Nothing was merged."
    with open_database(Settings.from_env()) as database, database.write() as session:
        merged, other = merge_people(session, name, into, who=current_user(), now=utc_now())
    if invocation.as_json:
        write_json({"merged": merged.name, "into": other.name})
    else:
        click.echo(
            printable(f"{merged.name} counts as {other.name}. Take it back: facefleet people undo '{merged.name}'")
        )


@command("rename", example="facefleet people rename Ada 'Ada Lovelace'")
@click.argument("name", metavar="A")
@click.argument("new_name", metavar="B")
def rename(invocation: Invocation, name: str, new_name: str) -> None:
    """Call person A by the name B from now on, also in results that are stored already.

    Photos in a folder of the old name are still theirs when they are imported again.
    """
    from db.renames import rename_person

    invocation.on_interrupt = "Nobody was renamed."
    with open_database(Settings.from_env()) as database, database.write() as session:
        before, person = rename_person(session, name, new_name, who=current_user(), now=utc_now())
    if invocation.as_json:
        write_json({"before": before, "name": person.name})
    else:
        click.echo(
            printable(f"{before} is called {person.name} now. Take it back: facefleet people undo '{person.name}'")
        )


@command("undo", example="facefleet people undo 'Ada Lovelace'")
@click.argument("name")
def undo(invocation: Invocation, name: str) -> None:
    """Take back the last merge or rename of a person, or the last merge into them.

    Again: the one before.
    """
    from db.merges import MERGE
    from db.renames import undo_people

    invocation.on_interrupt = "Nothing was taken back."
    with open_database(Settings.from_env()) as database, database.write() as session:
        undone = undo_people(session, name, who=current_user(), now=utc_now())
    if invocation.as_json:
        write_json({"undone": undone.action.removeprefix("people."), "name": undone.name, "other": undone.other})
    elif undone.action == MERGE:
        click.echo(printable(f"{undone.name} counts as themselves again, and no longer as {undone.other}."))
    else:
        click.echo(printable(f"{undone.other} is called {undone.name} again."))
