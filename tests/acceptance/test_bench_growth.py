"""The benchmark of growing jobs in its short form: a real fleet, jobs of two sizes on one ledger, some seconds more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from db.engine import Database

ROOT = Path(__file__).resolve().parents[2]

# One fleet at a time: each takes all cores.
pytestmark = [pytest.mark.xdist_group("fleet"), pytest.mark.long]


def test_jobs_of_growing_sizes_lose_no_photo_and_each_has_its_cost(tmp_path: Path, empty_database: Database) -> None:
    picture = tmp_path / "growth.png"
    arguments = ["--counts", "120,60", "--rounds", "1", "--minutes", "0.1", "--picture", str(picture), "--json"]
    command = [sys.executable, "-m", "scripts.main", "bench", "growth", *arguments, "--database", empty_database.url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    document = json.loads(done.stdout)
    assert [document[key] for key in ("photos_failed", "photos_lost")] == [0, 0]
    assert [size["count"] for size in document["sizes"]] == [60, 120] == document["counts"]
    jobs = document["jobs"]
    assert [job["count"] for job in jobs] == [60, 60, 60, 120, 60]
    before = [job["ledger_photos"] - jobs[0]["ledger_photos"] for job in jobs]
    assert before == [0, 60, 120, 180, 300], "the tables of earlier jobs stay"
    for size in document["sizes"]:
        for part in ("submit", "identify"):
            assert size[part]["wall_us"]["min"] > 0
            assert size[part]["computing_us"]["min"] > 0
            assert size[part]["wall_ratio"]["median"] > 0
        assert size["first_page_ms"]["min"] > 0
        assert size["middle_page_ms"]["min"] > 0
        assert size["unique_bytes"]["after_last"] > 50e6, "a worker holds torch and a network"
    assert document["database"]["bytes"] > 100_000

    watch = document["watch"]
    assert watch["photos"] > 0
    assert (len(watch["workers"]), watch["restarted"]) == (document["workers"], 0) == (2, 0)
    assert len(watch["readings"]) >= 3
    assert all(None not in reading["unique_bytes"] for reading in watch["readings"])
    assert [reading["at_s"] for reading in watch["readings"]] == sorted(each["at_s"] for each in watch["readings"])
    for worker in watch["workers"]:
        assert 0 < worker["unique_bytes"]["last"] <= worker["resident_bytes"]["last"]
        assert worker["open_files"]["last"] > 3
    assert picture.read_bytes().startswith(b"\x89PNG")
