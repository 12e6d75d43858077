"""The benchmark that says where workers' time goes, in its short form: a real fleet, drawn faces, no py-spy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# One fleet at a time: each takes all cores.
pytestmark = [pytest.mark.xdist_group("fleet"), pytest.mark.long]


def test_every_stage_of_a_worker_has_its_share_and_the_shares_make_up_the_whole(tmp_path: Path) -> None:
    (tmp_path / "py-spy").write_text("#!/bin/sh\necho Error: Permission denied\nexit 1\n", encoding="utf-8")
    (tmp_path / "py-spy").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "scripts.main", "bench", "profile", "--count", "384", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr

    document = json.loads(done.stdout)
    stages = document["stages"]
    reading = {"read", "decode"}
    assert set(stages) == {
        *reading,
        *("claim", "await", "embed", "decide", "store", "between"),
        *("no_bell", "other_threads"),
    }
    assert (document["photos"], document["photos_failed"]) == (384, 0)
    assert all(stages[name]["computing_ms"] > 0 for name in ("claim", "read", "decode", "embed", "decide", "store"))
    assert sum(cost["computing_share"] for cost in stages.values()) == pytest.approx(1.0, abs=0.02)
    of_workers = [cost["wall_share"] for name, cost in stages.items() if name not in reading]
    assert sum(of_workers) == pytest.approx(1.0, abs=0.02)
    assert all(0 <= stages[name]["overlap"] <= 1 for name in reading)
    assert document["hottest"] is None
    assert "left out" in document["left_out"]
    assert document["left_out"] in done.stderr.replace("\n", " ")
