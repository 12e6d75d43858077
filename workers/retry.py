"""The one place that decides, by the class of an error, what becomes of a chunk or run, and whether to try again."""

import logging
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeVar

from core.errors import DatabaseUnreachableError, LeaseLostError, SourceUnreachableError
from core.records import PhotoResult, PhotoTask
from workers.stop import StopRequested

R = TypeVar("R")

_log = logging.getLogger(__name__)

SOURCE_WAITS_S = (1.0, 4.0)
"""Pauses before photos whose source did not answer are tried again; after the last they have their error outcome."""

DATABASE_WAITS_S = (0.5, 2.0, 5.0)
"""Pauses before results are committed again when the database went away. Committed twice, they are written once."""


class Reaction(Enum):
    """What to do with the work that an error broke off."""

    DROP = "drop"  # the lease is lost: another worker has it, write nothing
    LEAVE = "leave"  # the database cannot be told: the lease runs out and the sweeper takes the work back
    GIVE_BACK = "give back"  # nothing is wrong with the work: queue it again, the attempt does not count
    GIVE_BACK_AND_RESTART = "give back and restart"  # the device is broken in this process: a new one takes over
    COUNT = "count"  # the work may be to blame: queue it again, the attempt counts towards splitting


def reaction_to(error: Exception) -> Reaction:
    """Decide what becomes of a chunk or run that `error` broke off."""
    if isinstance(error, LeaseLostError):
        return Reaction.DROP
    if isinstance(error, DatabaseUnreachableError):
        return Reaction.LEAVE
    if isinstance(error, StopRequested):
        return Reaction.GIVE_BACK
    if is_device_error(error):
        return Reaction.GIVE_BACK_AND_RESTART
    return Reaction.COUNT


def is_device_error(error: BaseException) -> bool:
    """Whether an accelerator failed. Such an error sticks to its process: every later call fails too.

    Told by name, as the names live in torch, which this module does not import.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"AcceleratorError", "OutOfMemoryError"}) or "CUDA error" in str(error)


def retry_unreachable(
    recognise: Callable[[Sequence[PhotoTask]], list[PhotoResult]],
    tasks: Sequence[PhotoTask],
    *,
    pause: Callable[[float], None],
    waits_s: Sequence[float] = SOURCE_WAITS_S,
) -> list[PhotoResult]:
    """Recognise photos; those whose source did not answer are tried again after a pause.

    Args:
        recognise: gives one result a task, in order.
        tasks: the photos.
        pause: waits; what it raises ends the call.
        waits_s: the pauses.

    Returns:
        One result a task, in order.
    """
    results = {result.ordinal: result for result in recognise(tasks)}
    for wait_s in waits_s:
        again = [task for task in tasks if _is_unreachable(results[task.ordinal])]
        if not again:
            break
        _log.warning("the source of %d photos did not answer; trying again in %.0f s", len(again), wait_s)
        pause(wait_s)
        results.update((result.ordinal, result) for result in recognise(again))
    return [results[task.ordinal] for task in tasks]


def retry_database(
    write: Callable[[], R], *, pause: Callable[[float], None] = time.sleep, waits_s: Sequence[float] = DATABASE_WAITS_S
) -> R:
    """Run an idempotent write; try it again when the database went away.

    Raises:
        DatabaseUnreachableError: it stayed away.
    """
    for wait_s in waits_s:
        try:
            return write()
        except DatabaseUnreachableError as error:
            _log.warning("%s Trying again in %.1f s.", error, wait_s)
            pause(wait_s)
    return write()


def _is_unreachable(result: PhotoResult) -> bool:
    return result.error is not None and result.error.code == SourceUnreachableError.code
