"""Plays one case on one database and takes its tally. Used by the command line and by pytest."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from db import schema
from tests.chaos.cases import Case
from tests.chaos.child import JOURNAL
from tests.chaos.tally import Tally, call_witness, take_tally
from tests.chaos.world import World
from tests.integration.workers.fleet import small_fleet
from tests.services import PostgresServer, RedisServer, find_redis_executable, free_port, short_temporary_folder


class MissingError(Exception):
    """Something that a case needs is not on this machine."""


def run_case(case: Case, kind: str, seed: int, postgres: PostgresServer | None, logs: Path | None = None) -> Tally:
    """Play a case.

    Args:
        case: what goes wrong.
        kind: `sqlite` or `postgresql`.
        seed: of everything left to chance.
        postgres: a running server with a template; needed for `postgresql`.
        logs: a folder to keep the processes' logs and the journal in.

    Raises:
        MissingError: this machine cannot play it; says why.
        AssertionError: the fault did not happen as the case says, or the ledger contradicts itself.
    """
    if case.disk_mib and os.geteuid() != 0:
        raise MissingError("mounting a small disk needs root")
    with _world(case, kind, seed, postgres, logs) as world:
        world.prepare()
        world.healed()
        case.play(world)
        recover_s = world.wait_done(case.patience_s)
        return take_tally(
            world.fleet.database,
            world.folder,
            case=case.name,
            seed=seed,
            submitted=world.submitted,
            poisoned=world.poisoned,
            recover_s=recover_s,
            notes=tuple(world.notes),
        )


@contextmanager
def _world(case: Case, kind: str, seed: int, postgres: PostgresServer | None, logs: Path | None) -> Iterator[World]:
    """Bring up a case's services and its fleet without nodes; leave nothing behind."""
    with ExitStack() as stack:
        folder = disk = stack.enter_context(short_temporary_folder())
        if case.disk_mib and case.disk_holds == "artifacts":
            disk = stack.enter_context(_small_disk(folder / "artifacts", case.disk_mib))
        for_database = case.disk_mib if case.disk_holds == "database" else 0
        if kind == "postgresql":
            assert postgres is not None
            if for_database:
                postgres = stack.enter_context(_postgres_on_small_disk(postgres.binaries, for_database))
                disk = postgres.folder / "data"
            url = stack.enter_context(postgres.fresh_database(template=True))
        else:
            file = folder / "facefleet.db"
            if for_database:
                disk = stack.enter_context(_small_disk(folder / "disk", for_database))
                file = disk / file.name
            postgres, url = None, f"sqlite:///{file}"
        redis = stack.enter_context(_redis(folder / "redis"))
        fleet = stack.enter_context(small_fleet(url, redis, folder, **case.settings))
        schema.upgrade(fleet.database)
        call_witness(fleet.database)
        chance = random.Random(f"{seed} {case.name} {kind}")
        try:
            yield World(fleet=fleet, random=chance, folder=folder, disk=disk, postgres=postgres)
        finally:
            if logs is not None:
                _keep(folder, logs / f"{case.name}-{kind}-{seed}")


def _keep(folder: Path, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for file in (*folder.glob("*.log"), *folder.glob(JOURNAL)):
        shutil.copy(file, kept)


@contextmanager
def _redis(folder: Path) -> Iterator[RedisServer]:
    executable = find_redis_executable()
    if executable is None:
        raise MissingError("there is no redis-server")
    folder.mkdir()
    server = RedisServer(executable=executable, folder=folder, port=free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _small_disk(disk: Path, mib: int) -> Iterator[Path]:
    """Mount a disk that is soon full."""
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def _postgres_on_small_disk(binaries: Path, mib: int) -> Iterator[PostgresServer]:
    """Run a server whose data lie on a small disk."""
    with short_temporary_folder() as folder, _small_disk(folder / "data", mib):
        server = PostgresServer(binaries=binaries, folder=folder)
        server.start()
        server.make_template()
        try:
            yield server
        finally:
            server.stop()
