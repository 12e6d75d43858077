"""The watchdog: what hangs is ended, whoever holds the interpreter's lock; what goes forward is left alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import Settings
from workers.watchdog import patience_s

ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = """
import threading, time
from tests.integration.workers.poison import spin
from workers.watchdog import Watchdog
watchdog = Watchdog({patience_s})
with watchdog.watching():
{work}
print("went on")
"""


def run(work: str, patience_s: float = 0.3) -> "subprocess.CompletedProcess[str]":
    program = _PROGRAM.format(patience_s=patience_s, work="\n".join(f"    {line}" for line in work.splitlines()))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("work", ["spin()", "threading.Thread(target=spin).start()\ntime.sleep(60)", "time.sleep(60)"])
def test_what_hangs_is_ended_by_the_alarm_and_the_log_says_where(work: str) -> None:
    done = run(work)
    assert done.returncode == -signal.SIGALRM
    assert "most recent call first" in done.stderr
    assert "went on" not in done.stdout


def test_signs_of_progress_put_the_end_off() -> None:
    done = run("for _ in range(8):\n    time.sleep(0.25)\n    with watchdog.paused(): pass", patience_s=1.0)
    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_what_has_deadlines_of_its_own_is_not_watched() -> None:
    done = run("with watchdog.paused():\n    time.sleep(1.0)")
    assert (done.returncode, done.stdout) == (0, "went on\n")


@pytest.mark.parametrize(
    ("photo_timeout_s", "lease_s", "expected_s"),
    [(20.0, 60.0, 30.0), (5.0, 60.0, 15.0), (600.0, 60.0, 30.0), (20.0, 1.0, 5.0)],
)
def test_the_patience_lets_a_slow_photo_be_given_up_first_and_ends_before_the_lease(
    photo_timeout_s: float, lease_s: float, expected_s: float
) -> None:
    assert patience_s(Settings(photo_timeout_s=photo_timeout_s, lease_s=lease_s)) == expected_s
