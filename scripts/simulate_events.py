"""Discrete events: processes that wait for time, for a server, for a lock, or for a share of cores. Knows no fleet.

A process is a generator. It yields seconds to let pass, or something to wait for. simpy 4.1 does this too, with the
same results, in six times the time: it schedules three events where a station needs one. A fleet is up to 10^6 of them.
"""

import heapq
from collections import deque
from collections.abc import Generator
from itertools import count
from typing import Protocol

Process = Generator["float | Waitable", None, None]


class Waitable(Protocol):
    """What a process may wait for beside time."""

    def admit(self, simulation: "Simulation", process: Process) -> None:
        """Take a process in; it goes on when the simulation is told to resume it."""


class Simulation:
    """A clock and the processes that wait for it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._numbers = count()  # of two events in one moment the older goes first
        self._events: list[tuple[float, int, Process]] = []

    def resume(self, process: Process, after_s: float = 0.0) -> None:
        """Let a process go on, or begin, after so many seconds."""
        heapq.heappush(self._events, (self.now_s + after_s, next(self._numbers), process))

    def step(self) -> bool:
        """Let the next event happen; return False when there is none."""
        if not self._events:
            return False
        self.now_s, _, process = heapq.heappop(self._events)
        for wanted in process:
            if isinstance(wanted, float):
                self.resume(process, wanted)
            else:
                wanted.admit(self, process)
            break
        return True


class Station:
    """Servers that take what comes in turn: cores of a database, a link, a broker.

    As all that comes is served in order, it is known at once when each is done: one event for each.

    Args:
        servers: that work side by side, each on one thing at a time.
    """

    def __init__(self, servers: int = 1) -> None:
        self.servers = servers
        self._free_s = [0.0] * servers
        self._given_s = 0.0

    def serve(self, now_s: float, work_s: float) -> float:
        """Take work of so many seconds; return how long it takes from now, with the wait for a server."""
        done_s = max(now_s, self._free_s[0]) + work_s
        heapq.heapreplace(self._free_s, done_s)
        self._given_s += work_s
        return done_s - now_s

    def busy_s(self, now_s: float) -> float:
        """Return how many seconds all servers have worked until now: what was given, less what is still to be done."""
        return self._given_s - sum(max(0.0, free_s - now_s) for free_s in self._free_s)


class Lock:
    """Held by one process at a time, from when it is granted until it is released; granted in turn."""

    servers = 1

    def __init__(self) -> None:
        self._waiting: deque[Process] = deque()
        self._since_s: float | None = None
        self._held_s = 0.0

    def admit(self, simulation: Simulation, process: Process) -> None:
        """Grant the lock, or let the process wait for it."""
        if self._since_s is not None:
            self._waiting.append(process)
            return
        self._since_s = simulation.now_s
        simulation.resume(process)

    def release(self, simulation: Simulation) -> None:
        """Give the lock to whoever waits longest."""
        if self._since_s is None:
            raise RuntimeError("a lock was released that nobody holds")
        self._held_s += simulation.now_s - self._since_s
        self._since_s = None
        if self._waiting:
            self.admit(simulation, self._waiting.popleft())

    def busy_s(self, now_s: float) -> float:
        """Return for how many seconds it was held until now."""
        return self._held_s + (0.0 if self._since_s is None else now_s - self._since_s)


class SharedCores:
    """Cores that all who compute share evenly, as a machine's scheduler does; nobody has more than one.

    Virtual time passes as fast as each of them computes. Whoever came at V with work W is done at V + W.
    """

    def __init__(self, cores: int) -> None:
        self.servers = cores
        self._virtual_s = 0.0
        self._looked_s = 0.0
        self._busy_s = 0.0
        self._tickets = count()
        self._running: list[tuple[float, int, Process]] = []
        self._looks = 0

    def work(self, work_s: float) -> "_Share":
        """Return what to yield to compute for so many seconds of one core."""
        return _Share(self, work_s)

    def busy_s(self, now_s: float) -> float:
        """Return how many seconds all cores have computed until now."""
        return self._busy_s + (now_s - self._looked_s) * min(len(self._running), self.servers)

    def enter(self, simulation: Simulation, process: Process, work_s: float) -> None:
        """Let a process compute beside the others."""
        self._pass(simulation.now_s)
        heapq.heappush(self._running, (self._virtual_s + work_s, next(self._tickets), process))
        self._look_again(simulation)

    def _pass(self, now_s: float) -> None:
        self._busy_s = self.busy_s(now_s)
        if self._running:
            self._virtual_s += (now_s - self._looked_s) * min(1.0, self.servers / len(self._running))
        self._looked_s = now_s

    def _look_again(self, simulation: Simulation) -> None:
        """Look when the next is done; a look that was planned before somebody came is void."""
        self._looks += 1
        if self._running:
            left_s = max(0.0, self._running[0][0] - self._virtual_s)
            pace = min(1.0, self.servers / len(self._running))
            simulation.resume(self._look(simulation, self._looks), left_s / pace)

    def _look(self, simulation: Simulation, number: int) -> Process:
        if number == self._looks:
            self._pass(simulation.now_s)
            _, _, process = heapq.heappop(self._running)
            simulation.resume(process)
            self._look_again(simulation)
        yield from ()


class _Share:
    """Work that waits for its share of the cores."""

    def __init__(self, cores: SharedCores, work_s: float) -> None:
        self._cores = cores
        self._work_s = work_s

    def admit(self, simulation: Simulation, process: Process) -> None:
        """Begin."""
        self._cores.enter(simulation, process, self._work_s)
