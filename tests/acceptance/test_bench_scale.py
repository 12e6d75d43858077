"""The benchmark of scaling in its short form: it measures, runs a real fleet, and simulates that fleet and others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.simulate_costs import UnitCosts

ROOT = Path(__file__).resolve().parents[2]

# One fleet at a time: each takes all cores.
pytestmark = [pytest.mark.xdist_group("fleet"), pytest.mark.long]


def test_what_is_measured_here_is_what_fleets_are_simulated_with() -> None:
    arguments = ["--rows", "20000", "--processes", "2", "--count", "2000", "--rounds", "1", "--workers", "2", "--json"]
    command = [sys.executable, "-m", "scripts.main", "bench", "scale", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    costs = UnitCosts.from_json(document["costs"])
    assert costs.database == "sqlite"
    assert costs.compute.processes == min(2, costs.machine["cores"])
    assert min(costs.compute.chunk.of(128), costs.claim.held.client.of(128), costs.commit.held.client.of(128)) > 0.0
    assert min(costs.bell_server_s, costs.bell_client_s, costs.photo_bytes, costs.read_s) > 0.0
    (check,) = document["check"]
    assert (check["processes"], check["error"]) == (
        2,
        pytest.approx(check["simulated"] / check["of_time_left"]["median"] - 1),
    )
    assert document["sweep"][0]["photos_per_s"] > 0.0
