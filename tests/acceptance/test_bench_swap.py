"""The benchmark of swaps in its short form: real workers, swapped while they work, lose nothing and mix nothing up."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# One fleet at a time: each takes all cores.
pytestmark = [pytest.mark.xdist_group("fleet"), pytest.mark.long]


def test_models_are_swapped_while_workers_identify_and_nothing_is_lost_or_mixed_up() -> None:
    arguments = ["--count", "800", "--rounds", "1", "--every", "0.3", "--swaps", "2", "--json"]
    command = [sys.executable, "-m", "scripts.main", "bench", "swap", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert [document[key] for key in ("errors", "chunks_with_two_models", "faces_of_another_model")] == [0, 0, 0]
    assert document["switches"] >= document["workers"] == 2
    assert document["activations"] >= 2
    assert 0 <= document["lag_s"]["max"] < 60  # every worker served every model, or a newer one
    memory = document["memory"]
    assert (memory["processes"], memory["restarted"]) == (2, 0)
    assert memory["open_files_growth"] <= 1  # a file may be open in the moment of the count
