"""Processes of a benchmark: each is set up once, then answers what it is sent, until the block ends.

They are spawned, as workers are. What they compute is not known here.
"""

import multiprocessing
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

Work = Callable[[Any], Any]
"""Answers one message of the parent's."""
SetUp = Callable[..., tuple[Any, Work]]
"""Sets a process up; returns what the parent is told of it, and what it then does."""

_END_TIMEOUT_S = 5.0


class ProcessDiedError(Exception):
    """A process of a benchmark ended by itself; what it had to say stands on stderr."""


class BenchProcesses:
    """As many processes as there are rows of arguments.

    Args:
        set_up: a function of a module, called in each process with its row.
        arguments: one row a process; must be picklable.
    """

    def __init__(self, set_up: SetUp, arguments: Sequence[tuple[Any, ...]]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.told: list[Any] = []
        """What each process said of itself when it was ready."""
        self._pipes: list[Connection] = []
        self._theirs: list[Connection] = []
        self._processes = []
        for row in arguments:
            ours, theirs = spawn.Pipe()
            self._pipes.append(ours)
            self._theirs.append(theirs)
            self._processes.append(spawn.Process(target=_serve, args=(theirs, set_up, row), daemon=True))

    def __enter__(self) -> Self:
        for process, theirs in zip(self._processes, self._theirs, strict=True):
            process.start()
            theirs.close()  # so that a process that died is noticed
        try:
            self.told = [self._hear(pipe) for pipe in self._pipes]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, messages: Sequence[Any]) -> list[Any]:
        """Send every process its message at once; return their answers when all have answered.

        Raises:
            ProcessDiedError: one of them died.
        """
        for pipe, message in zip(self._pipes, messages, strict=True):
            pipe.send(message)
        return [self._hear(pipe) for pipe in self._pipes]

    def _hear(self, pipe: Connection) -> Any:
        try:
            return pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            raise ProcessDiedError("one of its processes died; its last words stand on stderr") from error

    def _end(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=_END_TIMEOUT_S)
            process.kill()


def share_out(items: Any, count: int) -> list[Any]:
    """Deal items, a list or an array, out to so many processes, in turn."""
    return [items[number::count] for number in range(count)]


def _serve(pipe: Connection, set_up: SetUp, row: tuple[Any, ...]) -> None:
    """Be one process."""
    warnings.simplefilter("ignore")  # as in every process that users start
    told, work = set_up(*row)
    pipe.send(told)
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        pipe.send(work(message))
