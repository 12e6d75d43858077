import dataclasses
import io
import json
from pathlib import Path

import pytest

from core.records import Skipped
from scripts.demo_output import Narrator, print_summary, summary_document
from scripts.demo_score import ProbeOutcome
from scripts.output import make_console
from scripts.report import ReportData
from tests.unit.scripts.report_data import make_data, photo


def printed(data: ReportData) -> str:
    stream = io.StringIO()
    print_summary(make_console(stream), data, Path("/tmp/report.html"))
    return stream.getvalue()


def test_the_document_is_strict_json_and_its_outcomes_add_up() -> None:
    document = json.loads(json.dumps(summary_document(make_data(), Path("report.html"), None), allow_nan=False))
    accuracy, strangers = document["accuracy"], document["strangers"]
    outcomes = ("named_right", "refused", "named_wrong", "unreadable")
    assert sum(accuracy[outcome] for outcome in outcomes) == accuracy["probes"] == 3
    assert strangers == {"total": 1, "refused": 1, "named": 0, "unreadable": 0}
    assert accuracy["rank1"] == pytest.approx(2 / 3)


def test_the_document_names_the_model_and_the_report() -> None:
    document = summary_document(make_data(), Path("report.html"), Path("/tmp/kept"))
    assert document["model"]["sha256"] == "ab" * 32
    assert document["report"] == str(Path.cwd() / "report.html")
    assert document["home"] == "/tmp/kept"
    assert document["images_per_s"] == 8.0


def test_people_see_every_outcome_with_its_share() -> None:
    lines = [line.split() for line in printed(make_data()).splitlines()]
    assert ["known", "people", "named", "right", "1", "33.3", "%"] in lines
    assert ["named", "wrong", "1", "33.3", "%"] in lines
    assert ["strangers", "refused", "1", "100", "%"] in lines


def test_what_could_not_be_used_is_counted_and_the_first_are_listed() -> None:
    failed = [Skipped(name=f"/photos/{number}.jpg", reason="It is cut off.") for number in range(12)]
    text = printed(dataclasses.replace(make_data(), failed=failed))
    assert "Could not be used: 12" in text
    assert "/photos/9.jpg: It is cut off." in text
    assert "and 2 more" in text
    assert "/photos/10.jpg" not in text


def test_of_many_people_those_with_most_mistakes_are_shown() -> None:
    names = tuple(f"Person {number}" for number in range(100))
    photos = (photo("Person 99", ProbeOutcome.NAMED_WRONG, "Person 0"),)
    text = printed(make_data(photos, names))
    assert "Person 99" in text
    assert "Person 98" not in text
    assert "40 of 100 people" in text


def test_a_name_cannot_command_the_terminal() -> None:
    text = printed(make_data((photo("\x1b[2J", ProbeOutcome.NAMED_RIGHT, "\x1b[2J"),), ("\x1b[2J", "Ada")))
    assert "\x1b" not in text


def test_steps_are_numbered_and_say_what_came_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(steps=2)
    with narrator.step("Draw") as step:
        step.end = "12 people"
    with narrator.step("Train"):
        pass
    shown = capsys.readouterr()
    assert shown.out == ""
    first, second, third, _ = shown.err.splitlines()
    assert first == "1/2  Draw"
    assert second.startswith("     12 people, 0.")
    assert third == "2/2  Train"
