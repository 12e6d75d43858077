"""Runs `facefleet` inside the test's process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from scripts.main import cli


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    out_bytes: bytes
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Run = Callable[..., Ran]


def run_command(*arguments: object) -> Ran:
    """Run a command with these arguments."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    out = result.stdout_bytes.decode("utf-8", "replace")  # parquet is no text
    return Ran(code=result.exit_code, out=out, out_bytes=result.stdout_bytes, err=result.stderr)
