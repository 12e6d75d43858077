"""A stopwatch for stages that lie inside one another: each moment counts for the innermost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(kw_only=True)
class Spent:
    """What a stage took."""

    wall_s: float = 0.0
    """By the clock on the wall."""
    computing_s: float = 0.0
    """That this thread computed."""


class Stopwatch:
    """Times stages of one thread.

    Attributes:
        stages: what each took, in the order in which they were first entered.
    """

    def __init__(self) -> None:
        self.stages: dict[str, Spent] = {}
        self._inside: list[Spent] = []
        self._since = (0.0, 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside for a stage, but for what an inner stage counts for itself."""
        self._settle()
        self._inside.append(self.stages.setdefault(name, Spent()))
        try:
            yield
        finally:
            self._settle()
            self._inside.pop()

    def _settle(self) -> None:
        """Give the innermost stage what has passed since the last look."""
        now = (time.perf_counter(), time.thread_time())
        if self._inside:
            self._inside[-1].wall_s += now[0] - self._since[0]
            self._inside[-1].computing_s += now[1] - self._since[1]
        self._since = now
