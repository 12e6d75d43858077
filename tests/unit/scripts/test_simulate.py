"""Simulated fleets whose answer is known without simulating: sums, ceilings, and what must not matter."""

import dataclasses
import json
import random
from itertools import pairwise

import pytest

from core.errors import InputError
from scripts.simulate_costs import ComputeCost, Linear, Phase, TransactionCost, UnitCosts
from scripts.simulate_events import Lock, Process, SharedCores, Simulation, Station
from scripts.simulate_fleet import WORKERS, Plan, simulate

NOTHING = Linear()


def phase(client_s: float = 0.0, server_s: float = 0.0, trips: float = 0.0) -> Phase:
    return Phase(client=Linear(fixed_s=client_s), server=Linear(fixed_s=server_s), trips=trips)


def transaction(free: Phase | None = None, held: Phase | None = None, sync_s: float = 0.0) -> TransactionCost:
    return TransactionCost(free=free or phase(), held=held or phase(), sync_s=sync_s)


def make_costs(**changed: object) -> UnitCosts:
    """Costs of a fleet that computes 0.125 s a chunk of 128 photos, and pays for nothing else."""
    values: dict[str, object] = {
        "database": "postgresql",
        "compute": ComputeCost(processes=1, threads=1, chunk=Linear(fixed_s=0.061, photo_s=0.0005), variation=0.0),
        "detect": None,
        "claim": transaction(),
        "commit": transaction(),
        "commit_detect": transaction(),
        "report": transaction(),
        "poll": phase(),
        "result_server_s": 0.0,
        "bell_server_s": 0.0,
        "bell_client_s": 0.0,
        "photo_bytes": 1000.0,
        "read_s": 0.0,
        "rows": 10**9,
        "growth": 0.0,
        "machine": {},
    }
    return UnitCosts(**{**values, **changed})  # type: ignore[arg-type]


def test_one_worker_alone_takes_the_sum_of_what_it_does() -> None:
    costs = make_costs(
        claim=transaction(phase(0.001, 0.002, 3), phase(0.003, 0.004, 2), 0.005),
        commit=transaction(phase(0.006, 0.007, 1), phase(0.008, 0.009, 4), 0.010),
    )
    steady = simulate(costs, Plan(workers=1, round_trip_s=0.0005))
    cycle_s = 0.125 + 0.015 + 0.040 + (3 + 2 + 1 + 1 + 4 + 1) * 0.0005
    assert steady.photos_per_s == pytest.approx(128 / cycle_s, rel=1e-9)
    assert steady.uses[WORKERS] == pytest.approx(0.125 / cycle_s, rel=1e-9)
    assert steady.ceiling == WORKERS


def test_a_bell_is_put_back_after_the_chunk_that_ends_half_a_second() -> None:
    steady = simulate(make_costs(bell_server_s=0.010, bell_client_s=0.015), Plan(workers=1), length=10)
    assert steady.photos_per_s == pytest.approx(4 * 128 / (4 * 0.125 + 0.025), rel=1e-3)
    assert steady.uses["broker"] == pytest.approx(0.010 / (4 * 0.125 + 0.025), rel=1e-2)


@pytest.mark.parametrize("cores", [1, 4, 16])
def test_a_database_of_some_cores_gives_exactly_what_they_can(cores: int) -> None:
    costs = make_costs(commit=transaction(phase(server_s=0.050)))
    steady = simulate(costs, Plan(workers=400, database_cores=cores))
    assert steady.photos_per_s == pytest.approx(128 * cores / 0.050, rel=1e-3)
    assert steady.ceiling == "database cores"
    assert steady.uses["database cores"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("jobs", "databases"), [(1, 1), (4, 1), (1, 4), (3, 2)])
def test_the_row_of_a_job_lets_one_through_at_a_time(jobs: int, databases: int) -> None:
    held = transaction(held=phase(client_s=0.001, server_s=0.002), sync_s=0.002)
    costs = make_costs(claim=held, commit=held)
    steady = simulate(costs, Plan(workers=240, jobs=jobs, databases=databases, database_cores=1000), length=2)
    assert steady.photos_per_s == pytest.approx(128 * jobs * databases / 0.010, rel=0.01)
    assert steady.ceiling == "the row of the job"


