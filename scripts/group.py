"""The first level of the command line: loads a command's module only when that command is used, and ends every command.

Which commands there are stands in scripts/main.py; what an error looks like stands in scripts/failures.py.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

import click

from core.disk import disk_full, is_disk_full
from core.errors import FacefleetError
from scripts.common import Invocation


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One command of the first level."""

    target: str
    """`module:attribute` of the click command."""
    summary: str
    """The sentence of `facefleet --help`; the same as the first of the command's own help."""
    section: str
    """The heading it stands under."""


class LazyGroup(click.Group):
    """A group that knows its commands' names without importing them."""

    def __init__(self, *args: Any, entries: dict[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        loaded: click.Command = getattr(import_module(module), attribute)
        return loaded

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for; name the ones that look like it when there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=self.entries, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings, from the table alone."""
        widest = max(map(len, self.entries))
        for section in dict.fromkeys(entry.section for entry in self.entries.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [
                        (name.ljust(widest), entry.summary)
                        for name, entry in self.entries.items()
                        if entry.section == section
                    ]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that went away ends it quietly."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_stdout()
            from scripts.failures import ExitCode

            raise click.exceptions.Exit(ExitCode.PIPE_CLOSED) from None
        return result

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run the command line and leave the process with its exit code."""
        arguments = sys.argv[1:] if args is None else list(args)
        own = arguments[: arguments.index("--")] if "--" in arguments else arguments
        invocation = Invocation(as_json="--json" in own)
        sys.exit(self._run(arguments, prog_name or "facefleet", invocation))

    def _run(self, arguments: list[str], prog_name: str, invocation: Invocation) -> int:
        """Run the command line; return its exit code whatever happens."""
        try:
            code = super().main(arguments, prog_name, standalone_mode=False, obj=invocation)
        except Exception as error:  # the last stop before the user
            return _report(error, invocation)
        return code if isinstance(code, int) else 0


def _report(error: Exception, invocation: Invocation) -> int:
    """Say what ended the command."""
    from scripts import failures

    if isinstance(error, OSError) and is_disk_full(error):
        error = disk_full(error.filename or "the output")
    if isinstance(error, FacefleetError):
        return failures.report_error(error, invocation)
    if isinstance(error, click.ClickException):
        return failures.report_usage(error, invocation)
    if isinstance(error, click.Abort):
        return failures.report_interrupt(invocation)
    return failures.report_crash(error, invocation)


def _forget_stdout() -> None:
    """Point stdout nowhere, so that the interpreter does not try to flush it again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
