"""Finds the fastest right way to run a network on a device: each is loaded, compared with the golden batch, and timed.

Which is fastest depends on the network and the chip, so it is measured, not guessed: oneDNN's fusion with channels_last
gave 1.4x (compact), 1.7x (seed) and 4.1x (face-reidentification-retail-0095) over eager on one core, yet 0.9x without
channels_last (compact).
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from core.clock import utc_now
from core.errors import ModelParityError
from core.memory import is_out_of_memory
from core.models.artifact import Artifact
from core.models.devices import describe_device
from core.models.known import Known
from core.models.manifest import Manifest
from core.models.runner import Runner, warm_runner
from core.models.tuning import Candidate, Fate, Tuning, TuningKey
from core.models.variants import Variant
from core.records import EngineKind

_log = logging.getLogger(__name__)

_RUNS = 4  # the best of them counts: what is chosen outlives the process, and other work on the machine disturbs
_LONGEST_REASON = 300
_TICK_S = 1e-6  # the coarsest clock takes what is faster for nothing


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A network and the way in which it is run."""

    runner: Runner
    """Warm for every batch size."""
    tuning: Tuning
    """How the way was found."""
    was_known: bool
    """Whether it was found with another network of this kind."""


def tuned_runner(
    artifact: Artifact,
    device: torch.device,
    variants: Sequence[Variant],
    buckets: Sequence[int],
    budget_s: float,
    known: Known,
) -> Tuned:
    """Run a network as others of its kind run best, or find out how, where that is not known or not right for this one.

    What is known is replaced by what was found, and stays when nothing was: then it is the model that is wrong.

    Args and Raises: as of `tune`; what `known` knows is used and added to.
    """
    key = tuning_key(artifact.manifest, device, buckets, variants)
    found = known.tuning(key, budget_s)
    if found is not None and (runner := _warm_as_known(artifact, found, device, variants, buckets)) is not None:
        return Tuned(runner=runner, tuning=found, was_known=True)
    runner, tuning = tune(artifact, device, variants, buckets, budget_s)
    known.learn(key, tuning)
    return Tuned(runner=runner, tuning=tuning, was_known=False)


def tuning_key(
    manifest: Manifest, device: torch.device, buckets: Sequence[int], variants: Sequence[Variant]
) -> TuningKey:
    """Return what a tuning depends on.

    Of the model, its architecture and sizes alone: neither its weights nor whom it knows change how fast it runs, and a
    retrained model must not be measured anew (docs/decisions/0024-tunings.md).
    """
    uses_openvino = any(variant.openvino for variant in variants)
    place = describe_device(device, EngineKind.OPENVINO if uses_openvino else EngineKind.TORCH)
    return TuningKey(
        backbone=manifest.backbone,
        input_size_px=manifest.input_size_px,
        embedding_dim=manifest.embedding_dim,
        buckets=tuple(buckets),
        device=place.name,
        capabilities=place.capabilities,
        threads=place.threads,
        libraries=place.libraries,
        variants=tuple(variant.name for variant in variants),
    )


def tune(
    artifact: Artifact, device: torch.device, variants: Sequence[Variant], buckets: Sequence[int], budget_s: float
) -> tuple[Runner, Tuning]:
    """Load, warm, check and time the variants; keep the fastest that answers right.

    Args:
        artifact: what to run.
        device: where.
        variants: tried in this order, at least one.
        buckets: batch sizes that will be used, ascending; all are timed, and the last decides.
        budget_s: no further variant is begun after this many seconds of computing, once one is right.

    Returns:
        The runner, warm for every bucket, and how it was found.

    Raises:
        ModelParityError: none answers as the golden batch says.
        RuntimeError: the last of them does not even run, or there is no room for any (`core.memory.is_out_of_memory`).
    """
    best: tuple[float, Runner] | None = None
    candidates: list[Candidate] = []
    refusals: list[Exception] = []
    clock = _clock_of(device)
    deadline = clock() + budget_s
    for variant in variants:
        if best is not None and clock() > deadline:
            candidates.append(Candidate(variant=variant.name, fate=Fate.BUDGET))
            continue
        try:
            runner, seconds = _timed_runner(artifact, variant, device, buckets)
        except (ModelParityError, RuntimeError) as refusal:  # a kernel that is missing stops one way, not the model
            if is_out_of_memory(refusal) and best is None:
                raise
            candidates.append(_refused(variant, refusal))
            # Its frames hold what was loaded; kept with it, they would outlive the model.
            refusals.append(refusal.with_traceback(None))
            continue
        candidates.append(Candidate(variant=variant.name, fate=Fate.MEASURED, seconds=seconds))
        if best is None or seconds[-1][1] < best[0]:
            best = seconds[-1][1], runner
        del runner  # a slower one must not be held while the next is loaded
    if best is None:
        raise refusals[-1]
    chosen = best[1]
    return chosen, Tuning(
        variant=chosen.variant.name, candidates=tuple(candidates), budget_s=budget_s, measured_at=utc_now()
    )


def _warm_as_known(
    artifact: Artifact, tuning: Tuning, device: torch.device, variants: Sequence[Variant], buckets: Sequence[int]
) -> Runner | None:
    """Run a network as others of its kind run best; None when that is not right for this one."""
    variant = next((each for each in variants if each.name == tuning.variant), None)
    if variant is None:
        return None
    try:
        return warm_runner(artifact, variant, device, buckets)
    except (ModelParityError, RuntimeError) as refusal:
        if is_out_of_memory(refusal):
            raise
        _log.warning("variant %s, the best of earlier models of this kind, refused: %s", variant.name, refusal)
    return None


def _refused(variant: Variant, refusal: Exception) -> Candidate:
    """Return a candidate that was not right, or did not run."""
    if is_out_of_memory(refusal):
        fate = Fate.OUT_OF_MEMORY
    else:
        fate = Fate.PARITY if isinstance(refusal, ModelParityError) else Fate.FAILED
    reason = (str(refusal).strip().splitlines() or [type(refusal).__name__])[-1]  # of TorchScript's, the fact itself
    _log.warning("variant %s refused (%s): %s", variant.name, fate, reason)
    return Candidate(variant=variant.name, fate=fate, reason=reason[:_LONGEST_REASON])


def _clock_of(device: torch.device) -> Callable[[], float]:
    """Return the clock for measuring on a device.

    On a CPU it counts what this thread computes, which neither other processes nor a model that serves meanwhile
    stretch as they do the clock on the wall. Where a network runs on several cores, that is its share of the work.
    """
    return time.thread_time if device.type == "cpu" else time.perf_counter


def _timed_runner(
    artifact: Artifact, variant: Variant, device: torch.device, buckets: Sequence[int]
) -> tuple[Runner, tuple[tuple[int, float], ...]]:
    """Return a warm runner and the seconds that a batch of each size takes, ascending: the best of some runs."""
    clock = _clock_of(device)
    runner = Runner(artifact, variant, device)
    size = artifact.manifest.input_size_px
    seconds: list[tuple[int, float]] = []
    for bucket in reversed(buckets):  # the largest first: where it finds no room, nothing was done in vain
        runner.warm(artifact.golden, bucket)
        crops = torch.zeros((bucket, 3, size, size), dtype=torch.uint8)
        times: list[float] = []
        for _ in range(_RUNS):
            begun = clock()
            runner.answer(crops)
            times.append(clock() - begun)
        seconds.insert(0, (bucket, max(_TICK_S, min(times))))
    _log.debug("variant %s: %s", variant.name, ", ".join(f"{count} in {1e3 * took:.1f} ms" for count, took in seconds))
    return runner, tuple(seconds)
