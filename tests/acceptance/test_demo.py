"""`facefleet demo` as a user runs it: a process of its own, with real Redis, workers and trainer."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from core.images.sample import write_sample

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 540.0

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("fleet")]


class Demo:
    """Starts `facefleet demo` with a folder for temporary files of its own, and sees what it leaves behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start it, in a session of its own as a terminal would."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FACEFLEET_")}
        return subprocess.Popen(
            [sys.executable, "-m", "scripts.main", "demo", *map(str, arguments)],
            cwd=self.folder,
            env={
                **environment,
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(self.temporary),
                "FACEFLEET_HOME": str(self.folder / "home"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=_PATIENCE_S)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def left_behind(self) -> list[str]:
        """The files and processes that are still there."""
        return [*map(str, self.temporary.iterdir()), *self._processes()]

    def _processes(self) -> Iterator[str]:
        for process in psutil.process_iter(["pid", "cmdline", "environ"]):
            if str(self.temporary) in (process.info["environ"] or {}).get("TMPDIR", ""):
                yield f"{process.pid} {process.info['cmdline']}"


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path)


def wait_for_line(stream: IO[str], start: str) -> None:
    """Read until a line begins in this way."""
    deadline = time.monotonic() + _PATIENCE_S
    read = []
    while time.monotonic() < deadline:
        line = stream.readline()
        read.append(line)
        if line.startswith(start):
            return
        assert line, f"the demo ended: {''.join(read)}"
    pytest.fail(f"no line began with {start!r}: {''.join(read)}")


@pytest.mark.long  # it trains for two minutes, as it does for whoever types `make demo`
def test_the_demo_names_drawn_people_and_leaves_strangers_nameless(demo: Demo) -> None:
    ran = demo.run("--json")
    assert ran.returncode == 0, ran.stderr
    document: dict[str, Any] = json.loads(ran.stdout)
    accuracy, strangers = document["accuracy"], document["strangers"]
    assert accuracy["probes"] == accuracy["named_right"] + accuracy["refused"] + accuracy["named_wrong"]
    assert accuracy["rank1"] >= 0.95
    assert accuracy["named_right"] >= 0.5 * accuracy["probes"]
    assert accuracy["named_wrong"] <= 0.02 * accuracy["probes"]
    assert strangers["named"] <= 0.1 * strangers["total"]
    page = Path(document["report"]).read_text(encoding="utf-8")
    assert document["model"]["sha256"] in page
    assert page.count("data:image/webp") > 40
    assert demo.left_behind() == []
    assert not (demo.folder / "home").exists()


@pytest.mark.long  # a whole demo again; what becomes of such photos is tested where they are imported and submitted
def test_photos_that_cannot_be_used_are_listed_and_the_story_goes_on(demo: Demo) -> None:
    photos = demo.folder / "photos"
    write_sample(demo.folder / "sample", people=3, train_photos=6, test_photos=1, strangers=2)
    shutil.move(demo.folder / "sample" / "train", photos)
    shutil.move(demo.folder / "sample" / "strangers", photos / "strangers")
    somebody = next(path for path in sorted(photos.iterdir()) if path.name != "strangers")
    for number in ("01", "06"):
        (somebody / f"{number}.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    (somebody / "07.csv").write_text("uri\nanother.jpg\n")
    (photos / "readme.txt").write_text("not a photo")
    ran = demo.run("--photos", photos, "--report", "people.html", "--json")
    assert ran.returncode == 1, ran.stderr
    document = json.loads(ran.stdout)
    failed = [str(somebody / name) for name in ("01.jpg", "06.jpg", "07.csv")]
    assert [entry["name"] for entry in document["failed"]] == failed
    assert [entry["name"] for entry in document["skipped"]] == [str(photos / "readme.txt")]
    assert document["accuracy"]["probes"] == 9
    assert document["accuracy"]["unreadable"] == 2
    assert document["accuracy"]["named_wrong"] <= 1
    assert (document["strangers"]["total"], document["strangers"]["named"]) == (2, 0)
    page = (demo.folder / "people.html").read_text(encoding="utf-8")
    assert str(somebody / "06.jpg") in page
    assert document["model"]["sha256"] in page
    assert page.count("data:image/webp") > 5
    assert demo.left_behind() == []
    assert not (demo.folder / "home").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_stopping_the_demo_stops_everything_and_leaves_nothing_behind(demo: Demo, how: signal.Signals) -> None:
    process = demo.start()
    try:
        assert process.stderr is not None
        wait_for_line(process.stderr, "4/6")
        process.send_signal(how)
        out, err = process.communicate(timeout=_PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Everything that the demo started was stopped." in err
    assert "Traceback" not in out + err
    assert demo.left_behind() == []
    assert not (demo.folder / "report.html").exists()
