"""What every test may ask for. Services that tests need are real; where one is missing, the test skips on a laptop and fails when CI=true."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent


def missing(what: str) -> NoReturn:
    """Skip on a laptop, fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing and CI=true")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photos and weights, FACEFLEET_TEST_DATA (default: `shared` beside the checkout)."""
    folder = Path(os.environ.get("FACEFLEET_TEST_DATA", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        missing(f"test data at {folder}")
    return folder
