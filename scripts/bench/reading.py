"""Times pages of results of one question: the first, some in the midst, and the last. Prints nothing."""

import bisect
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Any

from db.result_filter import ResultFilter, ResultKey
from db.results import PAGE, read_page

if TYPE_CHECKING:
    from db.engine import Database
    from scripts.bench.outcomes import MadeUpLedger
    from scripts.bench.questions import Question

_VALUES = 10
"""Of each question: where their last pages begin takes some pages to find out."""


class _Photos:
    """The photos that a filter can be about, in order: those of all jobs, or of one."""

    def __init__(self, ledger: "MadeUpLedger", wanted: ResultFilter) -> None:
        self._jobs = [job for job in ledger.jobs if wanted.job_id in (None, job.id)]
        self._ends = list(accumulate(job.photos for job in self._jobs))
        self.count = self._ends[-1]

    def before(self, number: int) -> ResultKey:
        """Return the place before the photo of that number."""
        job = bisect.bisect_right(self._ends, number)
        first = self._ends[job] - self._jobs[job].photos
        return ResultKey(job_id=self._jobs[job].id, ordinal=number - first - 1)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A question with values, and where its pages begin."""

    wanted: ResultFilter
    photos: _Photos
    last: int | None
    """Number of the last photo with a result; None without any."""
    last_page: ResultKey | None
    """Where a page begins after which there is none."""


def time_pages(database: "Database", ledger: "MadeUpLedger", question: "Question", repeats: int) -> dict[str, Any]:
    """Read pages; return what they took in milliseconds, as JSON. One page is read before, and not timed.

    Args:
        database: filled.
        ledger: what with.
        question: which.
        repeats: pages of each place.
    """
    chance = Random(question.name)
    asked = [_prepare(database, ledger, question.ask(ledger, chance)) for _ in range(min(repeats, _VALUES))]
    with_rows = [each for each in asked if each.last is not None]
    taken: dict[str, list[tuple[float, int]]] = {"first": [], "middle": [], "last": []}
    for number in range(repeats):
        taken["first"].append(time_page(database, asked[number % len(asked)].wanted, None))
        if with_rows:
            each = with_rows[number % len(with_rows)]
            middle = each.photos.before(chance.randint(0, each.last or 0))
            taken["middle"].append(time_page(database, each.wanted, middle))
            taken["last"].append(time_page(database, each.wanted, each.last_page))
    every = [ms for pages in taken.values() for ms, _ in pages]
    places = {place: _figures(pages) if pages else None for place, pages in taken.items()}
    return {"places": places, "p50_ms": share(every, 0.5), "p95_ms": share(every, 0.95), "max_ms": share(every, 1.0)}


def share(values: Sequence[float], part: float) -> float:
    """Return what that part of some values are at most."""
    return round(sorted(values)[max(0, math.ceil(part * len(values)) - 1)], 3)


def _figures(pages: Sequence[tuple[float, int]]) -> dict[str, float]:
    taken = [ms for ms, _ in pages]
    return {
        "p50_ms": share(taken, 0.5),
        "p95_ms": share(taken, 0.95),
        "max_ms": share(taken, 1.0),
        "rows": round(sum(rows for _, rows in pages) / len(pages), 1),
    }


def time_page(database: "Database", wanted: ResultFilter, after: ResultKey | None) -> tuple[float, int]:
    """Read a page as a command does; return milliseconds, and its rows."""
    begun_s = time.perf_counter()
    with database.read() as session:
        page = read_page(session, wanted, after)
    return 1000.0 * (time.perf_counter() - begun_s), len(page.rows)


def _prepare(database: "Database", ledger: "MadeUpLedger", wanted: ResultFilter) -> _Asked:
    """Find out where the last page begins, by halves."""
    photos = _Photos(ledger, wanted)
    low, high = -1, photos.count - 1  # no result behind `high`, one at `low` or behind it
    if _count(database, wanted, photos.before(0), 1):
        low = 0
        while low < high:
            middle = (low + high + 1) // 2
            if _count(database, wanted, photos.before(middle), 1):
                low = middle
            else:
                high = middle - 1
    if low < 0:
        return _Asked(wanted=wanted, photos=photos, last=None, last_page=None)
    back = 0
    while back < low and _count(database, wanted, photos.before(max(0, low - 2 * back - 1)), PAGE) < PAGE:
        back = 2 * back + 1
    return _Asked(wanted=wanted, photos=photos, last=low, last_page=photos.before(max(0, low - back)))


def _count(database: "Database", wanted: ResultFilter, after: ResultKey, size: int) -> int:
    with database.read() as session:
        return len(read_page(session, wanted, after, size).rows)
