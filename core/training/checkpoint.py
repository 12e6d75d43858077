"""Checkpoints of a training run: one safetensors file with a JSON header, replaced atomically after each epoch.

Holds the networks, their optimisers, all random states and the epochs so far: a resumed run goes on bit for bit. No
pickle is written or read.
"""

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.records import EpochProgress
from core.training.loop import Learner

_LOG = logging.getLogger(__name__)
_FILE = "checkpoint.safetensors"
_FORMAT_VERSION = 1
_HEADER = "facefleet"


def fingerprint(learners: Mapping[str, Learner]) -> str:
    """Return a sha256 over what a run computes from: photos, recipe, epochs, seeds, torch and device."""
    digest = hashlib.sha256(f"{_FORMAT_VERSION} {torch.__version__}".encode())
    for name, learner in learners.items():
        digest.update(f"{name} {learner.recipe} {learner.epochs} {learner.device}".encode())
        digest.update(learner.real.crops.numpy().tobytes())
        digest.update(learner.real.labels.numpy().tobytes())
        digest.update(str(learner.generator.initial_seed()).encode())
    return digest.hexdigest()


def save_checkpoint(
    folder: Path, learners: Mapping[str, Learner], epochs: Sequence[EpochProgress], run_fingerprint: str
) -> None:
    """Replace the folder's checkpoint. A crash while writing leaves the earlier one.

    Args:
        folder: made when missing.
        learners: by name.
        epochs: the finished ones.
        run_fingerprint: out of `fingerprint`, taken before the first epoch.

    Raises:
        OSError: the file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    header = {"fingerprint": run_fingerprint, "epochs": [dataclasses.asdict(epoch) for epoch in epochs]}
    staged = folder / f"{_FILE}.{os.getpid()}.partial"
    try:
        save_file(_tensors(learners), staged, metadata={_HEADER: json.dumps(header)})
        _sync(staged)
        staged.replace(folder / _FILE)
        _sync(folder)
    finally:
        staged.unlink(missing_ok=True)


def load_checkpoint(folder: Path, learners: Mapping[str, Learner], run_fingerprint: str) -> list[EpochProgress]:
    """Bring learners and random states to where the folder's checkpoint left them.

    Args:
        folder: may be missing or empty.
        learners: freshly built, by the same names; changed in place only when the checkpoint fits.
        run_fingerprint: of this run.

    Returns:
        The finished epochs; none when there is no checkpoint, it is unreadable or it is another run's.
    """
    path = folder / _FILE
    if not path.is_file():
        return []
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        _LOG.warning("The checkpoint %s cannot be read (%s); training starts from the beginning.", path, error)
        return []
    if header["fingerprint"] != run_fingerprint:
        _LOG.warning("The checkpoint %s is of other photos or settings; training starts from the beginning.", path)
        return []
    _restore(learners, tensors)
    return [EpochProgress(**epoch) for epoch in header["epochs"]]


def _tensors(learners: Mapping[str, Learner]) -> dict[str, Tensor]:
    tensors = {"rng.cpu": torch.get_rng_state()}
    for name, learner in learners.items():
        if learner.device.type == "cuda":
            tensors[f"rng.{learner.device}"] = torch.cuda.get_rng_state(learner.device)
        tensors[f"{name}.generator"] = learner.generator.get_state()
        for key, value in learner.network.state_dict().items():
            tensors[f"{name}.network.{key}"] = value
        for index, state in learner.optimiser.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"{name}.optimiser.{index}.{key}"] = value
    return {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}


def _restore(learners: Mapping[str, Learner], tensors: Mapping[str, Tensor]) -> None:
    for name, learner in learners.items():
        learner.generator.set_state(tensors[f"{name}.generator"])
        learner.network.load_state_dict(_under(f"{name}.network.", tensors))
        _restore_optimiser(learner.optimiser, _under(f"{name}.optimiser.", tensors))
        if learner.device.type == "cuda":
            torch.cuda.set_rng_state(tensors[f"rng.{learner.device}"], learner.device)
    torch.set_rng_state(tensors["rng.cpu"])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".")
        # In the layout of the parameter: what was saved is contiguous, the parameter may be channels-last.
        fitted = value if value.ndim == 0 else torch.empty_like(parameters[int(index)]).copy_(value)
        state.setdefault(int(index), {})[key] = fitted.detach()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