def test_sqlite_has_one_writer_however_many_jobs_there_are() -> None:
    held = transaction(held=phase(client_s=0.005))
    steady = simulate(make_costs(database="sqlite", claim=held, commit=held), Plan(workers=200, jobs=8))
    assert steady.photos_per_s == pytest.approx(128 / 0.010, rel=1e-3)
    assert steady.ceiling == "one writer at a time"


def test_a_store_gives_what_its_link_carries() -> None:
    steady = simulate(make_costs(), Plan(workers=300, photo_bytes=10**6, store_bytes_per_s=10**9))
    assert steady.photos_per_s == pytest.approx(1000, rel=1e-3)
    assert steady.ceiling == "photo store"


def test_a_store_answers_so_many_requests() -> None:
    steady = simulate(make_costs(), Plan(workers=300, store_requests_per_s=5500))
    assert steady.photos_per_s == pytest.approx(5500, rel=1e-3)


def test_a_worker_waits_for_its_reading_threads_where_photos_are_far_away() -> None:
    steady = simulate(make_costs(), Plan(workers=10, store_latency_s=0.1, read_threads=4))
    assert steady.photos_per_s == pytest.approx(10 * 4 / 0.1, rel=1e-9)
    assert steady.ceiling == WORKERS  # more of them would read more


def test_processes_that_share_cores_do_what_the_cores_can() -> None:
    steady = simulate(make_costs(), Plan(workers=4, shared_cores=2))
    assert steady.photos_per_s == pytest.approx(2 * 128 / 0.125, rel=1e-2)
    assert steady.ceiling == "cores"


def test_half_of_the_time_in_a_single_queue_is_what_queueing_theory_says() -> None:
    """M/D/1: customers by chance, constant service; the wait is rho / (2 (1 - rho)) services."""
    drawn, station, waits = random.Random(1), Station(), []
    now_s, service_s, rho = 0.0, 1.0, 0.8
    for _ in range(400_000):
        now_s += drawn.expovariate(rho / service_s)
        waits.append(station.serve(now_s, service_s) - service_s)
    assert sum(waits) / len(waits) == pytest.approx(rho / (2 * (1 - rho)), rel=0.03)


def test_as_many_servers_as_customers_let_nobody_wait() -> None:
    station = Station(3)
    assert [station.serve(1.0, 2.0) for _ in range(4)] == [2.0, 2.0, 2.0, 4.0]
    assert station.busy_s(2.0) == 3.0
    assert station.busy_s(5.0) == 8.0


def test_a_lock_is_granted_in_turn_and_counts_how_long_it_is_held() -> None:
    simulation, lock, order = Simulation(), Lock(), []

    def hold(name: str, seconds: float) -> Process:
        yield lock
        order.append((name, simulation.now_s))
        yield seconds
        lock.release(simulation)

    for name, seconds in (("a", 2.0), ("b", 1.0), ("c", 1.0)):
        simulation.resume(hold(name, seconds))
    while simulation.step():
        pass
    assert order == [("a", 0.0), ("b", 2.0), ("c", 3.0)]
    assert lock.busy_s(simulation.now_s) == 4.0


def test_cores_are_shared_evenly_by_all_who_compute() -> None:
    simulation, cores, done = Simulation(), SharedCores(2), {}

    def compute(name: str, work_s: float) -> Process:
        yield cores.work(work_s)
        done[name] = simulation.now_s

    for name, work_s, begin_s in (("a", 2.0, 0.0), ("b", 2.0, 0.0), ("c", 4.0, 0.0), ("d", 1.0, 6.0)):
        simulation.resume(compute(name, work_s), begin_s)
    while simulation.step():
        pass
    # Three on two cores go at two thirds until 3 s; c is then alone with 2 s left.
    assert done == pytest.approx({"a": 3.0, "b": 3.0, "c": 5.0, "d": 7.0})
    assert cores.busy_s(simulation.now_s) == pytest.approx(9.0)


