"""Logging set-up for every process: one line an event, in UTC, with the process's role, on stderr or in a file."""

import logging
import sys
import time
from pathlib import Path

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s {role}[%(process)d] %(name)s: %(message)s"


def set_up_logging(role: str, level: str = "INFO", file: Path | None = None) -> None:
    """Send this process's records to `file`, or to stderr when it is None.

    Args:
        role: what this process is (`worker`, `trainer`, `sweeper`, ...); stands in every line.
        level: a `logging` level name.
        file: appended to; its folder is made.
    """
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8")
    formatter = logging.Formatter(_FORMAT.format(role=role), datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
