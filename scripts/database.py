"""`facefleet db`: the database's tables."""

import click

from core.settings import Settings
from scripts.common import Invocation, command
from scripts.output import write_json


@click.group()
def db() -> None:
    """Make the database's tables, bring them up to date, or check them."""


@command("upgrade", group=db, example="facefleet db upgrade")
def upgrade(invocation: Invocation) -> None:
    """Make the tables, or bring them to what this version needs; safe while workers run."""
    from db import schema
    from db.engine import Database

    database = Database.from_settings(Settings.from_env())
    try:
        before, after = schema.upgrade(database)
    finally:
        database.close()
    if invocation.as_json:
        write_json({"database": database.shown_url, "before": before, "after": after})
    elif before == after:
        click.echo(f"{database.shown_url} is up to date (schema {after}).")
    else:
        click.echo(f"{database.shown_url} went from {before or 'empty'} to schema {after}.")


@command("check", group=db, example="facefleet db check")
def check(invocation: Invocation) -> None:
    """Check that the database answers and has the tables that this version needs."""
    from db import schema
    from db.engine import Database

    database = Database.from_settings(Settings.from_env())
    try:
        schema.check(database)
    finally:
        database.close()
    if invocation.as_json:
        write_json({"database": database.shown_url, "schema": schema.head_revision(), "ok": True})
    else:
        click.echo(f"{database.shown_url} answers and has the schema that this version needs.")
