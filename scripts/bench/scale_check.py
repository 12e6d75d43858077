"""Runs real fleets of some processes beside bare ones, and says how fast each was once it was under way."""

import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from core.clock import utc_now
from core.errors import InputError, WeightsMissingError
from core.images.sample import write_sample
from core.images.sources import walk_sources
from core.records import SkipLog
from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER
from db.registry import ServingModel
from db.tables import Chunk
from scripts.bench.bare import BareProcesses
from scripts.bench.database import empty_database
from scripts.bench.fleet import BenchFleet
from scripts.bench.ledger import LedgerCosts
from scripts.bench.quiet import quietest, wait_until_quiet, watching_others
from scripts.bench.rounds import spread
from scripts.bench.seen import write_nobody
from scripts.bench.units import ComputeMeter, measure_bell, measure_reading
from scripts.simulate_costs import ComputeCost, UnitCosts
from scripts.simulate_fleet import Plan, simulate
from workers.spec import Role, make_spec

_LEAST_CHUNKS = 8
_DETECT_ROUNDS = 2  # of chunks that take ten times as long


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A fleet that ran."""

    processes: int
    photos_per_s: tuple[float, ...]
    """Of each round that counts, without its first and last chunks."""
    others: tuple[float, ...]
    """Share of all cores that others used meanwhile."""
    compute: ComputeCost
    """What recognising cost as many bare processes in turn with it, or one a core where there were more."""
    bell_s: tuple[float, float]
    """What a bell costs Redis, and its taker."""
    reading: tuple[float, float]
    """A photo's bytes on average, and the seconds that reading one takes."""


