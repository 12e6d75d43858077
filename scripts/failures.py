"""How a command ends: the one place that turns an error into an exit code and into words. No traceback reaches a user.

With `--json` an error is one document on stdout, `{"error": {"code", "message"}}`; the same sentence stands on stderr.
"""

import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from enum import IntEnum
from importlib import metadata
from pathlib import Path

import click

from core.errors import FacefleetError, InputError, ServiceError
from scripts.common import Invocation
from scripts.output import printable, say, write_json

_CRASH_CODE = "internal_error"


class ExitCode(IntEnum):
    """What a command's exit status says."""

    DONE = 0  # everything asked for was done
    FAILURES = 1  # it finished, and there are failures to look at
    USAGE = 2  # the command line or the input cannot be used; nothing was done
    UNREACHABLE = 3  # a service that it needs did not answer
    INTERRUPTED = 130  # Ctrl-C, as shells number it
    PIPE_CLOSED = 141  # whoever read the output went away, as shells number it


def report_error(error: FacefleetError, invocation: Invocation) -> ExitCode:
    """Tell about an error that was raised on purpose."""
    _tell(error.code, error.message, invocation)
    if isinstance(error, InputError):
        return ExitCode.USAGE
    return ExitCode.UNREACHABLE if isinstance(error, ServiceError) else ExitCode.FAILURES


def report_usage(error: click.ClickException, invocation: Invocation) -> ExitCode:
    """Tell about a command line that cannot be understood: what is wrong, and where the help is."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    asked = context.command_path if context else "facefleet"
    _tell("usage", f"{error.format_message()} Help: `{asked} --help`.", invocation)
    return ExitCode.USAGE


def report_interrupt(invocation: Invocation) -> ExitCode:
    """Tell what Ctrl-C stopped, and what goes on without it."""
    _tell("interrupted", f"Interrupted. {invocation.on_interrupt}", invocation)
    return ExitCode.INTERRUPTED


def report_crash(error: BaseException, invocation: Invocation) -> ExitCode:
    """Tell about an error that nobody foresaw; its traceback goes to a file."""
    summary = printable(f"{type(error).__name__}: {error}".splitlines()[0][:200])
    where = _write_crash(error)
    message = f"facefleet met an error that it did not foresee ({summary}). What was stored before stays stored."
    _tell(_CRASH_CODE, f"{message} Report it with the file {where}.", invocation)
    return ExitCode.FAILURES


def _tell(code: str, message: str, invocation: Invocation) -> None:
    # Once a document has begun on stdout, a second one would make both unreadable.
    if invocation.as_json and not invocation.began:
        write_json({"error": {"code": code, "message": message}})
    say(f"Error: {message}" if code != "interrupted" else message)


def _write_crash(error: BaseException) -> Path:
    """Write a traceback where the user finds it, below FACEFLEET_HOME if that can be written."""
    home = Path(os.environ.get("FACEFLEET_HOME", "").strip() or "~/.facefleet").expanduser().absolute()
    now = datetime.now(UTC)
    name = f"crash-{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.log"
    text = "".join(
        [
            f"{now.isoformat()} facefleet {_version()} Python {sys.version}\n{sys.argv}\n\n",
            *traceback.format_exception(error),
        ]
    )
    try:
        path = home / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:
        path = Path(tempfile.gettempdir()) / name
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def _version() -> str:
    try:
        return metadata.version("facefleet")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "of a checkout"
