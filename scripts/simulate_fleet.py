"""A fleet as queues, chunk by chunk: workers that compute, a broker, a ledger, a store of photos. In the steady state.

What is simulated is the work that the handlers do, in their order; what it costs comes from measured unit costs.
Nothing fails, nothing is submitted or trained, and nobody but the fleet uses these machines.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from scripts.simulate_costs import ComputeCost, Linear, Phase, TransactionCost, UnitCosts
from scripts.simulate_events import Lock, Process, SharedCores, Simulation, Station, Waitable
from workers.identify import HOLD_S
from workers.pulse import REPORT_EVERY_S

SATURATED = 0.95
"""From this use on, a resource is a ceiling: more workers wait for it instead of working."""
WORKERS = "workers"
_WARM_CYCLES = 3
_CYCLES = 4
_LEAST_CHUNKS = 600
_PULSES = 200
"""Processes that report; from so many workers on, each reports for several."""
_ON_THE_MACHINE = "cores"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The fleet that is simulated, and what stands around it."""

    workers: int
    """Processes, each with cores of its own unless `shared_cores` says otherwise."""
    chunk_size: int = 128
    detect: bool = False
    """Whether faces are to be found in the photos."""
    jobs: int = 1
    """Jobs that run at once in each database; they take turns."""
    databases: int = 1
    """Fleets that share the jobs, each with a ledger and a Redis of its own."""
    database_cores: int = 16
    round_trip_s: float = 0.0
    """Of the network, between a worker and its ledger or Redis."""
    rows: float = 1e9
    """Photos that each ledger's tables hold."""
    partitions: int = 1
    """Parts that those tables are split into."""
    results_read: float = 1.0
    """How often each row of results is read while the fleet works."""
    replica: bool = False
    """Whether results are read from a copy of the ledger."""
    photo_bytes: float = 0.0
    """Of a photo on average; 0: as measured."""
    store_bytes_per_s: float = math.inf
    store_requests_per_s: float = math.inf
    store_latency_s: float = 0.0
    """From asking for a photo until its first byte, beyond what was measured."""
    read_threads: int = 2
    poll_s: float = 1.5
    shared_cores: int | None = None
    """Cores that workers and broker share, the ledger's own aside; None: whatever they take."""
    compute: ComputeCost | None = None
    """What recognising costs a process; None: as one process a core."""


@dataclass(frozen=True, kw_only=True)
class Steady:
    """How a fleet works once it is under way."""

    photos_per_s: float
    uses: dict[str, float]
    """Share of each resource that is in use, 0..1."""
    chunks: int
    """That were simulated to find this."""

    @property
    def ceiling(self) -> str:
        """What holds the fleet up: the first resource that is saturated, else the number of workers.

        Locks come last: one that is held while its holder waits for cores is not to blame.
        """
        return next((name for name, use in self.uses.items() if name != WORKERS and use >= SATURATED), WORKERS)

    def duration_s(self, photos: float) -> float:
        """Return how long so many photos take at this rate."""
        return photos / self.photos_per_s


