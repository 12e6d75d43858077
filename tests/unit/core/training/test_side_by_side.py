"""Several networks learn at once, each exactly what it learns alone."""

import threading
from collections.abc import Sequence
from typing import ClassVar

import pytest
import torch

from core.errors import RunCancelledError
from core.training.loop import Epoch, Learner, new_learner
from core.training.side_by_side import train_side_by_side
from tests.unit.core.training.learning import QUICK, make_crops, train_one_epoch


def _learners(count: int = 3) -> list[Learner]:
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    return [new_learner(QUICK, make_crops([3 + n, 4]), epochs=2, seed=n, device=cpu) for n in range(count)]


def _weights(learners: Sequence[Learner]) -> list[torch.Tensor]:
    return [value.clone() for learner in learners for value in learner.network.state_dict().values()]


def _never() -> bool:
    return False


def test_networks_that_learn_side_by_side_end_as_each_does_alone() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone, together = _learners(), _learners()
    for number in range(2):
        for learner in alone:
            train_one_epoch(learner, number)
        train_side_by_side([Epoch(learner, number) for learner in together], 2, _never)
    torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(_weights(alone), _weights(together), strict=True))


def test_two_networks_are_at_work_at_the_same_time() -> None:
    class Meeting(Epoch):
        """Goes on only when another is at a step too."""

        met = threading.Barrier(2)

        def step(self) -> None:
            self.met.wait(timeout=30)
            super().step()

    epochs = [Meeting(learner, 0) for learner in _learners(2)]
    train_side_by_side(epochs, 2, _never)
    assert [epoch.steps_left for epoch in epochs] == [0, 0]


def test_a_stop_reaches_every_thread() -> None:
    learners = _learners()
    before = _weights(learners)
    with pytest.raises(RunCancelledError):
        train_side_by_side([Epoch(learner, 0) for learner in learners], 2, lambda: True)
    assert all(torch.equal(one, other) for one, other in zip(before, _weights(learners), strict=True))


def test_a_step_that_fails_ends_the_epoch_with_its_error() -> None:
    class Broken(Epoch):
        """Fails."""

        def step(self) -> None:
            raise RuntimeError("no device")

    first, second = _learners(2)
    with pytest.raises(RuntimeError, match="no device"):
        train_side_by_side([Broken(first, 0), Epoch(second, 0)], 2, _never)


def test_an_operation_has_one_thread_while_steps_run_at_once_and_as_many_as_before_afterwards() -> None:
    class Counting(Epoch):
        """Notes how many threads an operation has."""

        seen: ClassVar[set[int]] = set()

        def step(self) -> None:
            self.seen.add(torch.get_num_threads())
            super().step()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train_side_by_side([Counting(learner, 0) for learner in _learners(2)], 2, _never)
        assert (Counting.seen, torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(before)
