"""An epoch of several networks at once: every step runs on one thread, and whoever has most left to do goes first.

A step of a small network gains little from a second core, as its many short operations wait for each other. On two
cores three compact networks took 1.7 to 2.0 times as long one after the other in float32, and 3 to 4 times in bfloat16.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from core.errors import RunCancelledError
from core.training.loop import Epoch


def train_side_by_side(epochs: Sequence[Epoch], threads: int, should_stop: Callable[[], bool]) -> None:
    """Train epochs of different networks to their end. What each learns does not depend on the others.

    Args:
        epochs: of one network each.
        threads: to compute on. A single network computes each operation on all of them.
        should_stop: asked before every step, on any of the threads.

    Raises:
        RunCancelledError: `should_stop` said so.
    """
    queue = _Queue(epochs, should_stop)
    at_once = min(threads, len(epochs))
    if at_once == 1:
        return queue.work()
    with _one_thread_an_operation(), ThreadPoolExecutor(at_once, thread_name_prefix="learners") as pool:
        for ended in [pool.submit(queue.work) for _ in range(at_once)]:
            ended.result()
    return None


@contextmanager
def _one_thread_an_operation() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Queue:
    """Hands out networks to whoever has time for a step; each is with one thread at most."""

    def __init__(self, epochs: Sequence[Epoch], should_stop: Callable[[], bool]) -> None:
        self._idle = list(epochs)
        self._at_work = 0
        self._should_stop = should_stop
        self._changed = threading.Condition()

    def work(self) -> None:
        """Take steps until all epochs are done or given out for their last step."""
        while (epoch := self._take()) is not None:
            try:
                epoch.step()
            finally:
                self._put_back(epoch)

    def _take(self) -> Epoch | None:
        if self._should_stop():
            raise RunCancelledError("The training run was cancelled; no model was made.")
        with self._changed:
            while not self._unfinished() and self._at_work:
                self._changed.wait()
            if not (unfinished := self._unfinished()):
                return None
            epoch = max(unfinished, key=lambda each: each.steps_left)
            self._idle.remove(epoch)
            self._at_work += 1
            return epoch

    def _put_back(self, epoch: Epoch) -> None:
        with self._changed:
            self._idle.append(epoch)
            self._at_work -= 1
            self._changed.notify_all()

    def _unfinished(self) -> list[Epoch]:
        return [epoch for epoch in self._idle if epoch.steps_left]
