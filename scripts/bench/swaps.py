"""Activates models while a fleet works, and notes what that costs: time, photos, memory. Prints nothing."""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import ColumnElement, and_, distinct, func, select

from core.clock import utc_now
from core.machine import describe_machine
from core.records import FaceOutcome, JobState
from db import registry
from db.ids import model_version
from db.tables import Chunk, Face, Item
from scripts.bench.fleet import LOOK_S, BenchFleet
from scripts.bench.holding import Holding, list_workers, read_idle_holdings
from scripts.bench.rounds import rates, spread
from workers.hurry import hurry_workers

LATEST_S = 3.0
"""Within which every worker should serve a model that was activated."""
_MODELS = 6  # loaded in turn: none is at hand when its turn comes again
_SETTLED_AFTER = 0.1  # of the swaps: what a process takes until then is no growth
_PATIENCE_S = 60.0


@dataclass(kw_only=True)
class Activations:
    """When models were activated, and when workers served them."""

    at: dict[int, datetime] = field(default_factory=dict)
    """By generation."""
    served: dict[str, dict[int, datetime]] = field(default_factory=dict)
    """By worker, since when it served a generation."""

    def lags_s(self) -> list[float]:
        """Return, for each activation and worker, after how many seconds that or a newer one served there."""
        lags_s = []
        for generation, at in self.at.items():
            for of_worker in self.served.values():
                since = [moment for served, moment in of_worker.items() if served >= generation]
                lags_s.append((min(since) - at).total_seconds() if since else _PATIENCE_S)
        return lags_s


class SwapBench:
    """A fleet that is up, and models that are all another one's bytes.

    Half of them name everybody and half nobody, so that an answer tells which of the two kinds decided.

    Args:
        fleet: in which a model serves.
        every_s: seconds from one activation to the next.
    """

    def __init__(self, fleet: BenchFleet, every_s: float) -> None:
        self._fleet = fleet
        self._every_s = every_s
        self._models = list(_make_models(fleet))
        self._naming = {model for number, model in enumerate(self._models) if number % 2}
        self._turn = 0

    def run_undisturbed(self) -> tuple[float, float]:
        """Identify all photos; return the seconds it took, and those that the workers computed."""
        computed_before_s = self._computed_s()
        seconds = self._fleet.run()
        return seconds, self._computed_s() - computed_before_s

    def run_round(self) -> dict[str, Any]:
        """Identify all photos while models are activated; return the seconds it took and what went wrong."""
        activations, computed_before_s = Activations(), self._computed_s()
        begun_at, due_s = utc_now(), time.monotonic()
        job = self._fleet.look(self._fleet.submit())
        while job.state != JobState.DONE:
            if time.monotonic() >= due_s:
                self._activate_next(activations)
                due_s += self._every_s
            time.sleep(LOOK_S)
            self._note(activations)
            job = self._fleet.look(job.public_id)
        computed_s = self._computed_s() - computed_before_s
        self._wait_served(activations)
        if job.finished_at is None:
            raise RuntimeError(f"job {job.public_id} is done without a time")
        lags_s = activations.lags_s()
        return {
            "seconds": (job.finished_at - begun_at).total_seconds(),
            "computed_s": computed_s,
            "activations": len(activations.at),
            "switches": sum(len(served) for served in activations.served.values()),
            "errors": job.items_error,
            "chunks_with_two_models": self._count_mixed_chunks(job.id),
            "faces_of_another_model": self._count_misnamed(job.id),
            "lag_s": spread(lags_s),
            "late": sum(lag_s > LATEST_S for lag_s in lags_s),
        }

    def run_memory(self, swaps: int, on_swap: Callable[[int], None]) -> dict[str, Any]:
        """Swap many times while a job runs, each time on every worker; return what the processes took meanwhile."""
        activations, samples = Activations(), [self._measure()]
        settled = max(1, round(_SETTLED_AFTER * swaps))
        job = self._fleet.look(self._fleet.submit())
        for number in range(1, swaps + 1):
            self._activate_next(activations)
            self._wait_served(activations)
            if self._fleet.look(job.public_id).state == JobState.DONE:
                job = self._fleet.look(self._fleet.submit())
            if number == settled:
                self._wait_done(job.public_id)
                samples.append(self._measure())
            on_swap(number)
        self._wait_done(job.public_id)
        return _growth([*samples, self._measure()], swaps)

    def _wait_done(self, job_public_id: str) -> None:
        while self._fleet.look(job_public_id).state != JobState.DONE:
            time.sleep(LOOK_S)

    def _activate_next(self, activations: Activations) -> None:
        """Make the next model serve, as a person does."""
        version = self._models[self._turn % len(self._models)]
        self._turn += 1
        with self._fleet.database.write() as session:
            model, at = registry.get_model(session, version), utc_now()
            generation = registry.activate_model(session, model, who="bench", why="bench", now=at)
        activations.at[generation] = at
        hurry_workers(self._fleet.settings)

    def _note(self, activations: Activations) -> bool:
        """Note which generation each worker serves; return whether all serve the newest."""
        workers = list_workers(self._fleet.database)
        for row in workers:
            if row.generation is not None and row.serves_since is not None:
                activations.served.setdefault(row.name, {}).setdefault(row.generation, row.serves_since)
        return all(row.generation == max(activations.at) for row in workers)

    def _wait_served(self, activations: Activations) -> None:
        until_s = time.monotonic() + _PATIENCE_S
        while not self._note(activations) and time.monotonic() < until_s:
            time.sleep(LOOK_S)

    def _computed_s(self) -> float:
        """Return how many seconds the workers have computed so far, in all threads."""
        times = [psutil.Process(row.pid).cpu_times() for row in list_workers(self._fleet.database)]
        return float(sum(each.user + each.system for each in times))

    def _measure(self) -> dict[int, Holding]:
        """Return, by process id of a worker, what it holds; none has anything to do."""
        return read_idle_holdings(self._fleet.database, self._fleet.settings)

    def _count_mixed_chunks(self, job_id: int) -> int:
        """Return how many chunks hold photos that were decided by different models, or by none."""
        last = Chunk.first_ordinal + Chunk.item_count
        of_chunk = and_(Item.job_id == Chunk.job_id, Item.ordinal >= Chunk.first_ordinal, Item.ordinal < last)
        models = func.count(distinct(func.coalesce(Item.model_id, 0)))
        mixed = select(Chunk.id).join(Item, of_chunk).where(Chunk.job_id == job_id).group_by(Chunk.id)
        with self._fleet.database.read() as session:
            return len(session.scalars(mixed.having(models != 1)).all())

    def _count_misnamed(self, job_id: int) -> int:
        """Return how many faces have another answer than the model would give that their row names."""
        with self._fleet.database.read() as session:
            naming = [registry.get_model(session, version).id for version in self._naming]
            refusing = [registry.get_model(session, v).id for v in self._models if v not in self._naming]
            wrong: list[ColumnElement[bool]] = [
                and_(Face.model_id.in_(naming), Face.outcome != FaceOutcome.IDENTIFIED),
                and_(Face.model_id.in_(refusing), Face.outcome != FaceOutcome.UNKNOWN),
            ]
            return sum(
                session.scalar(select(func.count()).select_from(Face).where(Face.job_id == job_id, each)) or 0
                for each in wrong
            )


