"""`facefleet model export` and `prune`: the files of models."""

import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import InputError
from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.output import add_row, make_console, make_table, say, show_bytes, show_count, show_minute, write_json

if TYPE_CHECKING:
    from core.models.store import StoredArtifact
    from workers.collect import Collection

_DAYS = 7.0
_DAY_S = 86_400.0


@command("export", example="facefleet model export v3 model.pt")
@click.argument("version", metavar="V")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def export(invocation: Invocation, version: str, file: Path) -> None:
    """Write a model as one TorchScript file that runs with torch alone.

    A file of the same name is replaced. docs/models.md says in ten lines how to use it. The file holds one vector a
    person and their names: keep it as you keep the photos.
    """
    from core.models.store import ModelStore
    from db.ids import model_version
    from db.registry import get_model

    settings = Settings.from_env()
    invocation.on_interrupt = f"{file} was not written."
    with open_database(settings) as database, database.read() as session:
        model = get_model(session, version)
    store = ModelStore.from_settings(settings)
    store.verify(model.sha256)
    size = _copy(store.path(model.sha256), file)
    if invocation.as_json:
        write_json({"model": model_version(model.id), "file": str(file), "sha256": model.sha256, "bytes": size})
    else:
        click.echo(f"{model_version(model.id)} is in {file} ({show_bytes(size)}).")
        say("It holds vectors of each person and their names: keep it as you keep the photos.")


@command("prune", example="facefleet model prune --dry-run\nfacefleet model prune --older-than 30 --json")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(0.0, 36_500.0),
    default=_DAYS,
    metavar="DAYS",
    help="Leave younger files alone: they may be about to be registered.",
)
@click.option("--force", is_flag=True, help="Also when more would be removed than this database has models for.")
def prune(invocation: Invocation, dry_run: bool, days: float, force: bool) -> None:
    """Remove model files that no model of this database names.

    Files of registered models stay, whatever their state, and so does what was stored since a run began that is still
    in progress. The sweeper does this every hour.
    """
    from core.models.store import ModelStore
    from db.clock import LedgerClock
    from workers.collect import collect_artifacts

    settings = Settings.from_env()
    invocation.on_interrupt = "What was removed before stays removed; look with --dry-run."
    store = ModelStore.from_settings(settings)
    with open_database(settings) as database:
        now, grace = LedgerClock(database)(), timedelta(seconds=days * _DAY_S)
        collection = collect_artifacts(database, store, now, grace=grace, dry_run=dry_run, force=force)
    if invocation.as_json:
        write_json(_document(collection, dry_run))
    else:
        _print(collection, store.place, dry_run)


def _copy(source: Path, file: Path) -> int:
    """Copy a file, whole or not at all; return its bytes.

    Raises:
        InputError: it cannot be written there.
    """
    from core.disk import told_when_full
    from core.models.store import copy_durably

    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with told_when_full(file.parent), source.open("rb") as stream:
            copy_durably(stream, partial)
        partial.chmod(0o666 & ~_umask())
        partial.replace(file)
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror or error}. Nothing was exported. Choose a place that you may "
            "write to."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return file.stat().st_size


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _document(collection: "Collection", dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "removed": [
            {"sha256": each.sha256, "bytes": each.size_bytes, "stored_at": each.stored_at.isoformat()}
            for each in collection.removed
        ],
        "bytes": _bytes(collection.removed),
        "kept": collection.kept,
        "registered": collection.registered,
    }


def _print(collection: "Collection", place: str, dry_run: bool) -> None:
    if collection.removed:
        table = make_table(["Artifact", ">Size", "Stored"])
        for each in collection.removed:
            add_row(table, each.sha256, show_bytes(each.size_bytes), show_minute(each.stored_at))
        make_console().print(table)
    verb = "would be removed" if dry_run else "removed"
    files, size = show_count(len(collection.removed), "file"), show_bytes(_bytes(collection.removed))
    click.echo(f"{files} {verb} from {place} ({size}); {show_count(collection.kept, 'file stays', 'files stay')}.")


def _bytes(artifacts: "tuple[StoredArtifact, ...]") -> int:
    return sum(each.size_bytes for each in artifacts)