def simulate(costs: UnitCosts, plan: Plan, *, seed: int = 0, length: float = 1.0) -> Steady:
    """Let a fleet work until it is steady, and then measure it.

    Args:
        costs: what its work costs.
        plan: the fleet.
        seed: of how long each chunk takes to recognise.
        length: of what is measured; 1.0: four chunks a worker, 600 at least.
    """
    fleet = _Fleet(costs, plan, random.Random(seed))
    fleet.run_chunks(_LEAST_CHUNKS // 2 + _WARM_CYCLES * plan.workers)
    before_s, busy_before_s = fleet.simulation.now_s, fleet.busy_s()
    chunks = fleet.run_chunks(math.ceil(length * max(_LEAST_CHUNKS, _CYCLES * plan.workers)))
    seconds = fleet.simulation.now_s - before_s
    uses = {
        name: (busy_s - busy_before_s[name]) / (seconds * fleet.servers[name])
        for name, busy_s in fleet.busy_s().items()
    }
    return Steady(photos_per_s=chunks * plan.chunk_size / seconds, uses=uses, chunks=chunks)


@dataclass(kw_only=True)
class _Ledger:
    """One database: its cores, and the locks that its writers take turns on."""

    cores: Station
    locks: list[Lock]
    broker: Station = field(default_factory=Station)
    claims: int = 0

    def next_lock(self) -> Lock:
        """Return the lock of the job whose turn it is."""
        self.claims += 1
        return self.locks[self.claims % len(self.locks)]


class _Fleet:
    """Everything that is simulated."""

    def __init__(self, costs: UnitCosts, plan: Plan, drawn: random.Random) -> None:
        self.simulation = Simulation()
        self._costs, self._plan, self._drawn = costs, plan, drawn
        self._is_sqlite = costs.database == "sqlite"
        locks = 1 if self._is_sqlite else plan.jobs
        self._ledgers = [
            _Ledger(cores=Station(plan.database_cores), locks=[Lock() for _ in range(locks)])
            for _ in range(plan.databases)
        ]
        self._store = Station()
        self._cores = SharedCores(plan.shared_cores) if plan.shared_cores else None
        self._compute = plan.compute or (costs.detect if plan.detect and costs.detect else costs.compute)
        self._commit = costs.commit_detect if plan.detect else costs.commit
        self._growth = 1.0 + costs.growth * max(0.0, math.log10(plan.rows / plan.partitions / costs.rows))
        self._computed_s = 0.0
        self._chunks = 0
        for number in range(plan.workers):
            ledger = self._ledgers[number % plan.databases]
            begin_s = drawn.random() * self._compute.chunk.of(plan.chunk_size)
            self.simulation.resume(self._worker(ledger), begin_s)
        pulses = min(plan.workers, _PULSES)
        for number in range(pulses):
            ledger = self._ledgers[number % plan.databases]
            begin_s = drawn.random() * plan.poll_s
            self.simulation.resume(self._pulse(ledger, plan.workers / pulses), begin_s)

    def run_chunks(self, wanted: int) -> int:
        """Go on until so many more chunks are done; return how many."""
        until = self._chunks + wanted
        while self._chunks < until and self.simulation.step():
            pass
        return wanted

    @property
    def servers(self) -> dict[str, int]:
        """How much can be in use of what `busy_s` names."""
        return {name: sum(each.servers for each in parts) for name, parts in self._resources()} | {
            WORKERS: self._plan.workers
        }

    def busy_s(self) -> dict[str, float]:
        """Return for how long each resource was in use so far."""
        now_s = self.simulation.now_s
        busy = {name: sum(each.busy_s(now_s) for each in parts) for name, parts in self._resources()}
        return busy | {WORKERS: self._computed_s}

    def _resources(self) -> Iterator[tuple[str, list[Station | Lock | SharedCores]]]:
        if self._cores is not None:
            yield _ON_THE_MACHINE, [self._cores]
        if not self._is_sqlite:
            yield "database cores", [ledger.cores for ledger in self._ledgers]
        if self._cores is None:
            yield "broker", [ledger.broker for ledger in self._ledgers]
        yield "photo store", [self._store]
        writers = "one writer at a time" if self._is_sqlite else "the row of the job"
        yield writers, [lock for ledger in self._ledgers for lock in ledger.locks]

    def _worker(self, ledger: _Ledger) -> Process:
        """Work on one chunk after the other, as workers/identify.py does."""
        simulation, costs, size = self.simulation, self._costs, self._plan.chunk_size
        heard_s = simulation.now_s
        while True:
            lock = ledger.next_lock()
            yield from self._transact(ledger, lock, costs.claim, size)
            yield from self._recognise(size)
            yield from self._transact(ledger, lock, self._commit, size)
            self._chunks += 1
            if not self._plan.replica and not self._is_sqlite:
                ledger.cores.serve(simulation.now_s, costs.result_server_s * size * self._plan.results_read)
            if simulation.now_s - heard_s >= HOLD_S:
                yield from self._hear_bell(ledger)
                heard_s = simulation.now_s

    def _recognise(self, size: int) -> Process:
        """Read photos and compute side by side; the slower of the two decides."""
        begun_s, work_s = self.simulation.now_s, self._vary(self._compute.chunk.of(size), self._compute.variation)
        reading_s = self._read(size)
        self._computed_s += work_s
        yield self._own(work_s)
        left_s = begun_s + reading_s - self.simulation.now_s
        if left_s > 0.0:
            yield left_s

    def _read(self, size: int) -> float:
        """Ask the store for a chunk's photos; return how long its bytes take to come."""
        plan, measured = self._plan, self._costs.photo_bytes
        photo_bytes = plan.photo_bytes or measured
        own_s = (self._costs.read_s * photo_bytes / measured + plan.store_latency_s) / plan.read_threads
        given_s = max(photo_bytes / plan.store_bytes_per_s, 1.0 / plan.store_requests_per_s)
        return max(size * own_s, self._store.serve(self.simulation.now_s, size * given_s))

    def _transact(self, ledger: _Ledger, lock: Lock, cost: TransactionCost, size: float) -> Process:
        """Do a transaction: on SQLite all of it is under the lock."""
        yield from self._ask(ledger, cost.free, size)
        yield lock
        yield from self._ask(ledger, cost.held, size)
        yield cost.sync_s + self._plan.round_trip_s
        lock.release(self.simulation)

    def _ask(self, ledger: _Ledger, phase: Phase, size: float) -> Process:
        """Ask the ledger something: computing here, the way there and back, computing there."""
        client_s, server_s = phase.client.of(size), self._growth * phase.server.of(size)
        yield self._own(client_s * (self._growth if self._is_sqlite else 1.0))
        answered_s = ledger.cores.serve(self.simulation.now_s, server_s) if server_s else 0.0
        yield answered_s + phase.trips * self._plan.round_trip_s

    def _hear_bell(self, ledger: _Ledger) -> Process:
        """Put a bell back and take the next, which the node has in hand: the way to Redis costs no time."""
        costs = self._costs
        yield self._own(costs.bell_client_s)
        if self._cores is not None:
            yield self._cores.work(costs.bell_server_s)
        else:
            yield ledger.broker.serve(self.simulation.now_s, costs.bell_server_s)

    def _pulse(self, ledger: _Ledger, workers: float) -> Process:
        """Ask for the model and report, as workers/pulse.py does, for so many workers at once."""
        beats = max(1, round(REPORT_EVERY_S / self._plan.poll_s))
        report, poll = _times(self._costs.report, workers), _phase_times(self._costs.poll, workers)
        lock = ledger.locks[0] if self._is_sqlite else Lock()  # of the worker's own row
        while True:
            for _ in range(beats):
                yield from self._ask(ledger, poll, 0)
                yield self._plan.poll_s
            yield from self._transact(ledger, lock, report, 0)

    def _own(self, work_s: float) -> "float | Waitable":
        """Compute in the worker's process."""
        return work_s if self._cores is None else self._cores.work(work_s)

    def _vary(self, mean_s: float, variation: float) -> float:
        """Draw how long something takes: a gamma distribution with this mean and spread."""
        if variation <= 0.0:
            return mean_s
        shape = variation**-2
        return self._drawn.gammavariate(shape, mean_s / shape)


def _times(cost: TransactionCost, number: float) -> TransactionCost:
    """Return what so many of a transaction cost, one after the other."""
    free, held = _phase_times(cost.free, number), _phase_times(cost.held, number)
    return TransactionCost(free=free, held=held, sync_s=cost.sync_s * number)


def _phase_times(phase: Phase, number: float) -> Phase:
    client, server = (
        Linear(fixed_s=each.fixed_s * number, photo_s=each.photo_s * number) for each in (phase.client, phase.server)
    )
    return Phase(client=client, server=server, trips=phase.trips)
