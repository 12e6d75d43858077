import errno
import json
from pathlib import Path

import click
import pytest

from core import errors
from scripts.common import Invocation
from scripts.failures import ExitCode, report_error
from scripts.group import Entry, LazyGroup
from tests.unit.scripts.runner import Run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("x"), 2),
        (errors.UnknownIdError("x"), 2),
        (errors.SettingError("x"), 2),
        (errors.RedisUnreachableError("x"), 3),
        (errors.DatabaseUnreachableError("x"), 3),
        (errors.DatabaseSchemaError("x"), 3),
        (errors.RedisRefusedError("x"), 3),
        (errors.DatabaseFullError("x"), 3),
        (errors.DiskFullError("x"), 3),
        (errors.NoActiveModelError("x"), 1),
        (errors.TooFewPeopleError("x"), 1),
        (errors.FacefleetError("x"), 1),
    ],
)
def test_the_kind_of_an_error_decides_the_exit_code(error: errors.FacefleetError, code: int) -> None:
    assert report_error(error, Invocation(as_json=False)) == code


def test_an_error_is_a_document_on_stdout_and_a_sentence_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(errors.UnknownIdError("No job has that id."), Invocation(as_json=True))

    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": {"code": "unknown_id", "message": "No job has that id."}}
    assert err == "Error: No job has that id.\n"


def test_an_error_in_the_middle_of_a_document_is_not_put_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(errors.DatabaseUnreachableError("Gone."), Invocation(as_json=True, began=True))

    assert capsys.readouterr().out == ""


def test_an_unforeseen_error_shows_no_traceback_and_leaves_one_in_the_home_folder(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_body(lambda: 1 / 0)

    err = capsys.readouterr().err
    assert code == ExitCode.FAILURES
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    (log,) = (home / "logs").glob("crash-*.log")
    assert str(log) in err
    assert "ZeroDivisionError: division by zero" in log.read_text()


def test_a_disk_that_fills_up_under_a_command_is_told_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    def fill_up() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/out/people.csv")

    assert run_body(fill_up) == ExitCode.UNREACHABLE
    assert "The disk of /srv/out/people.csv is full" in capsys.readouterr().err


def test_a_home_that_cannot_be_written_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FACEFLEET_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert run_body(lambda: 1 / 0) == ExitCode.FAILURES
    (log,) = tmp_path.glob("crash-*.log")
    assert str(log) in capsys.readouterr().err


def test_ctrl_c_ends_with_130_and_says_what_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        click.get_current_context().obj.on_interrupt = "The job goes on."
        raise KeyboardInterrupt

    assert run_body(interrupt) == 130
    assert capsys.readouterr().err == "\nInterrupted. The job goes on.\n"


def test_a_setting_that_cannot_be_used_is_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFLEET_BATCH_SIZE", "many")

    ran = run("job", "list", "--json")

    assert ran.code == 2
    assert ran.document["error"]["code"] == "bad_setting"


def test_a_database_that_does_not_answer_is_exit_code_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFLEET_DATABASE_URL", "postgresql+psycopg://nobody:secret@127.0.0.1:1/none")

    ran = run("job", "list", "--json")

    assert ran.code == 3
    assert ran.document["error"]["code"] == "database_unreachable"
    assert "secret" not in ran.out + ran.err


body_to_run: click.Command


def run_body(body: object) -> int:
    """Run a command of this body as the only one of a command line; return its exit code."""
    global body_to_run
    body_to_run = click.Command("body", callback=body)  # type: ignore[arg-type]
    group = LazyGroup("facefleet", entries={"body": Entry(target=f"{__name__}:body_to_run", summary="", section="")})
    with pytest.raises(SystemExit) as end:
        group.main(["body"])
    return int(end.value.code or 0)
