"""What every command shares: how it is declared, how it was called, and how it opens the ledger."""

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings

if TYPE_CHECKING:
    from db.engine import Database
    from workers.doorbell import Doorbell


@dataclass(kw_only=True)
class Invocation:
    """How the running command was called, and what is to be said if it is interrupted."""

    as_json: bool
    """Whether stdout takes exactly one JSON document."""
    began: bool = False
    """Whether a part of that document stands on stdout already."""
    on_interrupt: str = "What was stored before stays stored; nothing more was done."
    """What Ctrl-C leaves behind, in words."""


def command(
    name: str, *, example: str, group: click.Group | None = None, **settings: Any
) -> Callable[[Callable[..., None]], click.Command]:
    """Declare a command: its function gets the Invocation first; `--json` and an example in the help come with it.

    Args:
        name: as typed.
        example: command lines that work as they stand.
        group: the command group it belongs to; None for one of the first level.
        settings: passed on to click.
    """

    def declare(function: Callable[..., None]) -> click.Command:
        lines = "\n".join(f"  {line}" for line in example.strip().splitlines())
        make = click.command if group is None else group.command
        declared: click.Command = make(name, epilog=f"\b\nExample:\n{lines}", **settings)(click.pass_obj(function))
        text = "Print one JSON document on stdout."
        declared.params.append(click.Option(["--json"], is_flag=True, expose_value=False, help=text))
        return declared

    return declare


@contextmanager
def open_database(settings: Settings) -> Iterator["Database"]:
    """Open the ledger and close it at the end. The embedded one is made when it is not there yet.

    Raises:
        DatabaseUnreachableError: it does not answer.
        DatabaseSchemaError: it has no tables, or those of another version.
    """
    from db.engine import Database

    new = not settings.database_url and not (settings.home / "facefleet.db").exists()
    database = Database.from_settings(settings)
    try:
        if new:
            from db import schema

            schema.upgrade(database)
        yield database
    finally:
        database.close()


@contextmanager
def find_doorbell(settings: Settings) -> Iterator["Doorbell"]:
    """Open the way to the workers and close it at the end.

    Raises:
        RedisUnreachableError: no Redis is known.
    """
    from workers.doorbell import Doorbell
    from workers.embedded import find_redis_url

    doorbell = Doorbell(find_redis_url(settings))
    try:
        yield doorbell
    finally:
        doorbell.close()


def current_user() -> str:
    """Return who types, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        return f"uid-{os.getuid()}"
