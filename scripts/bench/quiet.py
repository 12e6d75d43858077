"""How much of a machine others used while something was measured: figures of a shared machine drift with it."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import psutil

T = TypeVar("T")

_QUIET = 0.05
_MOST = 0.99  # clocks tick a hundred times a second


@dataclass(kw_only=True)
class Others:
    """What processes that are not ours took."""

    share: float = 0.0
    """Of all cores, 0..1, once the block has ended."""

    def left(self, seconds: float) -> float:
        """Return what of a time within the block they left to us."""
        return seconds * (1.0 - self.share)


@contextmanager
def watching_others() -> Iterator[Others]:
    """Note how much of the machine's cores others use within the block, a hypervisor's other guests included."""
    others, begun_s, machine_s, own_s = Others(), time.perf_counter(), _machine_s(), _own_s()
    yield others
    cores_s = (time.perf_counter() - begun_s) * (os.cpu_count() or 1)
    theirs_s = (_machine_s() - machine_s) - (_own_s() - own_s)
    others.share = min(max(0.0, theirs_s / cores_s), _MOST)


def wait_until_quiet(patience_s: float = 10.0) -> None:
    """Wait until others use hardly anything for a second, or until patience ends."""
    until_s, others = time.monotonic() + patience_s, Others(share=1.0)
    while others.share > _QUIET and time.monotonic() < until_s:
        with watching_others() as others:
            time.sleep(1.0)


def quietest(rounds: Sequence[tuple[float, T]]) -> list[tuple[float, T]]:
    """Return the half of the rounds, rounded up, in which others used least, given with each; in their order."""
    kept = sorted(range(len(rounds)), key=lambda number: rounds[number][0])[: (len(rounds) + 1) // 2]
    return [rounds[number] for number in sorted(kept)]


def _machine_s() -> float:
    """Return how long all cores have computed so far."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _own_s() -> float:
    """Return how long this process and its children have computed so far, those that ended included."""
    own = psutil.Process()
    return sum(map(_process_s, [own, *own.children(recursive=True)]))


def _process_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # ended meanwhile: its parent has its time
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
