import io
import sys

import pytest

from scripts.progress import show_progress


class Terminal(io.StringIO):
    """A terminal, as far as a program can tell."""

    def isatty(self) -> bool:
        return True


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("Identifying", 10, unit="photos") as bar:
        bar.update(done=5, note="half")

    out, err = capsys.readouterr()
    assert out == err == ""


def test_a_sentence_reaches_stderr_with_and_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        with show_progress("Identifying", 10) as bar:
            bar.say("No worker runs.")
        assert "No worker runs.\n" in stream.getvalue()


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with show_progress("Identifying", 10, unit="photos") as bar:
        bar.update(done=5, note="half")

    for part in ("Identifying", " 5/10", "photos/s", "ETA", "half"):
        assert part in terminal.getvalue()


def test_bytes_are_shown_in_the_unit_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with show_progress("Pulling", 3 * 2**20, unit="bytes") as bar:
        bar.update(done=2**20)

    for part in ("Pulling", "1.0/3.0 MiB", " B/s", "ETA"):
        assert part in terminal.getvalue()
