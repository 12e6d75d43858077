"""One child process of a fleet: a `facefleet` command that is started, started anew when it dies, and stopped."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from core.settings import Settings
from workers.parent import die_with_parent

_log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent
_PREFIX = "FACEFLEET_"
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 5.0  # who is killed again and again from outside must come back soon all the same
_HEALTHY_AFTER_S = 5.0
_TAIL_LINES = 3


class Child:
    """A command's process.

    Args:
        role: its name, for logs and messages.
        arguments: of `facefleet`.
        environment: of the process.
        log_file: its output is appended there.
    """

    def __init__(self, role: str, arguments: list[str], environment: Mapping[str, str], log_file: Path) -> None:
        self.role = role
        self.log_file = log_file
        self.restarts = 0
        """How often it was started anew."""
        self._command = [sys.executable, "-m", "scripts.main", *arguments]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._backoff_s = _FIRST_BACKOFF_S
        self._died_s: float | None = None

    @property
    def pid(self) -> int:
        """Its process id, once started."""
        if self._process is None:
            raise RuntimeError(f"the {self.role} has not been started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, once it ended."""
        return None if self._process is None else self._process.poll()

    @property
    def is_dead(self) -> bool:
        """Whether it was started and has ended."""
        return self.exit_code is not None

    def start(self) -> None:
        """Start it. It ends with the thread that calls this."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self._environment),
                preexec_fn=die_with_parent(os.getpid()),
                start_new_session=True,  # Ctrl-C in the terminal is for the parent, which passes it on once
            )
        self._started_s = time.monotonic()
        self._died_s = None

    def restart_if_dead(self) -> None:
        """Start it anew when it died, after a pause that grows while it keeps dying."""
        if not self.is_dead:
            return
        now_s = time.monotonic()
        if self._died_s is None:
            self._died_s = now_s
            if now_s - self._started_s > _HEALTHY_AFTER_S:
                self._backoff_s = _FIRST_BACKOFF_S
            _log.warning("the %s died (exit code %s); log: %s", self.role, self.exit_code, self.log_file)
        if now_s - self._died_s >= self._backoff_s:
            self._backoff_s = min(2 * self._backoff_s, _LONGEST_BACKOFF_S)
            self.restarts += 1
            self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def finish(self, grace_s: float) -> None:
        """Wait for its end; kill it after the grace."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, grace_s))
        except subprocess.TimeoutExpired:
            _log.warning("the %s did not stop in time and is killed", self.role)
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        """Return the last lines it wrote."""
        lines = self.log_file.read_text(errors="replace").strip().splitlines()
        return " ".join(line.strip() for line in lines[-_TAIL_LINES:])


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with exactly these settings in it, and this checkout importable."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    for field in fields(settings):
        value = getattr(settings, field.name)
        text = os.pathsep.join(map(str, value)) if isinstance(value, tuple) else str(value)
        environment[_PREFIX + field.name.upper()] = text
    search = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(search)}
