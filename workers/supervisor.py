"""Everything on one machine: Redis, migrations, worker nodes, trainer, sweeper and web as child processes, kept alive.

Used by `up`, `demo` and `bench`. Knows processes, not work.
"""

import fcntl
import logging
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from core.errors import DatabaseUnreachableError, FacefleetError, FleetRunningError, FleetStartError
from core.settings import Settings
from db import chunks, nodes, runs, schema
from db.clock import LedgerClock
from db.engine import Database
from workers.child import Child, settings_environment
from workers.devices import cuda_devices
from workers.embedded import EmbeddedRedis
from workers.spec import node_name

_log = logging.getLogger(__name__)

START_TIMEOUT_S = 120.0
_GRACE_S = 12.0
"""Longer than a node allows its own children."""
_LOOK_S = 0.2


class Fleet:
    """A whole fleet as child processes; a context manager that leaves nothing running.

    Args:
        settings: of all processes. Without a Redis URL an embedded Redis is started.
        workers: processes that identify: on the CPU in all (None: one a core), on GPUs for each (None: one).
        devices: what they compute on; None: all CUDA devices, else the CPU.
        port: of the web page; None: no web process.
    """

    def __init__(
        self,
        settings: Settings,
        workers: int | None = None,
        devices: tuple[str, ...] | None = None,
        port: int | None = None,
    ) -> None:
        self.settings = settings
        """With the URL of the embedded Redis filled in, once started."""
        self._workers = workers
        self._devices = devices
        self._port = port
        self._redis: EmbeddedRedis | None = None
        self._children: list[Child] = []
        self._dead_nodes: set[str] = set()  # what they held is still to be taken back
        self._buried: set[str] = set()
        self._lock: IO[str] | None = None
        self._stopping = threading.Event()
        self._started = threading.Event()
        # Waited for instead of the thread: Python takes a thread for ended when an interrupt comes while it is joined
        # with a timeout (https://github.com/python/cpython/issues/90882), and the children would be killed.
        self._ended = threading.Event()
        self._failure: FacefleetError | None = None
        # Linux ends a child when the thread that started it ends, so one thread starts and stops them all.
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    @property
    def restarts(self) -> int:
        """How often a process had to be started anew."""
        return sum(child.restarts for child in self._children)

    def start(self) -> None:
        """Start everything and wait until the workers have reported themselves.

        Raises:
            FleetRunningError: another fleet runs in this home.
            FleetStartError: a process did not start; nothing is left running.
            RedisUnreachableError, DatabaseUnreachableError, InputError: why nothing was started.
        """
        self._lock = _take_lock(self.settings.home)
        self._thread.start()
        while not self._started.wait(_LOOK_S):
            pass  # an interrupt gets through between two waits
        if self._failure is not None:
            self.stop()
            raise self._failure

    def wait(self) -> None:
        """Wait until everything stopped. An interrupt gets through.

        Raises:
            FleetStartError: it stopped because it could not be kept running.
        """
        while not self._ended.wait(_LOOK_S):
            pass  # an interrupt gets through between two waits
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop everything: asked first, killed after a grace. Calling it again does nothing."""
        self._stopping.set()
        if self._lock is not None and self._thread.ident is not None:
            self._ended.wait()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        """Bring everything up, keep it up, bring it down."""
        try:
            self._bring_up()
            self._started.set()
            while not self._stopping.wait(_LOOK_S):
                self._keep_up()
        except FacefleetError as error:
            self._failure = error
        except Exception as error:  # a thread's error must reach the one who waits for it
            _log.exception("the supervisor failed")
            self._failure = FleetStartError(f"The fleet did not start or keep running ({error}). Nothing was lost.")
        finally:
            try:
                self._bring_down()
            finally:
                self._started.set()
                self._ended.set()

    def _bring_up(self) -> None:
        if not self.settings.redis_url:
            self._redis = EmbeddedRedis(self.settings.redis_dir)
            self._redis.start()
            self.settings = replace(self.settings, redis_url=self._redis.url)
        database = Database.from_settings(self.settings)
        try:
            schema.upgrade(database)
            expected = self._start_children()
            self._wait_until_ready(database, expected)
        finally:
            database.close()

    def _start_children(self) -> dict[Child, int]:
        """Start the processes; return how many slots each worker node will report."""
        environment = settings_environment(self.settings)
        plan: list[tuple[str, list[str], int]] = [
            *self._plan_workers(),
            ("trainer", ["trainer", "--device", self._plan_devices()[0]], 1),
            ("sweeper", ["sweeper"], 0),
        ]
        if self._port is not None:
            plan.append(("web", ["serve", "--port", str(self._port)], 0))
        expected: dict[Child, int] = {}
        for role, arguments, slots in plan:
            child = Child(role, arguments, environment, self.settings.logs_dir / f"{role}.log")
            self._children.append(child)
            child.start()
            expected[child] = slots
        return expected

    def _plan_devices(self) -> tuple[str, ...]:
        if self._devices is None:
            self._devices = tuple(f"cuda:{index}" for index in range(len(cuda_devices()))) or ("cpu",)
        return self._devices

    def _plan_workers(self) -> list[tuple[str, list[str], int]]:
        plan = []
        for number, device in enumerate(self._plan_devices()):
            slots = self._workers or (len(os.sched_getaffinity(0)) if device == "cpu" else 1)
            arguments = ["worker", "--device", device, "--slots", str(slots)]
            plan.append(("worker" if number == 0 else f"worker-{number}", arguments, slots))
        return plan

    def _wait_until_ready(self, database: Database, expected: dict[Child, int]) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._all_reported(database, expected):
            for child in self._children:
                if child.is_dead:
                    raise FleetStartError(
                        f"The {child.role} did not start (exit code {child.exit_code}). Nothing was lost. "
                        f"{child.log_tail()} The whole log: {child.log_file}."
                    )
            if time.monotonic() > deadline_s:
                raise FleetStartError(
                    f"The workers did not report within {START_TIMEOUT_S:.0f} s. Nothing was lost. "
                    f"Their logs are in {self.settings.logs_dir}."
                )
            if self._stopping.wait(_LOOK_S):
                raise FleetStartError("The fleet was stopped while it started. Nothing was lost.")

    def _all_reported(self, database: Database, expected: dict[Child, int]) -> bool:
        with database.read() as session:
            reported = [row.name.rpartition("/")[0] for row in nodes.list_nodes(session)]
        return all(reported.count(node_name(child.pid)) >= slots for child, slots in expected.items())

    def _keep_up(self) -> None:
        """Start anew what died."""
        if self._redis is not None and not self._redis.is_running:
            _log.warning("the embedded Redis died; it is started anew")
            self._redis.restart()
        for child in self._children:
            if child.is_dead and node_name(child.pid) not in self._buried:
                self._dead_nodes.add(node_name(child.pid))
            child.restart_if_dead()
        self._take_back()

    def _take_back(self) -> None:
        """Take back at once what nodes held that died: their leases would run on. While the ledger is away, later."""
        if not self._dead_nodes:
            return
        database = Database.from_settings(self.settings)
        try:
            now = LedgerClock(database)()
            with database.write() as session:
                taken = sum(
                    chunks.reclaim_from_node(session, node, now) + runs.reclaim_from_node(session, node, now)
                    for node in sorted(self._dead_nodes)
                )
        except DatabaseUnreachableError as error:
            _log.warning("%s What a dead node held is taken back later.", error)
            return
        finally:
            database.close()
        self._buried |= self._dead_nodes
        self._dead_nodes.clear()
        if taken:
            _log.warning("%d chunks or runs of a node that died are taken back", taken)

    def _bring_down(self) -> None:
        """Stop everything at once, Redis last."""
        for child in self._children:
            child.signal(signal.SIGTERM)
        deadline_s = time.monotonic() + _GRACE_S
        for child in self._children:
            child.finish(deadline_s - time.monotonic())
        if self._redis is not None:
            self._redis.stop()


def _take_lock(home: Path) -> IO[str]:
    """Make sure that this is the only fleet in its home; the lock goes with the process."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (home / "up.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise FleetRunningError(
            f"Another `facefleet up` runs in {home}. Nothing was started. Stop it, or set FACEFLEET_HOME to another "
            f"folder."
        ) from None
    return file
