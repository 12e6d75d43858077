"""The world of one case: a fleet of real processes on a real Redis and database, and the hands that break it."""

import csv
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from redis import Redis

from core.clock import utc_now
from core.errors import DatabaseUnreachableError
from core.models.store import ModelStore
from core.records import JobState
from db import registry
from tests import labelled
from tests.chaos import child
from tests.chaos.tally import count_looks
from tests.factories import put_bytes
from tests.integration.workers.fleet import NodeProcess, SmallFleet, wait_until
from tests.ledger import add_people
from tests.services import PostgresServer, RedisServer
from workers.submit import Submission


@dataclass(kw_only=True)
class World:
    """What a case plays with."""

    fleet: SmallFleet
    random: random.Random
    """Everything that a case leaves to chance comes from here: the same seed plays the same faults."""
    folder: Path
    """Of the journal, and of the files by which running processes are spoken to."""
    disk: Path
    """Where the database lies, or the artifacts, if that is a small one."""
    postgres: PostgresServer | None
    """The server of the case's database; None on SQLite."""
    submissions: list[Submission] = field(default_factory=list)
    submitted: int = 0
    poisoned: int = 0
    """How many of them are to end in an error."""
    healed_s: float = 0.0
    sweeper: NodeProcess = field(init=False)
    """The first one; a case may start more."""
    notes: list[str] = field(default_factory=list)
    """What a case has to say beside its line."""

    @property
    def redis(self) -> RedisServer:
        """The case's own Redis server."""
        return self.fleet.redis

    def prepare(self) -> None:
        """Make a model serve and start the sweeper."""
        add_people(self.fleet.database, "Ada")
        sha256 = put_bytes(ModelStore(self.fleet.settings.artifacts_dir), b"never loaded: the network is made up")
        labelled.add_model(self.fleet.database, sha256)
        with self.fleet.database.write() as session:
            model = registry.get_model(session, "v1")
            registry.activate_model(session, model, who="chaos", why="chaos", now=utc_now())
        self.sweeper = self.start_sweeper()

    def start_sweeper(self) -> NodeProcess:
        """Start one more sweeper."""
        return self.fleet.start_silently("sweep", **self.environment())

    def start_node(self, *, slots: int = 1, photo_s: float = 0.0, **env: str) -> NodeProcess:
        """Start a worker node and wait until its slots have reported themselves."""
        return self.fleet.start(slots=slots, **self.environment(photo_s), **env)

    def environment(self, photo_s: float = 0.0) -> dict[str, str]:
        """What a process of this world needs beside the settings."""
        return {child.FOLDER: str(self.folder), child.PHOTO_S: str(photo_s)}

    def write_manifest(self, photos: int, special: Mapping[int, str] | None = None) -> Path:
        """List photos; `special` says which of them are `held`, `segfault` or `hang`, by position."""
        manifest = self.folder / f"manifest-{len(list(self.folder.glob('manifest-*')))}.csv"
        with manifest.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["uri"])
            kinds = special or {}
            rows.writerows([f"chaos://{kinds.get(n, 'plain')}/{manifest.stem}-{n:06}"] for n in range(photos))
        return manifest

    def submit(self, photos: int, special: Mapping[int, str] | None = None, *, ring: bool = True) -> Submission:
        """Submit photos."""
        return self.count(self.fleet.submit(self.write_manifest(photos, special), ring=ring))

    def count(self, submission: Submission) -> Submission:
        """Hold the fleet to a submission that it took."""
        self.submissions.append(submission)
        self.submitted += submission.total
        return submission

    def submit_held(self, photos: int) -> None:
        """Submit photos one of which, in the first chunk, cannot be read yet; return when a worker waits for it."""
        self.close_gate()
        self.submit(photos, {self.random.randrange(self.fleet.settings.chunk_size): "held"})
        self.wait_until(lambda: any(name.startswith("held/") for name in self.looks()), "a worker is at the held photo")

    def close_gate(self) -> None:
        """Hold back the held photos."""
        (self.folder / child.GATE).touch()

    def open_gate(self) -> None:
        """Give the held photos out."""
        (self.folder / child.GATE).unlink()

    def order(self, death: str) -> Callable[[], bool]:
        """Have a process that starts from now on die at a certain moment, once; return whether it has."""
        (self.folder / death).touch()
        return lambda: not (self.folder / death).exists()

    def move_all_clocks(self, seconds: float) -> None:
        """Move the clock of every process, running or not."""
        (self.folder / child.CLOCK).write_text(str(seconds))

    def looks(self) -> dict[str, int]:
        """How often each photo was looked at."""
        return count_looks(self.folder)

    def outcomes(self) -> int:
        """How many photos are counted as done."""
        jobs = [self.fleet.job(submission) for submission in self.submissions]
        return sum(job.items_faces + job.items_no_face + job.items_error for job in jobs)

    def wait_outcomes(self, count: int) -> None:
        """Wait until so many photos have their outcome."""
        self.wait_until(lambda: self.outcomes() >= count, f"{count} outcomes")

    def wait_until(self, fact: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Wait for something; when it never happens, say so with the logs."""
        try:
            wait_until(fact, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(node.log[-3000:] for node in self.fleet.processes)) from None

    def redis_client(self) -> "Redis":
        """A client of the case's Redis, straight."""
        return Redis.from_url(self.redis.url, decode_responses=True)

    def healed(self) -> None:
        """Note the end of the last fault: recovery is counted from here."""
        self.healed_s = time.monotonic()

    def wait_done(self, patience_s: float) -> float:
        """Wait until every job is done, or patience is over; return the seconds since the last fault."""
        deadline_s = time.monotonic() + patience_s
        while not self._is_done() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        return time.monotonic() - self.healed_s

    def _is_done(self) -> bool:
        try:
            return all(self.fleet.job(submission).state == JobState.DONE for submission in self.submissions)
        except DatabaseUnreachableError:
            return False


def kill_process(process: psutil.Process) -> None:
    """Kill -9, whether or not it still lives."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def send(node: NodeProcess, number: signal.Signals) -> None:
    """Send a signal to a node's parent process."""
    os.kill(node.process.pid, number)
