"""What Prometheus scrapes. Everything is read from the ledger when it asks; nothing is counted in this process.

Labels name processes, states, codes and model versions: never a job, a photo or a person.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from sqlalchemy.orm import Session

from core.clock import Clock
from core.errors import ServiceError
from core.records import ChunkState
from core.settings import Settings
from db import health, nodes, swaps, totals
from db.engine import Database
from db.health import Health
from db.ids import model_version
from db.registry import ServingModel
from db.tables import SwapFailure, Worker
from workers.doorbell import Doorbell

K = TypeVar("K", bound=StrEnum)


def make_registry(database: Database, doorbell: Doorbell, settings: Settings, clock: Clock) -> CollectorRegistry:
    """Return a registry that holds the fleet's metrics alone, and none of this process's."""
    registry = CollectorRegistry()
    registry.register(FleetCollector(database, doorbell, settings, clock))
    return registry


class FleetCollector(Collector):
    """Reads the fleet's metrics anew for each scrape. While the database is away, that is all it says of the fleet."""

    def __init__(self, database: Database, doorbell: Doorbell, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._doorbell = doorbell
        self._settings = settings
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        start_s = time.perf_counter()
        redis_answers = self._redis_answers()
        try:
            healthy, found = self._read(redis_answers=redis_answers)
        except ServiceError:
            healthy, found = None, []  # no zeros: an alert must not take what is not known for what is gone
        yield _flag("healthy", "1 when GET /health answers that all is well.", bool(healthy))
        yield _flag("database_up", "1 when the database answers and has this version's tables.", healthy is not None)
        yield _flag("redis_up", "1 when Redis answers and takes bells.", redis_answers)
        yield from found
        yield _gauge("scrape_duration_seconds", "Time that reading these metrics took.", time.perf_counter() - start_s)

    def _read(self, *, redis_answers: bool) -> tuple[bool, list[Metric]]:
        """Return whether all is well, and what the ledger says."""
        with self._database.read() as session:
            # Before the clock, which asks on its own: that a database is away shall cost the time to find out once.
            found = [*_work(session)]
            now = self._clock()
            judged = health.read_health(session, now, self._settings.lease_s, redis_answers=redis_answers)
            found += [*_judgement(judged), *_workers(session, judged.serving, now)]
        return redis_answers and not judged.problems, found

    def _redis_answers(self) -> bool:
        try:
            self._doorbell.check()
        except ServiceError:
            return False
        return True


def _work(session: Session) -> Iterator[Metric]:
    """Jobs, photos, faces and training runs."""
    of_jobs = totals.job_totals(session)
    yield _by("jobs", "Jobs by state.", "state", of_jobs.jobs)
    yield _by("photos", "Photos of all jobs by outcome; a retry takes errors back.", "outcome", of_jobs.photos)
    yield _by(
        "waiting_photos",
        "Photos without an outcome, of jobs in this state.",
        "job_state",
        of_jobs.waiting_photos,
    )
    yield _by("faces", "Faces of all photos by outcome, as labels and rescores left them.", "outcome", of_jobs.faces)
    yield _by("training_runs", "Training runs by state.", "state", totals.run_totals(session))


def _judgement(found: Health) -> Iterator[Metric]:
    """Whether work goes forward, and the model that should serve."""
    yield _flag(
        "stalled", "1 when chunks wait or are in work and none was finished for two leases.", found.stall is not None
    )
    yield _by(
        "open_chunks",
        "Chunks of running jobs that are not done.",
        "state",
        {ChunkState.QUEUED: found.queued_chunks, ChunkState.CLAIMED: found.claimed_chunks},
    )
    serving = found.serving
    yield _gauge(
        "model_generation",
        "Number of the newest activation, 0 before the first: every activation and rollback adds one.",
        serving.generation if serving else 0,
    )
    info = InfoMetricFamily("facefleet_model", "The model that should serve; absent before the first activation.")
    if serving is not None:
        info.add_metric([], {"version": serving.version, "sha256": serving.sha256})
    yield info


def _workers(session: Session, serving: ServingModel | None, now: datetime) -> Iterator[Metric]:
    """Every process of the fleet that did not stop, and what could not be loaded there."""
    listed = nodes.list_nodes(session)
    silent = {node.name: nodes.is_silent(node, now) for node in listed}
    yield _worker_info(listed)
    yield _of_workers(
        "silent",
        "1 when the process has not reported for so long that it is gone, or cut off.",
        ((node, float(silent[node.name])) for node in listed),
    )
    yield _of_workers(
        "heartbeat_age_seconds",
        "Time since the process last reported.",
        ((node, _age_s(node.seen_at, now)) for node in listed),
    )
    yield _of_workers(
        "advance_age_seconds",
        "Time since the process last finished a piece of work; absent while it has finished none.",
        ((node, _age_s(node.advanced_at, now)) for node in listed if node.advanced_at is not None),
    )
    yield _of_workers(
        "generation",
        "Generation that the process serves; 0 while it serves none.",
        ((node, node.generation or 0) for node in listed if node.role == "identify"),
    )
    currency = ((node, nodes.is_current(node, serving.generation if serving else None)) for node in listed)
    yield _of_workers(
        "current",
        "1 when the process serves the newest generation; absent while there is none.",
        ((node, float(current)) for node, current in currency if current is not None),
    )
    yield from _swaps(swaps.failures_on_record(session), silent)


def _worker_info(listed: Sequence[Worker]) -> Metric:
    info = InfoMetricFamily("facefleet_worker", "What each process is, and the model it serves.", labels=["worker"])
    for node in listed:
        model = model_version(node.model_id) if node.model_id else ""
        info.add_metric([node.name], {"role": node.role, "host": node.host, "device": node.device, "model": model})
    return info


def _swaps(failures: Sequence[SwapFailure], silent: Mapping[str, bool]) -> Iterator[Metric]:
    labels = ["worker", "model", "code", "place"]
    failing = GaugeMetricFamily(
        "facefleet_swap_failing",
        "1 while the process cannot load the model, which should serve there or stand beside; 0 when that is over.",
        labels=labels,
    )
    attempts = CounterMetricFamily(
        "facefleet_swap_failures",
        "Attempts of the process to load the model that failed; counted anew when it fails anew.",
        labels=labels,
    )
    for each in failures:
        place = "beside" if each.generation is None else "active"
        values = [each.worker, model_version(each.model_id), each.code, place]
        # A silent process says nothing any more: that is an alarm of its own, and this one would outlast its cause.
        failing.add_metric(values, float(each.ended_at is None and not silent[each.worker]))
        attempts.add_metric(values, each.attempts)
    yield failing
    yield attempts


def _of_workers(name: str, help_text: str, values: Iterable[tuple[Worker, float]]) -> Metric:
    metric = GaugeMetricFamily(f"facefleet_worker_{name}", help_text, labels=["worker", "role"])
    for node, value in values:
        metric.add_metric([node.name, node.role], value)
    return metric


def _by(name: str, help_text: str, label: str, values: Mapping[K, int]) -> Metric:
    """One value for each member of a closed set."""
    metric = GaugeMetricFamily(f"facefleet_{name}", help_text, labels=[label])
    for key, value in values.items():
        metric.add_metric([str(key)], value)
    return metric


def _flag(name: str, help_text: str, value: bool) -> Metric:
    return _gauge(name, help_text, float(value))


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"facefleet_{name}", help_text, value=value)


def _age_s(moment: datetime, now: datetime) -> float:
    """Seconds since then; a report of this very moment may be ahead of a clock that was read before it."""
    return max(0.0, (now - moment).total_seconds())
