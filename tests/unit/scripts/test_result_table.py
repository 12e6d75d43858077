import io
from typing import Any

import pytest

from scripts.result_table import write_table


class Terminal(io.StringIO):
    """A terminal, as far as a program can tell."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Lets a test say how wide the terminal is."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return monkeypatch


def row(**changes: Any) -> dict[str, Any]:
    plain = {
        "uri": "/album/" + "deep/" * 30 + "0001.jpg",
        "outcome": "identified",
        "person": "Ada Lovelace",
        "candidate": "Ada Lovelace",
        "similarity": 0.62549,
        "confidence": 0.98765,
        "label": None,
        "model": "v1",
        "error": None,
    }
    return {**plain, **changes}


def lines(file: io.StringIO) -> list[str]:
    return file.getvalue().splitlines()


def test_a_narrow_terminal_gets_lines_that_fit(columns: pytest.MonkeyPatch) -> None:
    columns.setenv("NO_COLOR", "1")
    terminal = Terminal()

    assert write_table([row(), row(person="x" * 200)], terminal) == 2

    assert max(map(len, lines(terminal))) <= 80
    assert lines(terminal)[2].split() == [
        "…/deep/0001.jpg",
        "identified",
        "Ada",
        "Lovelace",
        "0.625",
        "98.8",
        "%",
        "v1",
    ]


def test_outcomes_are_coloured_on_a_terminal_only(columns: pytest.MonkeyPatch) -> None:
    terminal, file = Terminal(), io.StringIO()

    write_table([row()], terminal)
    write_table([row()], file)

    assert "\x1b[32midentified" in terminal.getvalue()
    assert "\x1b" not in file.getvalue()


def test_a_file_gets_everything_whole(columns: pytest.MonkeyPatch) -> None:
    file = io.StringIO()

    write_table([row(outcome="unknown", person=None)], file)

    assert lines(file)[0].split()[3] == "Nearest"
    assert row()["uri"] in lines(file)[2]


def test_a_refused_candidate_is_no_person(columns: pytest.MonkeyPatch) -> None:
    terminal = Terminal()

    write_table([row(outcome="unknown", person=None)], terminal)

    assert "Ada" not in terminal.getvalue()


def test_a_wide_character_takes_two_columns(columns: pytest.MonkeyPatch) -> None:
    file = io.StringIO()

    write_table([row(person="山田太郎"), row(person="Ada Love")], file)

    first, second = lines(file)[2:]
    assert first.index("0.625") + len("山田太郎") == second.index("0.625")


def test_an_escape_in_a_name_is_shown_and_not_obeyed(columns: pytest.MonkeyPatch) -> None:
    columns.setenv("NO_COLOR", "1")
    terminal = Terminal()

    write_table([row(uri="/a\x1b[2J.jpg")], terminal)

    assert "\x1b" not in terminal.getvalue()
    assert r"a\x1b[2J.jpg" in terminal.getvalue()
