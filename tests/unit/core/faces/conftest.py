"""The detector, loaded once for all tests of faces; on one core, as a worker's process runs it."""

from pathlib import Path

import pytest

from core.faces.detect import Detector, load_detector
from tests.detection import weights_of


@pytest.fixture(scope="session")
def detector(test_data: Path) -> Detector:
    return load_detector(weights_of(test_data).read_bytes(), "cpu", threads=1)
