"""A home folder with a ledger of its own for every test, and the command line run inside this process."""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest

from core.records import FaceOutcome
from db.engine import Database
from db.tables import Job
from tests import ledger
from tests.unit.scripts.runner import Run, run_command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty FACEFLEET_HOME; no other setting is given."""
    for name in [name for name in os.environ if name.startswith("FACEFLEET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FACEFLEET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    """Runs `facefleet` with these arguments."""

    return run_command


@pytest.fixture
def database(home: Path, _sqlite_template: Path) -> Iterator[Database]:
    """The ledger of the home folder, without rows."""
    home.mkdir()
    copy(_sqlite_template, home / "facefleet.db")
    database = Database(f"sqlite:///{home / 'facefleet.db'}")
    yield database
    database.close()


@pytest.fixture
def finished_job(database: Database) -> Job:
    """A job of five photos that is done: Ada named, somebody unknown, two faces in one photo, none, and an error."""
    (ada,) = ledger.add_people(database, "Ada Lovelace")
    job_id, (chunk_id,) = ledger.add_job(database, items=5, chunk_size=5)
    lease = ledger.must_claim(database, chunk_id)
    with database.write() as session:
        model_id = ledger.add_model(session)
    results = [
        ledger.result(0, ledger.face(outcome=FaceOutcome.IDENTIFIED, person_id=ada, confidence=0.96875)),
        ledger.result(1, ledger.face(person_id=ada, confidence=0.25)),
        ledger.result(2, ledger.face(), ledger.face(1, FaceOutcome.LOW_QUALITY)),
        ledger.result(3),
        ledger.failure(4),
    ]
    ledger.finish(database, lease, results, model_id)
    return ledger.get_job(database, job_id)
