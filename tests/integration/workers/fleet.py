"""A small real fleet for tests: nodes as subprocesses on a real Redis and a real database, and what to wait for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from redis import Redis
from sqlalchemy import func, select

from core.clock import utc_now
from core.models.store import ModelStore
from core.records import FacesMode, JobState, PersonClass
from core.settings import Settings
from db import jobs, nodes, registry
from db.engine import Database
from db.people import get_or_add_person
from db.tables import Chunk, Face, Item, Job, Worker
from tests.factories import make_artifact, make_face, make_manifest
from tests.services import RedisServer
from workers.doorbell import Doorbell
from workers.submit import Submission, SubmitRequest, submit_job
from workers.sweep import SweepReport, sweep_once

ROOT = Path(__file__).resolve().parents[3]
_SITE = Path(__file__).parent / "site"  # makes `held://` known to the nodes

# What one role's process runs, without the command line in between.
_PROGRAMS = {
    "identify": "from workers.node import run_worker_node as run; "
    "sys.exit(run(Settings.from_env(), '{device}', {slots}))",
    "train": "from workers.node import run_trainer_node as run; sys.exit(run(Settings.from_env()))",
    "sweep": "from scripts.main import cli; cli(['sweeper'])",
}


def wait_until(fact: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until something is true; fail with its name when it never is."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)


@dataclass(kw_only=True)
class SmallFleet:
    """Everything a test needs to play a cluster."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    redis: RedisServer
    folder: Path
    people: tuple[PersonClass, ...] = ()
    processes: list["NodeProcess"] = field(default_factory=list)

    def photos(self, count: int, *, name: str = "photos") -> Path:
        """Write tiny photos of the known people, in turn."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for number in range(count):
            image = Image.fromarray(make_face(number % 3, shade=number % 11))
            image.save(folder / f"{number:04}.png")
        return folder

    def add_model(self, *, activate: bool = True, seed: int = 0) -> int:
        """Register a tiny model that knows three people; return its id."""
        now = utc_now()
        with self.database.write() as session:
            rows = [get_or_add_person(session, name, now) for name in ("Ada", "Grace", "Edsger")]
            self.people = tuple(PersonClass(person_id=row.id, name=row.name) for row in rows)
        manifest = make_manifest(self.people, seed=seed)
        sha256 = make_artifact(ModelStore.from_settings(self.settings), self.people, seed=seed)
        with self.database.write() as session:
            model = registry.register_model(
                session,
                sha256=sha256,
                manifest={"backbone": manifest.backbone, "recipe": manifest.recipe, "rule": asdict(manifest.rule)},
                run_id=None,
                parent_id=None,
                now=now,
            )
            if activate:
                registry.activate_model(session, model, who="test", why="test", now=now)
            return model.id

    def activate(self, model_id: int) -> None:
        """Make a registered model serve."""
        with self.database.write() as session:
            model = registry.get_model(session, f"v{model_id}")
            registry.activate_model(session, model, who="test", why="test", now=utc_now())

    def submit(
        self, source: Path, *, ring: bool = True, on_progress: Callable[[int], None] | None = None, **changes: object
    ) -> Submission:
        """Submit photos that are one face each."""
        request = SubmitRequest(sources=(str(source),), faces_mode=FacesMode.CROP, name="test")
        doorbell = self.doorbell if ring else None
        return submit_job(self.database, doorbell, self.settings, replace(request, **changes), on_progress)

    def start(
        self, role: str = "identify", *, slots: int = 1, device: str = "cpu", seconds: float = 60.0, **env: str
    ) -> "NodeProcess":
        """Start a node and wait until its slots have reported themselves."""
        node = self.start_silently(role, slots=slots, device=device, **env)
        wait_until(
            lambda: node.check_alive() and len(self.slots_of(node)) == slots,
            f"{role} node is up:\n{node.log}",
            seconds,
        )
        return node

    def start_silently(
        self, role: str = "identify", *, slots: int = 1, device: str = "cpu", **env: str
    ) -> "NodeProcess":
        """Start a node without waiting."""
        program = "import sys; from core.settings import Settings; " + _PROGRAMS[role].format(
            slots=slots, device=device
        )
        log = self.folder / f"{role}-{len(self.processes)}.log"
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", program],
                cwd=ROOT,
                env={**os.environ, **self.environment, **env},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        node = NodeProcess(process=process, log_file=log)
        self.processes.append(node)
        return node

    @property
    def environment(self) -> dict[str, str]:
        """The settings as a process's environment."""
        names = (
            "home",
            "database_url",
            "redis_url",
            "chunk_size",
            "batch_size",
            "lease_s",
            "sweep_interval_s",
            "model_poll_s",
            "photo_timeout_s",
            "weights",
            "artifacts",
        )
        search = os.pathsep.join([str(_SITE), str(ROOT)])
        return {"PYTHONPATH": search} | {
            f"FACEFLEET_{name.upper()}": str(getattr(self.settings, name)) for name in names
        }

    def slots_of(self, node: "NodeProcess") -> list[Worker]:
        """Return the rows that a node's slots wrote."""
        with self.database.read() as session:
            return [
                row for row in nodes.list_nodes(session) if row.name.rpartition("/")[0].endswith(f"-{node.process.pid}")
            ]

    def flush_redis(self) -> None:
        """Let Redis forget everything."""
        with Redis.from_url(self.redis.url) as client:
            client.flushall()

    def sweep(self) -> SweepReport:
        """Do one round of the sweeper, now."""
        return sweep_once(self.database, self.doorbell, self.settings, utc_now())

    def job(self, submission: Submission) -> Job:
        """Read a job."""
        with self.database.read() as session:
            return jobs.get_job(session, submission.job_public_id)

    def wait_done(self, submission: Submission, *, sweeping: bool = False, seconds: float = 60.0) -> Job:
        """Wait until a job is done."""

        def is_done() -> bool:
            if sweeping:
                self.sweep()
            return self.job(submission).state == JobState.DONE

        wait_until(is_done, f"{submission} is done\n" + "\n".join(node.log for node in self.processes), seconds)
        return self.job(submission)

    def chunks(self) -> list[Chunk]:
        """Read all chunks."""
        with self.database.read() as session:
            return list(session.scalars(select(Chunk).order_by(Chunk.id)))

    def count(self, table: type[Item] | type[Face], *conditions: object) -> int:
        """Count rows."""
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0

    def close(self) -> None:
        """Kill what still runs."""
        for node in self.processes:
            node.kill()


