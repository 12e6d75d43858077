"""What every command imports stays light: no torch, and no Celery where only a bell is rung."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def _imported_by(module: str) -> set[str]:
    script = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["workers.doorbell", "workers.submit", "workers.enrolment", "workers.embedded"])
def test_commands_import_neither_torch_nor_celery(module: str) -> None:
    assert not _imported_by(module) & {"torch", "celery"}


@pytest.mark.parametrize("module", ["core.models.members", "core.faces.rescore", "scripts.rescoring"])
def test_what_decides_about_stored_faces_imports_no_torch(module: str) -> None:
    assert "torch" not in _imported_by(module)


@pytest.mark.parametrize("module", ["workers.node", "workers.tasks", "workers.supervisor", "workers.sweep"])
def test_the_parents_of_workers_import_no_torch(module: str) -> None:
    assert "torch" not in _imported_by(module)
