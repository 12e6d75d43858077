"""Watches the processes of a worker node with py-spy while they work, and reads what it saw.

py-spy (https://github.com/benfred/py-spy, MIT) reads another process's memory from outside: workers are not changed.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INSTALL = "pip install '.[bench]'"
_READY = "Sampling process"
"""What py-spy says when it has begun."""
_READY_S = 60.0
_END_S = 60.0
_SAMPLES_A_SECOND = 100
_RECORD = re.compile(r'^(?=process \d+:")', re.MULTILINE)
_PROCESS = re.compile(r'process (\d+):"')
_FRAME = re.compile(r"(?P<function>.+) \((?P<place>.+?)(?::\d+)?\)")
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_UNNAMED = "machine code without a name"
_WAITING = {
    ("Condition.wait", "threading.py"),
    ("_Hand.run", "core/prefetch.py"),
    ("SocketBuffer._read_from_socket", "redis/_parsers/socket.py"),
}
"""Where threads of a worker wait for work: py-spy takes some that wait for a lock or a socket for busy ones."""


class NotWatchedError(Exception):
    """py-spy could not watch; its message is a sentence for people."""


@dataclass(frozen=True, kw_only=True)
class HotFunction:
    """A function in which processes were often seen."""

    function: str
    file: str
    """A Python file, or the library of machine code."""
    own: float
    """Share of the samples in which it was the innermost function."""
    total: float
    """Share of the samples in which it was on the stack."""


def find_pyspy() -> Path | None:
    """Return the program, on PATH or beside this Python; None where it is not installed."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    found = shutil.which("py-spy", path=search)
    return None if found is None else Path(found)


@contextmanager
def watching(program: Path, pid: int, output: Path, *, style: str, native: bool = False) -> Iterator[None]:
    """Watch a process and its children while the block runs; the file is there when it has ended.

    Args:
        program: py-spy.
        pid: the process.
        output: written when the block ends.
        style: `raw` or `flamegraph`.
        native: look into machine code too.

    Raises:
        NotWatchedError: py-spy does not begin, or wrote nothing.
    """
    command = [str(program), "record", "--pid", str(pid), "--subprocesses", "--rate", str(_SAMPLES_A_SECOND)]
    command += ["--format", style, "--output", str(output), *(["--native"] if native else [])]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is for us: we end it
    )
    listener = _Listener(process)
    try:
        if not listener.ready.wait(_READY_S) or not listener.began:
            raise NotWatchedError(_refusal(listener.words))
        yield
        process.send_signal(signal.SIGINT)  # it then writes what it saw
        process.wait(_END_S)
        if not output.exists():
            raise NotWatchedError(_refusal(listener.words))
    except subprocess.TimeoutExpired:
        raise NotWatchedError(_refusal("it did not end")) from None
    finally:
        process.kill()
        process.wait()
        listener.join()


class _Listener(threading.Thread):
    """Reads what py-spy says until it ends, so that it never waits for a reader."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        super().__init__(name="py-spy", daemon=True)
        self._process = process
        self._lines: list[str] = []
        self.ready = threading.Event()
        """It began, or ended."""
        self.began = False
        self.start()

    @property
    def words(self) -> str:
        """The last that it said of an error, or at all."""
        lines = [line.strip() for line in self._lines if line.strip()]
        errors = [line for line in lines if "error" in line.lower() or "denied" in line.lower()]
        return " ".join((errors or lines)[-2:])

    def run(self) -> None:
        """Listen."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        with self._process.stdout as lines:
            for line in lines:
                self._lines.append(line)
                if _READY in line:
                    self.began = True
                    self.ready.set()
        self.ready.set()


def _refusal(words: str) -> str:
    return (
        f"py-spy may not or cannot look into the workers ({words or 'it said nothing'}), so hot functions and the "
        "flame graph are left out; the stages are measured without it. It needs the right to trace processes: run as "
        "root, set kernel.yama.ptrace_scope to 0, or start the container with --cap-add SYS_PTRACE."
    )


def hottest_functions(raw: str, pids: Collection[int], most: int = 10) -> list[HotFunction]:
    """Return the functions in which processes were seen most often, the hottest first; not those that only wait.

    Args:
        raw: what `py-spy record --format raw` wrote: a stack a line, frames between semicolons, then its samples.
        pids: the processes that count.
        most: how many functions.
    """
    own: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    samples = 0
    for frames, seen in _stacks(raw, pids):
        samples += seen
        own[frames[-1]] += seen
        total.update(dict.fromkeys(frames, seen))
    return [
        HotFunction(function=function, file=file, own=seen / samples, total=total[function, file] / samples)
        for (function, file), seen in own.most_common(most)
    ]


def _stacks(raw: str, pids: Collection[int]) -> Iterator[tuple[list[tuple[str, str]], int]]:
    """Yield stacks, outermost frame first, and in how many samples each was seen."""
    # Command lines stand in quotes and may hold anything, line ends too; a child's stands behind its parent's.
    for record in _RECORD.split(raw):
        text, _, seen = record.rstrip().rpartition(" ")
        processes = list(_PROCESS.finditer(text))
        if not processes or not seen.isdecimal() or int(processes[-1][1]) not in pids:
            continue
        _, _, stack = text[processes[-1].end() :].partition('";')
        frames = [_frame(found) for part in stack.split(";") if (found := _FRAME.fullmatch(part.strip()))]
        if frames and frames[-1] not in _WAITING:
            yield frames, int(seen)


def _frame(found: re.Match[str]) -> tuple[str, str]:
    function = _UNNAMED if _ADDRESS.fullmatch(found["function"]) else found["function"]
    return function, found["place"]
