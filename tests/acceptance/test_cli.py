"""The story of a user at the command line: every command in a process of its own, against a real fleet."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.images.sample import write_sample

ROOT = Path(__file__).resolve().parents[2]
_READY = "facefleet is ready: "
_PATIENCE_S = 180.0

# One fleet at a time: each takes all cores.
pytestmark = pytest.mark.xdist_group("fleet")


@dataclass(frozen=True, kw_only=True)
class Home:
    """A FACEFLEET_HOME and the command line that uses it."""

    folder: Path

    def run(self, *arguments: object, code: int = 0) -> str:
        """Run a command to its end; return its stdout."""
        done = subprocess.run(
            command(*arguments), capture_output=True, text=True, env=self.environment, timeout=_PATIENCE_S, check=False
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def ask(self, *arguments: object, code: int = 0) -> Any:
        """Run a command with --json; return its one document."""
        return json.loads(self.run(*arguments, "--json", code=code))

    @property
    def environment(self) -> dict[str, str]:
        """The environment without any other setting of facefleet."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("FACEFLEET_")}
        return {**plain, "FACEFLEET_HOME": str(self.folder), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "scripts.main", *map(str, arguments)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn people, four photos each to learn from and two to try; six strangers; and a photo that is broken."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, people=6, train_photos=4, test_photos=2, strangers=6, size_px=96)
    (next((folder / "test").iterdir()) / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of this test alone."""
    return Home(folder=tmp_path / "home")


@pytest.fixture
def up(home: Home) -> "Iterator[subprocess.Popen[str]]":
    """A `facefleet up` of this test alone."""
    with running_fleet(home) as process:
        yield process


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The home of a running `facefleet up`, which the tests of this file share."""
    home = Home(folder=tmp_path_factory.mktemp("fleet") / "home")
    with running_fleet(home):
        yield home


@contextmanager
def running_fleet(home: Home) -> "Iterator[subprocess.Popen[str]]":
    """Run `facefleet up` with one worker; stop it at the end if nobody did."""
    process = start_up(home)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(_READY), line + process.communicate()[1]
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def start_up(home: Home) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    up = command("up", "--workers", 1, "--port", free_port())
    return subprocess.Popen(up, stdout=pipe, stderr=pipe, text=True, env=home.environment)


def free_port() -> int:
    """A port below those that the system hands out by itself, so that nobody else is given it meanwhile."""
    for port in random.sample(range(20_000, 30_000), 100):
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail("no port is free")


def test_a_user_goes_from_folders_to_names(fleet: Home, sample: Path) -> None:
    imported = fleet.ask("people", "import", sample, code=1)
    assert imported["people"] == 6
    assert imported["photos_added"] + imported["photos_known"] == 36
    assert [failure["code"] for failure in imported["failed"]] == ["photo_broken"]

    trained = fleet.ask("retrain", "--wait", "--epochs", 2)
    assert (trained["state"], trained["activated"]) == ("succeeded", True)
    model = trained["model"]
    assert set(model) == {"version", "sha256", "backbone", "classes", "metrics"}
    assert (model["backbone"], model["classes"]) == ("compact", 6)

    job = fleet.ask("submit", sample / "test", "--wait", code=1)
    assert job["state"] == "done"
    assert job["items"] == {"faces": 12, "no_face": 0, "error": 1}
    assert sum(job["faces"].values()) == 12
    assert job["seconds"] > 0
    assert job["images_per_s"] > 0

    rows = fleet.ask("results", "--job", job["job"])["results"]
    assert len(rows) == job["total"] == 13
    assert {row["model"] for row in rows} == {model["version"]}
    assert {row["person"] for row in rows if row["outcome"] != "identified"} <= {None}
    nearest_right = sum(row["candidate"] == Path(row["uri"]).parent.name for row in rows)

    card = fleet.ask("evaluate", sample, "--strangers", sample / "strangers", code=1)
    assert (card["model"], card["photos"], card["errors"]) == (model["version"], 13, 1)
    assert card["strangers"]["photos"] == 6
    assert card["rank1_accuracy"] == nearest_right / 12, "the same model gives the same answers here as in a worker"


@pytest.mark.long  # as tests/integration/workers/test_run_training.py, through the command line
def test_a_retrained_model_is_kept_back_when_that_is_asked_for(fleet: Home, sample: Path) -> None:
    fleet.run("people", "import", sample / "train")

    trained = fleet.ask("retrain", "--wait", "--recipe", "compact", "--epochs", 1, "--no-activate")

    assert (trained["state"], trained["activated"], trained["model"]["backbone"]) == ("succeeded", False, "compact")
    shown = fleet.ask("model", "show", trained["model"]["version"])
    assert (shown["state"], shown["serves"], shown["activations"]) == ("candidate", False, [])


def test_the_doctor_finds_nothing_wrong_with_a_fresh_fleet(fleet: Home) -> None:
    report = fleet.ask("doctor")

    assert report["ok"] is True
    assert {check["level"] for check in report["checks"] if check["name"] in {"redis", "database", "workers"}} == {"ok"}


def test_a_port_that_is_taken_is_wrong_usage(home: Home) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        error = home.ask("up", "--port", taken.getsockname()[1], code=2)["error"]

    assert "is taken" in error["message"]


def test_a_second_fleet_in_the_same_home_is_refused(fleet: Home) -> None:
    assert "Another `facefleet up` runs" in fleet.ask("up", code=2)["error"]["message"]


def test_up_stops_clean_and_leaves_no_process(home: Home, up: "subprocess.Popen[str]") -> None:
    children = psutil.Process(up.pid).children(recursive=True)
    assert len(children) >= 4

    up.send_signal(signal.SIGTERM)

    assert up.wait(60) == 0
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    assert home.ask("worker", "list")["workers"] == [], "each said that it stopped; none was killed"


@pytest.mark.long  # as tests/integration/workers/test_supervisor.py, through the command line
def test_nothing_outlives_up_when_it_is_killed(home: Home, up: "subprocess.Popen[str]") -> None:
    children = psutil.Process(up.pid).children(recursive=True)

    up.kill()

    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_up_that_is_stopped_while_it_starts_stops_clean(home: Home) -> None:
    process = start_up(home)
    wait_for_children(process)
    children = psutil.Process(process.pid).children(recursive=True)

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_a_job_that_waits_survives_until_the_fleet_is_up(home: Home, sample: Path) -> None:
    home.run("db", "upgrade")
    submitted = home.ask("submit", sample / "test", code=3)  # no Redis yet; the job is recorded all the same
    assert submitted["state"] == "running"

    shown = home.ask("job", "show", submitted["job"])
    assert shown["items"] == {"faces": 0, "no_face": 0, "error": 0}
    assert "No worker runs" in shown["waits_because"]


def wait_for_children(process: "subprocess.Popen[str]") -> None:
    """Wait until a fleet has begun to start its processes."""
    deadline = time.monotonic() + 60
    while not psutil.Process(process.pid).children():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