def run_swaps(
    fleet: BenchFleet, *, rounds: int, every_s: float, swaps: int, on_step: Callable[[int], None]
) -> dict[str, Any]:
    """Time the fleet with and without swaps in every round, the order changing; then swap often. Return all figures."""
    bench = SwapBench(fleet, every_s)
    fleet.run()  # every worker is warm when this is done
    alone: list[tuple[float, float]] = []
    swapping: list[dict[str, Any]] = []
    for number in range(rounds):
        for disturbed in (True, False) if number % 2 else (False, True):
            if disturbed:
                swapping.append(bench.run_round())
            else:
                alone.append(bench.run_undisturbed())
        on_step(number + 1)
    pairs = list(zip(alone, swapping, strict=True))
    memory = bench.run_memory(swaps, lambda done: on_step(rounds + done)) if swaps else None
    lags = [each["lag_s"] for each in swapping]
    return {
        "count": fleet.count,
        "rounds": rounds,
        "workers": fleet.workers,
        "source": fleet.source or "drawn faces",
        "every_s": every_s,
        "undisturbed": rates([seconds for seconds, _ in alone], fleet.count),
        "swapping": rates([each["seconds"] for each in swapping], fleet.count),
        "swapping_over_undisturbed": spread([seconds / each["seconds"] for (seconds, _), each in pairs]),
        "by_computing": spread([computed_s / each["computed_s"] for (_, computed_s), each in pairs]),
        **{
            key: sum(each[key] for each in swapping)
            for key in ("activations", "switches", "errors", "chunks_with_two_models", "faces_of_another_model", "late")
        },
        "lag_s": {
            "median": statistics.median(lag["median"] for lag in lags),
            "max": max(lag["max"] for lag in lags),
        },
        "memory": memory,
        "machine": {**describe_machine(), "backbone": "compact"},
    }


def _make_models(fleet: BenchFleet) -> Iterator[str]:
    """Register copies of the model that serves, each with a rule and bytes of its own; yield their versions."""
    import torch

    from core.models.artifact import pack_artifact, unpack_artifact
    from core.models.store import ModelStore

    store = ModelStore.from_settings(fleet.settings)
    artifact = unpack_artifact(store.path(fleet.model.sha256).read_bytes())
    for number in range(_MODELS):
        rule = replace(artifact.manifest.rule, threshold=-1.0 if number % 2 else 2.0, margin=0.0)
        manifest = replace(artifact.manifest, seed=1000 + number, rule=rule)
        module = artifact.load_module(torch.device("cpu"))
        copies = ((each, artifact.load_frozen(each)) for each in (torch.float32, torch.bfloat16))
        frozen = {precision: copy for precision, copy in copies if copy is not None}
        data = pack_artifact(module, manifest, artifact.gallery, artifact.golden, artifact.detector, frozen)
        with _staged(fleet.settings.home, data) as staged:
            sha256 = store.put(staged)
        with fleet.database.write() as session:
            model = registry.register_model(
                session,
                sha256=sha256,
                manifest=json.loads(manifest.to_json()),
                run_id=None,
                parent_id=fleet.model.model_id,
                now=utc_now(),
            )
        yield model_version(model.id)


@contextmanager
def _staged(folder: Path, data: bytes) -> Iterator[Path]:
    staged = folder / "staged.pt"
    staged.write_bytes(data)
    try:
        yield staged
    finally:
        staged.unlink()


def _growth(samples: list[dict[int, Holding]], swaps: int) -> dict[str, Any]:
    """Compare what the processes took at the beginning, once settled, and at the end."""
    first, settled, last = samples
    same = [pid for pid in last if pid in settled and pid in first]
    growth = (last[pid].resident_bytes / settled[pid].resident_bytes - 1 for pid in same)
    return {
        "swaps": swaps,
        "processes": len(same),
        "restarted": len(last) - len(same),
        "resident_bytes": [[sample[pid].resident_bytes for sample in samples] for pid in same],
        "resident_growth": max(growth, default=None),
        "open_files": [[sample[pid].open_files for sample in samples] for pid in same],
        "open_files_growth": max((last[pid].open_files - settled[pid].open_files for pid in same), default=None),
    }
