import shutil
from pathlib import Path

import pytest
from PIL import Image

from scripts.label_findings import count_kinds, mending, show_findings
from tests.unit.scripts.runner import Run


def finding(**values: object) -> dict[str, object]:
    """A finding as metrics hold it."""
    nothing = dict.fromkeys(("photo", "similarity", "suggested", "suggested_similarity", "like"))
    return {"kind": "mislabelled", "person": "Ada", **nothing, **values}


def test_each_finding_has_a_command_that_mends_it() -> None:
    photo = "/faces/Ada/it's.jpg"
    quoted = "'/faces/Ada/it'\"'\"'s.jpg'"
    assert mending(finding(photo=photo, suggested="Grace Hopper")) == f"facefleet label {quoted} --is 'Grace Hopper'"
    assert mending(finding(kind="unlike", photo="/a.jpg")) == "facefleet label /a.jpg --ignore"
    assert mending(finding(kind="duplicate", photo="/a.jpg", like="/b.jpg")) == "facefleet label /a.jpg --ignore"
    assert mending(finding(kind="few_photos")) == "facefleet people import DIR"


def test_findings_are_counted_by_kind() -> None:
    assert count_kinds({"mislabelled": 1, "duplicate": 1200}) == (
        "1 photo that looks like another person; 1,200 near-duplicates"
    )
    assert show_findings({"by_kind": {}}) is None
    assert "facefleet people check" in (show_findings({"by_kind": {"few_photos": 2}}) or "")


def test_without_labelled_photos_there_is_nothing_to_check(run: Run) -> None:
    ran = run("people", "check")
    assert ran.code == 2
    assert "facefleet people import" in ran.err


def test_pictures_never_mix_with_other_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    ran = run("people", "check", "--pictures", tmp_path)
    assert ran.code == 2
    assert "notes.txt" in ran.err


@pytest.fixture
def labelled(run: Run, test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four people with four photos each, imported; one photo of the second lies in the first one's folder."""
    monkeypatch.setenv("FACEFLEET_WEIGHTS", str(test_data / "weights"))
    people = sorted(each for each in (test_data / "data" / "orl").iterdir() if each.is_dir())[:4]
    for person in people:
        shutil.copytree(person, tmp_path / "faces" / person.name, ignore=_all_but_four)
    moved = sorted((tmp_path / "faces" / people[1].name).iterdir())[0]
    moved.rename(tmp_path / "faces" / people[0].name / f"moved{moved.suffix}")
    assert run("people", "import", tmp_path / "faces").code == 0
    return tmp_path / "faces"


def _all_but_four(_folder: str, names: list[str]) -> list[str]:
    return sorted(names)[4:]


def test_a_photo_under_a_wrong_name_is_listed_and_drawn(run: Run, labelled: Path, tmp_path: Path) -> None:
    first, second, *_ = sorted(folder.name for folder in labelled.iterdir())
    ran = run("people", "check", "--pictures", tmp_path / "sheets", "--json")

    assert ran.code == 1
    document = ran.document
    (wrong,) = [each for each in document["findings"] if each["kind"] == "mislabelled"]
    assert Path(wrong["photo"]).stem == "moved"
    assert (wrong["person"], wrong["suggested"]) == (first, second)
    assert wrong["mend"] == f"facefleet label {wrong['photo']} --is {second}"
    assert document["by_kind"]["mislabelled"] == 1
    assert (document["photos"], document["people"]) == (16, 4)
    sheets = sorted((tmp_path / "sheets").iterdir())
    assert len(sheets) == document["pictures"]
    assert sheets[0].name == f"0001-{first}.jpg"
    with Image.open(sheets[0]) as sheet:
        assert sheet.width > sheet.height

    (labelled / first / Path(wrong["photo"]).name).unlink()
