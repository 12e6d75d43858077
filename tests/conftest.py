"""What every test may ask for. Services that tests need are real: tests/services.py starts them.

Where something is missing, the test skips on a laptop and fails when CI=true.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.missing import missing

pytest_plugins = ["tests.services", "tests.one_database"]

# Several test processes and the fleets that they start share the cores: threads of OpenMP that spin while they wait
# for one another make a training run five times slower. torch reads this when it is imported, so it is set here.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts tests in the background has them ignore SIGINT, and with them every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photos and weights, FACEFLEET_TEST_DATA (default: `shared` beside the checkout)."""
    folder = Path(os.environ.get("FACEFLEET_TEST_DATA", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        missing(f"test data at {folder}")
    return folder
