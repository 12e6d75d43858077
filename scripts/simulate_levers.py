"""What is simulated of a fleet: more and more workers, each lever alone, and one lever after the other."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from scripts.simulate_costs import UnitCosts
from scripts.simulate_fleet import Plan, Steady, simulate

PHOTOS = 1e9
"""How many a fleet is to identify."""
OBJECT_STORE_LATENCY_S = 0.1
OBJECT_STORE_REQUESTS_PER_S = 5500.0
"""The least that Amazon S3 states for one prefix, and the less of the 100 to 200 ms that it states for small objects:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"""
_READ_THREADS = 32
_CHUNK_SIZES = (32, 64, 256, 1024)
_JOBS, _DATABASES, _PARTITIONS, _CORES = 16, 4, 100, 64


@dataclass(frozen=True, kw_only=True)
class Lever:
    """Something about a fleet that somebody could change."""

    name: str
    change: Callable[[Plan], Plan]


def sweep(costs: UnitCosts, plan: Plan, workers: tuple[int, ...], seed: int) -> Iterator[dict[str, Any]]:
    """Simulate fleets of more and more workers; yield each as JSON."""
    for number in workers:
        yield {"workers": number, **_as_json(simulate(costs, replace(plan, workers=number), seed=seed))}


def pull_levers(costs: UnitCosts, plan: Plan, seed: int) -> Iterator[dict[str, Any]]:
    """Simulate a fleet with each lever pulled alone; yield each as JSON."""
    for lever in levers(costs.database == "sqlite", plan):
        yield {"lever": lever.name, **_as_json(simulate(costs, lever.change(plan), seed=seed))}


def climb(costs: UnitCosts, plan: Plan, seed: int) -> Iterator[dict[str, Any]]:
    """Simulate a fleet with one lever after the other pulled, each beside those before; yield each as JSON."""
    for lever in ladder(costs.database == "sqlite", plan):
        plan = lever.change(plan)
        yield {"lever": lever.name, **_as_json(simulate(costs, plan, seed=seed))}


def count_steps(costs: UnitCosts, plan: Plan, workers: tuple[int, ...]) -> int:
    """Return how many fleets the three simulate together."""
    is_sqlite = costs.database == "sqlite"
    return len(workers) + len(levers(is_sqlite, plan)) + len(ladder(is_sqlite, plan))


def levers(is_sqlite: bool, plan: Plan) -> tuple[Lever, ...]:
    """Return what is tried alone. SQLite has no cores of its own, no parts, no copies, and no use of several jobs."""
    chunks = [_chunks(size) for size in _CHUNK_SIZES if size != plan.chunk_size]
    stores = [
        _object_store(plan.read_threads),
        _object_store(_READ_THREADS),
        _object_store(_READ_THREADS, prefixes=1),
    ]
    if is_sqlite:
        return (*chunks, _databases(plan), *stores)
    parts = Lever(name=f"tables in {_PARTITIONS} partitions", change=lambda plan: replace(plan, partitions=_PARTITIONS))
    return (*chunks, _jobs(plan), _databases(plan), _cores(plan), parts, _replica(), *stores)


def ladder(is_sqlite: bool, plan: Plan) -> tuple[Lever, ...]:
    """Return what is changed one after the other, beginning with what asks for no machine."""
    first = (_chunks(1024),)
    store = _object_store(_READ_THREADS)
    if is_sqlite:
        return (*first, _databases(plan), store)
    return (_jobs(plan), *first, _replica(), _cores(plan), _databases(plan), store)


def _chunks(size: int) -> Lever:
    return Lever(name=f"chunks of {size} photos", change=lambda plan: replace(plan, chunk_size=size))


def _jobs(plan: Plan) -> Lever:
    jobs = plan.jobs * _JOBS
    return Lever(name=f"{jobs} jobs at once", change=lambda plan: replace(plan, jobs=jobs))


def _databases(plan: Plan) -> Lever:
    databases = plan.databases * _DATABASES
    return Lever(name=f"{databases} databases, by job", change=lambda plan: replace(plan, databases=databases))


def _cores(plan: Plan) -> Lever:
    cores = max(_CORES, 4 * plan.database_cores)
    return Lever(name=f"{cores} cores for the database", change=lambda plan: replace(plan, database_cores=cores))


def _replica() -> Lever:
    return Lever(name="results read from a replica", change=lambda plan: replace(plan, replica=True))


def _object_store(threads: int, prefixes: float = math.inf) -> Lever:
    """Return an object store whose keys begin in so many ways; there may be any number of them."""

    def change(plan: Plan) -> Plan:
        return replace(
            plan,
            store_bytes_per_s=math.inf,
            store_requests_per_s=prefixes * OBJECT_STORE_REQUESTS_PER_S,
            store_latency_s=OBJECT_STORE_LATENCY_S,
            read_threads=threads,
        )

    where = "many prefixes" if math.isinf(prefixes) else f"{prefixes:g} prefix"
    return Lever(name=f"object store, {where}, {threads} reading threads", change=change)


def _as_json(steady: Steady) -> dict[str, Any]:
    return {
        "photos_per_s": steady.photos_per_s,
        "ceiling": steady.ceiling,
        "uses": steady.uses,
        "duration_s": steady.duration_s(PHOTOS),
    }
