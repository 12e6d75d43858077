"""How long the stages of the pipeline take: their names, a stopwatch for each thread, and the sum over all of them.

Whoever does a stage's work is given a `TimeStage` and puts its work inside; by default nothing is timed.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """The stages of identification, in the order of the pipeline."""

    CLAIM = "claim"  # take a chunk and read its photos' names from the database
    READ = "read"  # read the file and hash it; on reading threads
    DECODE = "decode"  # decode it, and scale it for the detector or the network; on reading threads
    AWAIT = "await"  # nothing to compute on: the next photos are still being read and decoded
    DETECT = "detect"  # find the faces of photos
    ALIGN = "align"  # cut the faces out
    JUDGE = "judge"  # judge their quality
    EMBED = "embed"  # run the network
    DECIDE = "decide"  # compare with the gallery, apply the reject rule
    STORE = "store"  # write items, faces and embeddings, and commit
    BETWEEN = "between"  # at work on a chunk, and in none of the others


TimeStage = Callable[[Stage], AbstractContextManager[None]]
"""Gives what the work of a stage is put inside."""

_NOTHING = nullcontext()


def untimed(_stage: Stage) -> AbstractContextManager[None]:
    """Time nothing."""
    return _NOTHING


@dataclass(kw_only=True, slots=True)
class Spent:
    """What a stage took."""

    wall_s: float = 0.0
    """By the clock on the wall."""
    computing_s: float = 0.0
    """That its thread computed."""
    beside_s: float = 0.0
    """Of `wall_s`, on reading threads: while the thread that computes did something else than await photos."""
    entered: int = 0
    """How often it was begun."""

    def add(self, other: "Spent") -> None:
        """Add what was spent elsewhere or later."""
        self.wall_s += other.wall_s
        self.computing_s += other.computing_s
        self.beside_s += other.beside_s
        self.entered += other.entered

    def since(self, before: "Spent") -> "Spent":
        """Return what was spent after an earlier look."""
        return Spent(
            wall_s=self.wall_s - before.wall_s,
            computing_s=self.computing_s - before.computing_s,
            beside_s=self.beside_s - before.beside_s,
            entered=self.entered - before.entered,
        )


class Stopwatch:
    """Times stages of one thread that may lie inside one another: each moment counts for the innermost.

    A stage costs 2 to 3 us, which is 0.5 % of the fastest photo (1 ms, a face crop and the compact network).

    Args:
        awaited_s: how long another thread has waited for this one's results up to a moment of `time.perf_counter`;
            None for a thread that works for itself.

    Attributes:
        stages: what each took, in the order in which they were first entered.
    """

    def __init__(self, awaited_s: Callable[[float], float] | None = None) -> None:
        self.stages: dict[Stage, Spent] = {}
        self._awaited_s = awaited_s
        self._sections: dict[Stage, _Section] = {}
        self._outside: list[Spent | None] = []
        self._inside: Spent | None = None
        self._wall_s = self._computing_s = self._awaited_before_s = 0.0

    def stage(self, stage: Stage) -> AbstractContextManager[None]:
        """Count what happens inside for a stage, but for what an inner stage counts for itself."""
        section = self._sections.get(stage)
        if section is None:
            spent = self.stages.setdefault(stage, Spent())
            section = self._sections[stage] = _Section(self, spent)
        return section

    def begin(self, spent: Spent) -> None:
        """Go into a stage."""
        self._settle()
        self._outside.append(self._inside)
        self._inside = spent
        spent.entered += 1

    def end(self) -> None:
        """Leave the innermost stage."""
        self._settle()
        self._inside = self._outside.pop()

    def spent_in(self, spent: Spent, now_s: float) -> float:
        """Return the time on the wall in a stage, up to this moment where it is under way. Called from any thread."""
        return spent.wall_s + (now_s - self._wall_s if self._inside is spent else 0.0)

    def _settle(self) -> None:
        """Give the innermost stage what has passed since the last look."""
        wall_s, computing_s = time.perf_counter(), time.thread_time()
        inside, passed_s = self._inside, wall_s - self._wall_s
        if inside is not None:
            inside.wall_s += passed_s
            inside.computing_s += computing_s - self._computing_s
        if self._awaited_s is not None:
            awaited_s = self._awaited_s(wall_s)
            if inside is not None:
                inside.beside_s += passed_s - (awaited_s - self._awaited_before_s)
            self._awaited_before_s = awaited_s
        self._wall_s, self._computing_s = wall_s, computing_s


class _Section:
    """One stage of one thread, made once: a generator for each entry would cost twice as much."""

    __slots__ = ("_spent", "_watch")

    def __init__(self, watch: Stopwatch, spent: Spent) -> None:
        self._watch = watch
        self._spent = spent

    def __enter__(self) -> None:
        self._watch.begin(self._spent)

    def __exit__(self, *_: object) -> None:
        self._watch.end()


class StageTimes:
    """A stopwatch for each thread of a process that identifies. Made on the thread that computes."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._main = self._local.watch = Stopwatch()
        self._await = self._main.stages[Stage.AWAIT] = Spent()
        self._watches = [self._main]

    def stage(self, stage: Stage) -> AbstractContextManager[None]:
        """Count what happens inside for a stage; called from any thread. This is a `TimeStage`."""
        watch: Stopwatch | None = getattr(self._local, "watch", None)
        if watch is None:
            watch = self._local.watch = Stopwatch(self._awaited_s)
            self._watches.append(watch)
        return watch.stage(stage)

    def spent(self) -> dict[Stage, Spent]:
        """Return what each stage took, over all threads, in the pipeline's order. What is under way counts later."""
        sums: dict[Stage, Spent] = {}
        for watch in list(self._watches):
            for stage, spent in list(watch.stages.items()):
                sums.setdefault(stage, Spent()).add(spent)
        return {stage: sums[stage] for stage in Stage if stage in sums and sums[stage].entered}

    def _awaited_s(self, now_s: float) -> float:
        return self._main.spent_in(self._await, now_s)
