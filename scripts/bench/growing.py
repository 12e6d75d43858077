"""Runs jobs of different sizes on one ledger that grows, and notes what a photo of each cost. Prints nothing."""

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import func, select

from core.records import JobState
from db.result_filter import ResultFilter, ResultKey
from db.tables import Item, Job
from scripts.bench.computing import computed_s
from scripts.bench.database import describe_database
from scripts.bench.fleet import LOOK_S, BenchFleet
from scripts.bench.growth_figures import MeasuredJob, PartCost
from scripts.bench.holding import Holding, read_idle_holdings
from scripts.bench.reading import time_page

OnPhotos = Callable[[int], None]
"""Told how many photos have their outcome."""

_WARM_CHUNKS = 4  # a worker; each has loaded the model and taken its buffers when they are done
_PAGES = 9


class GrowingLedger:
    """A fleet that is up, and its ledger, to which job after job is added.

    Args:
        fleet: in which a model serves.
    """

    def __init__(self, fleet: BenchFleet) -> None:
        self._fleet = fleet
        self.photos = 0
        """Of all jobs so far."""

    def warm_up(self) -> None:
        """Have every worker identify some chunks."""
        self._identify(_WARM_CHUNKS * self._fleet.workers * self._fleet.settings.chunk_size, lambda _: None)

    def measure(self, counts: Sequence[int], on_photos: OnPhotos) -> list[MeasuredJob]:
        """Run a job of each size, one after the other; each begins when the workers have rested as long."""
        begun_s, before = time.monotonic(), self._rest()
        jobs: list[MeasuredJob] = []
        for count in counts:
            jobs.append(self._measure_one(count, before, begun_s, _counting_from(sum(counts[: len(jobs)]), on_photos)))
            before = jobs[-1].after
        return jobs

    def _measure_one(self, count: int, before: dict[int, Holding], begun_s: float, on_photos: OnPhotos) -> MeasuredJob:
        grown, size = self.photos, self._bytes()
        submitted, identified, job = self._identify(count, on_photos)
        size = self._bytes() - size
        first_ms, middle_ms = self._time_pages(job)
        after = self._rest()
        return MeasuredJob(
            count=count,
            ledger_photos=grown,
            submit=submitted,
            identify=identified,
            bytes_per_photo=size / count,
            first_page_ms=first_ms,
            middle_page_ms=middle_ms,
            photos_failed=job.items_error,
            photos_lost=self.count_lost(job),
            before=before,
            after=after,
            at_s=time.monotonic() - begun_s,
        )

    def _rest(self) -> dict[int, Holding]:
        return read_idle_holdings(self._fleet.database, self._fleet.settings)

    def submit(self, count: int) -> str:
        """Add a job of so many photos; return its id."""
        job_public_id = self._fleet.submit([self._fleet.write_manifest(count)])
        self.photos += count
        return job_public_id

    def count_lost(self, job: Job) -> int:
        """Return how many photos of a job that is done have no outcome, or are not counted as the one they have."""
        query = select(Item.outcome, func.count()).where(Item.job_id == job.id).group_by(Item.outcome)
        with self._fleet.database.read() as session:
            found = dict(session.execute(query).tuples().all())
        counted = {"faces": job.items_faces, "no_face": job.items_no_face, "error": job.items_error}
        missing = abs(job.total - sum(found.get(outcome, 0) for outcome in counted))
        return missing + sum(abs(found.get(outcome, 0) - number) for outcome, number in counted.items())

    def _identify(self, count: int, on_photos: OnPhotos) -> tuple[PartCost, PartCost, Job]:
        """Run a job; return what submitting and identifying a photo of it cost, and the job."""
        manifest = self._fleet.write_manifest(count)
        all_s, own_s, begun_s = computed_s(), time.process_time(), time.perf_counter()
        public_id = self._fleet.submit([manifest])
        submit_s, submit_cpu_s = time.perf_counter() - begun_s, time.process_time() - own_s
        self.photos += count
        job = wait_done(self._fleet, public_id, on_photos)
        identify_cpu_s = max(0.0, computed_s() - all_s - submit_cpu_s)
        started_at, finished_at = _times(job)
        identify_s = (finished_at - started_at).total_seconds()
        return _cost(submit_s, submit_cpu_s, count), _cost(identify_s, identify_cpu_s, count), job

    def _time_pages(self, job: Job) -> tuple[float, float]:
        """Return what the first page of a job's results takes, and one in the middle, in milliseconds: medians."""
        wanted, taken = ResultFilter(job_id=job.id), []
        for after in (None, ResultKey(job_id=job.id, ordinal=job.total // 2 - 1)):
            pages = [time_page(self._fleet.database, wanted, after)[0] for _ in range(1 + _PAGES)]
            taken.append(statistics.median(pages[1:]))  # one is read before, and not timed, as `bench query` does
        return taken[0], taken[1]

    def _bytes(self) -> int:
        return int(describe_database(self._fleet.database)["bytes"])


def wait_done(fleet: BenchFleet, public_id: str, on_photos: OnPhotos) -> Job:
    """Wait until all photos of a job have their outcome; return it."""
    job = fleet.look(public_id)
    while job.state != JobState.DONE or job.finished_at is None:
        time.sleep(LOOK_S)
        job = fleet.look(public_id)
        on_photos(count_decided(job))
    return job


def count_decided(job: Job) -> int:
    """Return how many photos of a job have their outcome."""
    return job.items_faces + job.items_no_face + job.items_error


def _counting_from(done: int, on_photos: OnPhotos) -> OnPhotos:
    return lambda more: on_photos(done + more)


def _times(job: Job) -> tuple[datetime, datetime]:
    if job.started_at is None or job.finished_at is None:
        raise RuntimeError(f"job {job.public_id} is done without a time")
    return job.started_at, job.finished_at


def _cost(wall_s: float, computing_s: float, photos: int) -> PartCost:
    return PartCost(wall_us=1e6 * wall_s / photos, computing_us=1e6 * computing_s / photos)
