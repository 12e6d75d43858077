"""What a task does with its handler's answer: a process whose device failed leaves, a bell that found work stays."""

import os
from dataclasses import dataclass

import pytest
from celery.exceptions import Reject

from workers import runtime, tasks
from workers.identify import ChunkEnd
from workers.train import RunEnd


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A process's runtime that does nothing."""

    chunk: ChunkEnd = ChunkEnd.NOTHING_DUE
    run: RunEnd = RunEnd.ENDED

    def identify(self) -> ChunkEnd:
        return self.chunk

    def train(self, _run_id: int) -> RunEnd:
        return self.run


def ring(monkeypatch: pytest.MonkeyPatch, task: str, answers: Answers) -> None:
    """Call a task in a process that has that runtime."""
    monkeypatch.setattr(runtime, "_runtime", answers)
    tasks.identify() if task == "identify" else tasks.train(7)


@pytest.mark.parametrize(
    ("task", "answers"), [("identify", Answers(chunk=ChunkEnd.RESTART)), ("train", Answers(run=RunEnd.RESTART))]
)
def test_a_process_that_must_be_replaced_leaves(monkeypatch: pytest.MonkeyPatch, task: str, answers: Answers) -> None:
    with pytest.raises(SystemExit) as left:
        ring(monkeypatch, task, answers)
    assert left.value.code == os.EX_TEMPFAIL


@pytest.mark.parametrize("end", [ChunkEnd.DONE, ChunkEnd.PUT_BACK, ChunkEnd.BROKEN_OFF])
def test_a_bell_that_found_work_goes_back_into_the_queue(monkeypatch: pytest.MonkeyPatch, end: ChunkEnd) -> None:
    with pytest.raises(Reject) as rejected:
        ring(monkeypatch, "identify", Answers(chunk=end))
    assert rejected.value.requeue


@pytest.mark.parametrize("task", ["identify", "train"])
def test_a_bell_that_found_nothing_to_do_ends(monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    ring(monkeypatch, task, Answers())
