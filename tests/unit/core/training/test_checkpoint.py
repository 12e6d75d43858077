"""A checkpoint brings a run back to exactly where it was, and never half."""

from pathlib import Path

import pytest
import torch

from core.records import EpochProgress
from core.training.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from core.training.loop import Learner, new_learner
from tests.unit.core.training.learning import QUICK, make_crops, train_one_epoch


def _learners(seed: int = 0) -> dict[str, Learner]:
    torch.manual_seed(seed)
    real = make_crops([3, 3, 3])
    return {"final": new_learner(QUICK, real, epochs=4, seed=seed, device=torch.device("cpu"))}


def _epoch(number: int) -> EpochProgress:
    return EpochProgress(
        epoch=number,
        epochs=4,
        train_loss=0.1,
        train_accuracy=0.5,
        val_loss=None,
        val_accuracy=None,
        learning_rate=1e-3,
        seconds=0.1,
    )


def _train(learners: dict[str, Learner], epochs: range) -> None:
    for epoch in epochs:
        for learner in learners.values():
            train_one_epoch(learner, epoch)


def _weights(learners: dict[str, Learner]) -> dict[str, torch.Tensor]:
    return {k: v.clone() for learner in learners.values() for k, v in learner.network.state_dict().items()}


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    straight = _learners()
    _train(straight, range(2))
    save_checkpoint(tmp_path, straight, [_epoch(1), _epoch(2)], fingerprint(straight))
    _train(straight, range(2, 4))

    resumed = _learners()
    torch.manual_seed(12345)  # what the process did meanwhile
    history = load_checkpoint(tmp_path, resumed, fingerprint(resumed))
    _train(resumed, range(2, 4))
    assert [epoch.epoch for epoch in history] == [1, 2]
    for name, value in _weights(straight).items():
        assert torch.equal(value, _weights(resumed)[name]), name


def test_a_folder_without_checkpoint_starts_from_the_beginning(tmp_path: Path) -> None:
    learners = _learners()
    assert load_checkpoint(tmp_path / "nowhere", learners, fingerprint(learners)) == []


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_checkpoint_starts_from_the_beginning(damage: str, tmp_path: Path) -> None:
    learners = _learners()
    save_checkpoint(tmp_path, learners, [_epoch(1)], fingerprint(learners))
    file = next(tmp_path.iterdir())
    content = file.read_bytes()
    file.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"hello" * 99}[damage])
    before = _weights(learners)
    assert load_checkpoint(tmp_path, learners, fingerprint(learners)) == []
    assert all(torch.equal(before[name], value) for name, value in _weights(learners).items())


def test_another_runs_checkpoint_is_left_alone(tmp_path: Path) -> None:
    theirs, ours = _learners(seed=1), _learners(seed=0)
    save_checkpoint(tmp_path, theirs, [_epoch(1)], fingerprint(theirs))
    assert load_checkpoint(tmp_path, ours, fingerprint(ours)) == []


def test_the_fingerprint_changes_with_a_single_pixel() -> None:
    learners = _learners()
    before = fingerprint(learners)
    learners["final"].real.crops[0, 0, 0, 0] ^= 1
    assert fingerprint(learners) != before


def test_saving_leaves_one_file_and_no_partial_one(tmp_path: Path) -> None:
    learners = _learners()
    for number in (1, 2):
        save_checkpoint(tmp_path, learners, [_epoch(number)], fingerprint(learners))
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_a_crash_while_writing_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    learners = _learners()
    save_checkpoint(tmp_path, learners, [_epoch(1)], fingerprint(learners))
    (tmp_path / "checkpoint.safetensors.77.partial").write_bytes(b"half a checkpoint")
    assert [epoch.epoch for epoch in load_checkpoint(tmp_path, learners, fingerprint(learners))] == [1]
