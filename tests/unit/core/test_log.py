"""Logging: one line an event, in UTC, with the role of the process."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.log import set_up_logging

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\w+) +(\w+)\[(\d+)\] ([\w.]+): (.*)")


@pytest.fixture(autouse=True)
def _keep_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    end_logging()
    root.handlers[:] = handlers
    root.setLevel(level)


def end_logging() -> None:
    """Close what the end of the process would close."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.FileHandler:
            handler.close()


def test_a_line_says_when_who_and_what(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "worker.log"
    set_up_logging("worker", file=file)
    logging.getLogger("core.somewhere").warning("chunk %d is late", 7)
    match = LINE.fullmatch(file.read_text().rstrip("\n"))
    assert match is not None
    assert match.groups() == ("WARNING", "worker", str(os.getpid()), "core.somewhere", "chunk 7 is late")


def test_times_are_utc_wherever_the_machine_stands(tmp_path: Path) -> None:
    set_up_logging("worker", file=tmp_path / "worker.log")
    record = logging.makeLogRecord({"msg": "x", "created": 0.25, "msecs": 250.0, "levelname": "INFO"})
    (handler,) = logging.getLogger().handlers
    assert handler.format(record).startswith("1970-01-01T00:00:00.250Z INFO")


def test_less_than_the_level_is_not_written_and_a_restart_appends(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    for word in ("first", "second"):
        set_up_logging("worker", "warning", file)
        logging.getLogger("x").info("quiet")
        logging.getLogger("x").error(word)
        end_logging()
    assert [line.rpartition(" ")[2] for line in file.read_text().splitlines()] == ["first", "second"]


def test_without_a_file_it_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("sweeper")
    logging.getLogger("x").info("here")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "sweeper[" in captured.err
