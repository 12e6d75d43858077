"""`facefleet doctor`: runs all checks and shows what is wrong with the command that mends it."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from core.errors import SettingError
from core.settings import Settings
from scripts.check import Finding, Level, run_check
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.output import make_console, printable, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {Level.OK: ("ok", "green"), Level.WARN: ("warn", "yellow"), Level.FAIL: ("FAIL", "bold red")}


@command("doctor", example="facefleet doctor\nfacefleet doctor --json")
def doctor(invocation: Invocation) -> None:
    """Check this installation and say how to mend what is wrong.

    Changes nothing. The exit code is 0 when nothing failed; what is merely not running yet is a warning.
    """
    findings = _examine()
    failed = any(finding.level is Level.FAIL for finding in findings)
    if invocation.as_json:
        write_json({"ok": not failed, "checks": [_document(finding) for finding in findings]})
    else:
        _print(make_console(), findings)
    if failed:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _document(finding: Finding) -> dict[str, Any]:
    document = {"name": finding.name, "level": finding.level, "detail": finding.detail, "remedy": finding.remedy}
    return document if finding.figures is None else {**document, "figures": finding.figures}


def _examine() -> list[Finding]:
    """Run every check; one that breaks hides no other."""
    from scripts.check_engine import ENGINE_CHECKS
    from scripts.check_machine import MACHINE_CHECKS
    from scripts.check_services import SERVICE_CHECKS, check_work

    try:
        settings = Settings.from_env()
    except SettingError as error:
        return [Finding(level=Level.FAIL, name="settings", detail=error.message)]
    findings: list[Finding] = []

    def look_at_work(settings: Settings) -> list[Finding]:
        redis_failed = any(finding.name == "redis" and finding.level is Level.FAIL for finding in findings)
        return check_work(settings, redis_answers=not redis_failed)

    checks = {**MACHINE_CHECKS, **SERVICE_CHECKS, **ENGINE_CHECKS, "work": look_at_work}
    with show_progress("Checking", len(checks)) as bar:
        for done, (name, check) in enumerate(checks.items()):
            bar.update(done=done, note=name)
            findings += run_check(name, check, settings)
    return findings


def _print(console: "Console", findings: Sequence[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        word, style = _MARKS[finding.level]
        detail = Text(printable(finding.detail))
        if finding.remedy:
            detail.append("\nmend: " + printable(finding.remedy), style="bold")
        table.add_row(Text(word, style=style), Text(finding.name), detail)
    console.print(table)
    counts = Counter(finding.level for finding in findings)
    console.print(f"\n{counts[Level.OK]} ok, {counts[Level.WARN]} warnings, {counts[Level.FAIL]} failed")
