"""What the demo refuses before it starts anything. The story itself is told in tests/acceptance/test_demo.py."""

import tempfile
from pathlib import Path

import pytest

from tests.unit.scripts.runner import Run


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the demo makes its home."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_missing_folder_is_wrong_usage_and_leaves_nothing_behind(run: Run, tmp_path: Path, temporary: Path) -> None:
    ran = run("demo", "--photos", tmp_path / "nowhere")
    assert ran.code == 2
    assert "nowhere does not exist" in ran.err
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "report.html").exists()


def test_one_person_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    for number in (1, 2):
        photo = tmp_path / "photos" / "ada" / f"{number}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.touch()
    ran = run("demo", "--photos", tmp_path / "photos", "--json")
    assert ran.code == 2
    assert ran.document["error"]["code"] == "bad_input"
    assert "two or more" in ran.document["error"]["message"]


def test_a_report_in_a_folder_that_is_not_there_is_refused_at_once(run: Run, tmp_path: Path) -> None:
    ran = run("demo", "--report", tmp_path / "nowhere" / "report.html")
    assert ran.code == 2
    assert "no folder" in ran.err


def test_a_report_that_is_a_folder_is_refused_at_once(run: Run, tmp_path: Path) -> None:
    ran = run("demo", "--report", tmp_path)
    assert ran.code == 2
    assert "name of a file" in ran.err
