"""The benchmark of retrains in its short form: a real fleet, retrained twice, serves each model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# One fleet at a time: each takes all cores.
pytestmark = [pytest.mark.xdist_group("fleet"), pytest.mark.long]


def test_a_fleet_is_retrained_and_the_stages_make_up_the_whole(
    test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEFLEET_WEIGHTS", str(test_data / "weights"))
    arguments = ["--people", "4", "--photos", "2", "--runs", "2", "--json"]
    folder = test_data / "data" / "lfw_dev" / "known"
    command = [sys.executable, "-m", "scripts.main", "bench", "retrain", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert (document["people"], document["photos"], document["workers"]) == (4, 8, 1)
    first, later = document["runs"]
    assert (document["first_s"], document["later_s"]) == (first["seconds"], later["seconds"])
    for run in (first, later):
        assert {"waiting", "training", "exporting", "loading"} <= set(run["stages"])
        assert sum(run["stages"].values()) == pytest.approx(run["seconds"])
        assert run["computed_s"] > 0