def run_fleet(
    settings: Settings, *, photos: str | None, count: int, processes: int, rounds: int, url: str | None
) -> Measured:
    """Measure one fleet, and bare processes in turn with it.

    Args:
        settings: of a home that is removed afterwards.
        photos: a folder; None: drawn faces.
        count: photos a round.
        processes: that identify.
        rounds: how often each side is measured. Of these the half counts in which others used the machine least.
        url: of an empty database; None: an SQLite file.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="facefleet-bench-")))
        database_url = stack.enter_context(empty_database(url)).url if url else ""
        own = replace(settings, home=home, database_url=database_url, redis_url="", artifacts="")
        fleet = stack.enter_context(BenchFleet(own, source=photos, count=count, workers=processes))
        fleet.run()  # every worker has loaded the model when this is done
        meter = stack.enter_context(_bare(fleet.settings, fleet.uris, fleet.model, processes))
        taken = []
        for _ in range(rounds):
            wait_until_quiet()
            seconds = meter.measure()
            with watching_others() as others:
                rate = _steady_rate(fleet, processes)
            taken.append((others.share, (seconds, rate)))
        quiet = quietest(taken)
        return Measured(
            processes=processes,
            photos_per_s=tuple(rate for _, (_, rate) in quiet),
            others=tuple(share for share, _ in quiet),
            compute=meter.cost([seconds for _, (seconds, _) in quiet]),
            bell_s=measure_bell(fleet.settings.redis_url),
            reading=measure_reading(fleet.settings, fleet.uris),
        )


def check_count(count: int, processes: Sequence[int], chunk_size: int) -> None:
    """Refuse too few photos before anything is measured.

    Raises:
        InputError: the first and last chunks would be all there are.
    """
    least = max((_chunks_needed(number) for number in processes), default=0) * chunk_size
    if count < least:
        raise InputError(
            f"{count} photos a round are too few for {max(processes)} processes. Nothing was measured. "
            f"Give at least {least} with --count, or fewer --processes."
        )


def one_a_core(fleets: Sequence[Measured]) -> Measured:
    """Return the fleet whose bare processes took one core each, or came nearest to it."""
    return min(fleets, key=lambda fleet: (fleet.compute.threads, -fleet.compute.processes, fleet.processes))


def gather_costs(
    database: str, ledger: LedgerCosts, fleet: Measured, detecting: ComputeCost | None, machine: dict[str, Any]
) -> UnitCosts:
    """Put together what was measured.

    Args:
        database: its kind.
        ledger: what it costs.
        fleet: one with a process a core.
        detecting: what finding faces costs.
        machine: on which.
    """
    return UnitCosts(
        database=database,
        compute=fleet.compute,
        detect=detecting,
        bell_server_s=fleet.bell_s[0],
        bell_client_s=fleet.bell_s[1],
        photo_bytes=fleet.reading[0],
        read_s=fleet.reading[1],
        machine=machine,
        **vars(ledger),
    )


def measure_detecting(settings: Settings, photos: str | None, rounds: int) -> ComputeCost | None:
    """Measure what finding faces and embedding them costs one process a core; None where the weights are not here."""
    from core.models.store import ModelStore

    with tempfile.TemporaryDirectory(prefix="facefleet-bench-") as folder:
        home = Path(folder)
        own = replace(settings, home=home, weights=settings.weights or str(settings.home / "weights"), artifacts="")
        try:
            write_nobody(own, DEFAULT_EMBEDDER, home / "nobody.pt")
        except WeightsMissingError:
            return None
        model = ServingModel(
            generation=0,
            model_id=0,
            sha256=ModelStore.from_settings(own).put(home / "nobody.pt"),
            activated_at=utc_now(),
        )
        sample = home / "sample"
        if photos is None:
            write_sample(sample)
        uris = list(walk_sources([photos or str(sample)], SkipLog()))
        with _bare(own, uris, model, _cores()) as meter:
            return meter.cost([meter.measure() for _ in range(min(rounds, _DETECT_ROUNDS))])


@contextmanager
def _bare(settings: Settings, uris: Sequence[str], model: ServingModel, processes: int) -> Iterator[ComputeMeter]:
    """Start as many bare processes as a fleet would have, one a core at most."""
    count = min(processes, _cores())
    threads = make_spec(Role.IDENTIFY, settings, device="cpu", slots=count).threads
    with BareProcesses(settings, model, count) as bare:
        yield ComputeMeter(bare, uris, count, threads)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _chunks_needed(processes: int) -> int:
    """Return how many chunks there must be, as the first two and the last one of each process do not count."""
    return 3 * processes + _LEAST_CHUNKS


def _steady_rate(fleet: BenchFleet, processes: int) -> float:
    """Identify all photos; return how many were done a second between the first chunks and the last."""
    _, job = fleet.run_job()
    with fleet.database.read() as session:
        found = select(Chunk.done_at, Chunk.item_count).where(Chunk.job_id == job.id).order_by(Chunk.done_at)
        done = [(at, count) for at, count in session.execute(found) if at is not None]
    middle = done[2 * processes : -processes]
    seconds = (middle[-1][0] - middle[0][0]).total_seconds()
    return sum(count for _, count in middle[1:]) / seconds


def compare(costs: UnitCosts, measured: Sequence[Measured], seed: int) -> list[dict[str, Any]]:
    """Simulate each fleet that ran, on this machine; return both rates and how far apart they are."""
    return [_compare(costs, each, seed) for each in measured]


def _compare(costs: UnitCosts, measured: Measured, seed: int) -> dict[str, Any]:
    settings, cores = Settings(), _cores()
    plan = Plan(
        workers=measured.processes,
        chunk_size=settings.chunk_size,
        database_cores=cores,
        rows=costs.rows,
        results_read=0.0,
        read_threads=settings.read_threads,
        poll_s=settings.model_poll_s,
        shared_cores=cores if measured.processes > cores else None,
        compute=measured.compute,
    )
    simulated = simulate(costs, plan, seed=seed, length=4.0)
    of_time_left = spread(
        [rate / (1.0 - share) for rate, share in zip(measured.photos_per_s, measured.others, strict=True)]
    )
    return {
        "processes": measured.processes,
        "measured": spread(measured.photos_per_s),
        "others": statistics.median(measured.others),
        "of_time_left": of_time_left,
        "simulated": simulated.photos_per_s,
        "error": simulated.photos_per_s / of_time_left["median"] - 1.0,
        "ceiling": simulated.ceiling,
        "uses": simulated.uses,
    }
