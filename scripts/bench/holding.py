"""What the workers of a fleet hold while they run: memory and open files of each process, by the system's own count."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from db import nodes

if TYPE_CHECKING:
    from core.settings import Settings
    from db.engine import Database
    from db.tables import Worker


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What one process holds."""

    resident_bytes: int
    """In memory, pages included that others have mapped too, such as those of a library."""
    unique_bytes: int
    """In memory that no other process shares: what would be free if it ended."""
    open_files: int
    """Sockets included."""


def list_workers(database: "Database") -> "list[Worker]":
    """Return the processes that identify, by name."""
    with database.read() as session:
        return [row for row in nodes.list_nodes(session) if row.role == "identify"]


def read_holdings(database: "Database") -> dict[int, Holding]:
    """Return what each worker holds now, by process id; one that ended and was not yet replaced is left out."""
    held = {}
    for row in list_workers(database):
        try:
            process = psutil.Process(row.pid)
            memory = process.memory_full_info()
            held[row.pid] = Holding(resident_bytes=memory.rss, unique_bytes=memory.uss, open_files=process.num_fds())
        except psutil.NoSuchProcess:
            continue
    return held


def read_idle_holdings(database: "Database", settings: "Settings") -> dict[int, Holding]:
    """Wait until workers that have nothing to do have given back what they do not need; return what each holds then."""
    time.sleep(2 * settings.model_poll_s)
    return read_holdings(database)