@dataclass(kw_only=True)
class NodeProcess:
    """A node's parent process."""

    process: "subprocess.Popen[bytes]"
    log_file: Path

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self.log_file.read_text(errors="replace")

    def check_alive(self) -> bool:
        """Return True; fail with the log when the process ended."""
        assert self.process.poll() is None, self.log
        return True

    def children(self) -> list[psutil.Process]:
        """Return its pool processes; multiprocessing's resource tracker is not one."""
        return [child for child in psutil.Process(self.process.pid).children() if _is_pool_process(child)]

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Kill it; its children die with it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _is_pool_process(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended a moment ago
        return False


@contextmanager
def small_fleet(database_url: str, redis: RedisServer, folder: Path, **changes: Any) -> Iterator[SmallFleet]:
    """Make a fleet without nodes, with short times; `changes` are settings."""
    short = {"chunk_size": 8, "batch_size": 4, "lease_s": 3.0, "sweep_interval_s": 0.2, "model_poll_s": 0.2}
    settings = Settings(home=folder, database_url=database_url, redis_url=redis.url, **{**short, **changes})
    database, doorbell = Database(database_url), Doorbell(redis.url)
    fleet = SmallFleet(settings=settings, database=database, doorbell=doorbell, redis=redis, folder=folder)
    try:
        yield fleet
    finally:
        fleet.close()
        doorbell.close()
        database.close()