VARIED = make_costs(
    compute=ComputeCost(processes=1, threads=1, chunk=Linear(fixed_s=0.061, photo_s=0.0005), variation=0.2),
    claim=transaction(phase(0.0005, 0.001, 3), phase(0.0005, 0.001, 2), 0.0005),
    commit=transaction(phase(0.002, 0.004, 3), phase(0.0005, 0.001, 4), 0.0005),
    report=transaction(phase(0.0005, 0.0005, 2)),
    poll=phase(0.0005, 0.0005, 2),
    bell_server_s=0.0001,
    bell_client_s=0.001,
    result_server_s=0.00001,
)


def test_the_same_seed_gives_the_same_figures_and_another_nearly_the_same() -> None:
    first, again, other = (simulate(VARIED, Plan(workers=50), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.photos_per_s != other.photos_per_s
    assert first.photos_per_s == pytest.approx(other.photos_per_s, rel=0.02)


@pytest.mark.parametrize("workers", [1, 30, 300])
def test_the_rate_does_not_depend_on_how_long_is_simulated(workers: int) -> None:
    short, long = (simulate(VARIED, Plan(workers=workers), length=length) for length in (1, 5))
    assert long.chunks == 5 * short.chunks
    assert short.photos_per_s == pytest.approx(long.photos_per_s, rel=0.02)
    assert short.ceiling == long.ceiling


def test_more_workers_never_give_less_until_a_ceiling_is_reached_and_stay_there() -> None:
    rates = [simulate(VARIED, Plan(workers=workers)).photos_per_s for workers in (1, 2, 4, 8, 16, 32, 128, 512)]
    for fewer, more in pairwise(rates):
        assert more > fewer * 0.99
    assert rates[3] == pytest.approx(8 * rates[0], rel=0.03)  # far below the ceiling nobody waits


@pytest.mark.parametrize(
    "dearer", [{"round_trip_s": 0.002}, {"rows": 1e12}, {"results_read": 30.0}, {"chunk_size": 32}]
)
def test_what_costs_more_gives_no_more_photos(dearer: dict[str, float]) -> None:
    costs = dataclasses.replace(VARIED, growth=0.1)
    plan = Plan(workers=512, jobs=16)
    dear = dataclasses.replace(plan, **dearer)  # type: ignore[arg-type]
    assert simulate(costs, dear).photos_per_s < simulate(costs, plan).photos_per_s


def test_partitions_undo_what_rows_cost_and_replicas_what_reading_costs() -> None:
    costs = dataclasses.replace(VARIED, growth=0.1)
    many = Plan(workers=512, jobs=16, rows=1e12)
    parted = dataclasses.replace(many, partitions=1000)
    assert simulate(costs, parted) == simulate(costs, dataclasses.replace(many, rows=1e9))
    read = dataclasses.replace(many, rows=1e9, results_read=20.0)
    copied = dataclasses.replace(read, replica=True)
    assert simulate(costs, copied) == simulate(costs, dataclasses.replace(read, results_read=0.0))


def test_photographs_cost_more_to_recognise_and_to_store_than_faces() -> None:
    looked = ComputeCost(processes=1, threads=1, chunk=Linear(photo_s=0.004), variation=0.0)
    costs = make_costs(detect=looked, commit_detect=transaction(phase(client_s=0.088)))
    assert simulate(costs, Plan(workers=1, detect=True)).photos_per_s == pytest.approx(128 / 0.6)


def test_unit_costs_come_back_from_json_as_they_were() -> None:
    assert UnitCosts.from_json(json.loads(json.dumps(VARIED.to_json()))) == VARIED


@pytest.mark.parametrize("document", [None, 3, [], {}, {**make_costs().to_json(), "compute": 1}, {"compute": [1]}])
def test_other_json_is_no_unit_costs(document: object) -> None:
    with pytest.raises(InputError, match="no unit costs"):
        UnitCosts.from_json(document)
