"""The one place that decides, by the class of an error, what becomes of a chunk or run, and whether to try again."""

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from itertools import chain, repeat
from typing import TypeVar

from core.errors import (
    DatabaseUnreachableError,
    DiskFullError,
    FacefleetError,
    LeaseLostError,
    PhotoTooLargeForMemoryError,
    SourceUnreachableError,
)
from core.records import PhotoResult, PhotoTask
from workers.stop import StopRequested

R = TypeVar("R")
Jitter = Callable[[float], float]

_log = logging.getLogger(__name__)

SOURCE_WAITS_S = (2.0, 8.0)
"""Longest pauses before photos whose source did not answer are tried again; then they have their error outcome."""

DATABASE_WAITS_S = (1.0, 2.0, 4.0, 8.0)
"""Longest pauses before results are committed again when the database went away. Committed twice, they are written
once."""


def full_jitter(longest_s: float) -> float:
    """Return a random part of a pause, so that workers that failed together do not come back together."""
    return random.uniform(0.0, longest_s)


class Reaction(Enum):
    """What to do with the work that an error broke off."""

    DROP = "drop"  # the lease is lost: another worker has it, write nothing
    LEAVE = "leave"  # the database cannot be told: the lease runs out and the sweeper takes the work back
    GIVE_BACK = "give back"  # nothing is wrong with the work: queue it again, the attempt does not count
    SUSPECT_AND_RESTART = "suspect and restart"  # the device is broken in this process, and the work may have done it
    COUNT = "count"  # the work may be to blame: queue it again, the attempt counts towards splitting


def reaction_to(error: Exception) -> Reaction:
    """Decide what becomes of a chunk or run that `error` broke off."""
    if isinstance(error, LeaseLostError):
        return Reaction.DROP
    if isinstance(error, DatabaseUnreachableError):
        return Reaction.LEAVE
    if isinstance(error, StopRequested | DiskFullError):
        return Reaction.GIVE_BACK
    if is_device_error(error):
        return Reaction.SUSPECT_AND_RESTART
    return Reaction.COUNT


def is_device_error(error: BaseException) -> bool:
    """Whether an accelerator failed. Such an error sticks to its process: every later call fails too.

    One that is out of memory still, after the batch was halved, is left as well: another process may have the room that
    this one's fragments lack. Told by name, as the names live in torch, which this module does not import.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"AcceleratorError", "OutOfMemoryError"}) or "CUDA error" in str(error)


def recognise_all(
    recognise: Callable[[Sequence[PhotoTask]], list[PhotoResult]],
    tasks: Sequence[PhotoTask],
    *,
    pause: Callable[[float], None],
    waits_s: Sequence[float] = SOURCE_WAITS_S,
    jitter: Jitter = full_jitter,
) -> list[PhotoResult]:
    """Recognise photos; those that another try may help get one.

    A photo that found too little memory is tried once more alone, as it may have been its neighbour that took it. Those
    whose source did not answer are tried again after a pause.

    Args:
        recognise: gives one result a task, in order.
        tasks: the photos.
        pause: waits; what it raises ends the call.
        waits_s: the longest pauses.
        jitter: takes a part of a pause.

    Returns:
        One result a task, in order.
    """
    results = {result.ordinal: result for result in recognise(tasks)}
    for task in [task for task in tasks if _failed_by(PhotoTooLargeForMemoryError, results[task.ordinal])]:
        [results[task.ordinal]] = recognise([task])
    for wait_s in map(jitter, waits_s):
        again = [task for task in tasks if _failed_by(SourceUnreachableError, results[task.ordinal])]
        if not again:
            break
        _log.warning("the source of %d photos did not answer; trying again in %.1f s", len(again), wait_s)
        pause(wait_s)
        results.update((result.ordinal, result) for result in recognise(again))
    return [results[task.ordinal] for task in tasks]


def retry_database(
    write: Callable[[], R],
    *,
    pause: Callable[[float], None] = time.sleep,
    waits_s: Iterable[float] = DATABASE_WAITS_S,
    jitter: Jitter = full_jitter,
) -> R:
    """Run an idempotent write; try it again when the database went away or its disk is full.

    Args:
        write: what is tried.
        pause: waits; what it raises ends the call.
        waits_s: the longest pauses; `without_end` for as long as it takes.
        jitter: takes a part of a pause.

    Raises:
        DatabaseUnreachableError: it stayed away.
    """
    for wait_s in map(jitter, waits_s):
        try:
            return write()
        except DatabaseUnreachableError as error:
            _log.warning("%s Trying again in %.1f s.", error, wait_s)
            pause(wait_s)
    return write()


def without_end(waits_s: Sequence[float]) -> Iterator[float]:
    """Yield pauses, the last one for ever."""
    return chain(waits_s, repeat(waits_s[-1]))


def _failed_by(error: type[FacefleetError], result: PhotoResult) -> bool:
    return result.error is not None and result.error.code == error.code
