"""What becomes of work by the class of the error, and what is tried again."""

import pytest

from core.errors import (
    DatabaseUnreachableError,
    FacefleetError,
    LeaseLostError,
    PhotoMissingError,
    PhotoTooLargeForMemoryError,
    SourceUnreachableError,
)
from core.records import ErrorRecord, ItemOutcome, PhotoResult, PhotoTask
from workers.retry import Reaction, full_jitter, reaction_to, recognise_all, retry_database, without_end
from workers.stop import StopRequested


class AcceleratorError(RuntimeError):
    """Named as torch names it."""


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


@pytest.mark.parametrize(
    ("error", "reaction"),
    [
        (LeaseLostError("x"), Reaction.DROP),
        (DatabaseUnreachableError("x"), Reaction.LEAVE),
        (StopRequested(), Reaction.GIVE_BACK),
        (AcceleratorError("x"), Reaction.SUSPECT_AND_RESTART),
        (RuntimeError("CUDA error: an illegal memory access"), Reaction.SUSPECT_AND_RESTART),
        (RuntimeError("shapes do not fit"), Reaction.COUNT),
        (MemoryError(), Reaction.COUNT),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), Reaction.COUNT),
        (OutOfMemoryError("CUDA out of memory"), Reaction.SUSPECT_AND_RESTART),
    ],
)
def test_each_error_has_its_reaction(error: Exception, reaction: Reaction) -> None:
    assert reaction_to(error) is reaction


def _tasks(count: int) -> list[PhotoTask]:
    return [PhotoTask(ordinal=number, uri=f"/photo/{number}") for number in range(count)]


def _result(task: PhotoTask, error: type[FacefleetError] | None = None) -> PhotoResult:
    return PhotoResult(
        ordinal=task.ordinal,
        uri=task.uri,
        outcome=ItemOutcome.NO_FACE if error is None else ItemOutcome.ERROR,
        sha256=None,
        width_px=None,
        height_px=None,
        error=None if error is None else ErrorRecord(code=error.code, message="x"),
    )


def test_only_photos_whose_source_did_not_answer_are_tried_again() -> None:
    asked: list[list[int]] = []

    def recognise(tasks: list[PhotoTask]) -> list[PhotoResult]:
        asked.append([task.ordinal for task in tasks])
        errors = {1: SourceUnreachableError, 2: PhotoMissingError} if len(asked) == 1 else {}
        return [_result(task, errors.get(task.ordinal)) for task in tasks]

    pauses: list[float] = []
    results = recognise_all(
        recognise, _tasks(4), pause=pauses.append, waits_s=(1.0, 4.0), jitter=lambda longest_s: longest_s / 2
    )
    assert asked == [[0, 1, 2, 3], [1]]
    assert pauses == [0.5]
    assert [result.ordinal for result in results] == [0, 1, 2, 3]
    assert [result.error.code if result.error else None for result in results] == [None, None, "photo_missing", None]


def test_pauses_are_spread_over_their_whole_length() -> None:
    pauses = [full_jitter(8.0) for _ in range(400)]
    assert 0.0 <= min(pauses) < 1.0
    assert 7.0 < max(pauses) <= 8.0


def test_a_photo_that_found_no_memory_is_tried_again_alone_and_once() -> None:
    asked: list[list[int]] = []

    def recognise(tasks: list[PhotoTask]) -> list[PhotoResult]:
        asked.append([task.ordinal for task in tasks])
        starved = {0, 2} if len(tasks) > 1 else {2}
        return [_result(task, PhotoTooLargeForMemoryError if task.ordinal in starved else None) for task in tasks]

    results = recognise_all(recognise, _tasks(4), pause=lambda _: None)
    assert asked == [[0, 1, 2, 3], [0], [2]]
    assert [result.error.code if result.error else None for result in results] == [
        None,
        None,
        "photo_too_large_for_memory",
        None,
    ]


def test_a_source_that_stays_away_becomes_the_photos_error() -> None:
    results = recognise_all(
        lambda tasks: [_result(task, SourceUnreachableError) for task in tasks],
        _tasks(2),
        pause=lambda _: None,
        waits_s=(1.0, 4.0),
    )
    assert [result.error and result.error.code for result in results] == ["source_unreachable"] * 2


def test_a_write_is_tried_again_while_the_database_is_away() -> None:
    answers: list[Exception | int] = [DatabaseUnreachableError("x"), DatabaseUnreachableError("x"), 7]

    def write() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retry_database(write, pause=lambda _: None) == 7
    assert answers == []


def test_a_write_is_given_up_when_the_database_stays_away() -> None:
    tries: list[int] = []

    def write() -> None:
        tries.append(1)
        raise DatabaseUnreachableError("x")

    with pytest.raises(DatabaseUnreachableError):
        retry_database(write, pause=lambda _: None, waits_s=(1.0, 1.0))
    assert len(tries) == 3


def test_a_lost_lease_is_not_tried_again() -> None:
    tries: list[int] = []

    def write() -> None:
        tries.append(1)
        raise LeaseLostError("x")

    with pytest.raises(LeaseLostError):
        retry_database(write, pause=lambda _: None)
    assert len(tries) == 1


def test_a_write_can_be_tried_for_as_long_as_it_takes() -> None:
    pauses: list[float] = []

    def write() -> int:
        if len(pauses) < 50:
            raise DatabaseUnreachableError("x")
        return 7

    waits_s = without_end((1.0, 8.0))
    assert retry_database(write, pause=pauses.append, waits_s=waits_s, jitter=lambda longest_s: longest_s) == 7
    assert pauses == [1.0, *[8.0] * 49]
