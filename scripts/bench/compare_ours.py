"""The two contenders of facefleet's own: through the cluster, and the same pipeline in a bare loop."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scripts.bench.bare import BareProcesses
from scripts.bench.contender import Card, ContenderError, Timed
from scripts.bench.fleet import BenchFleet
from scripts.bench.processes import ProcessDiedError

CLUSTER = Card(
    key="cluster",
    title="facefleet cluster",
    does="Submitted as one job: recorded, rung, claimed in chunks, identified and every outcome stored in SQLite; from "
    "the submission to the last outcome stored.",
)
BARE = Card(
    key="bare",
    title="bare loop",
    does="The same pipeline in as many processes on the same cores, without queue and database: outcomes are dropped.",
)


class ClusterContender:
    """The fleet itself. It identifies the photos that it was made with, whichever are given.

    Args:
        fleet: up.
    """

    def __init__(self, fleet: BenchFleet) -> None:
        self.card = CLUSTER
        self.ran_as = ""
        self._fleet = fleet

    def run(self, uris: Sequence[str]) -> Timed:
        """Submit all photos of the fleet."""
        seconds, job = self._fleet.run_job()
        faces = job.faces_identified + job.faces_unknown + job.faces_ambiguous + job.faces_low_quality
        return Timed(seconds=seconds, faces=faces, errors=job.items_error)


class BareContender:
    """The bare loops.

    Args:
        processes: warm.
    """

    def __init__(self, processes: BareProcesses) -> None:
        self.card = BARE
        self.ran_as = processes.variant
        self._processes = processes

    def run(self, uris: Sequence[str]) -> Timed:
        """Have every process look at its share."""
        try:
            return self._processes.run_timed(uris)
        except ProcessDiedError as error:
            raise ContenderError(str(error)) from error


@contextmanager
def cluster_contender(fleet: BenchFleet) -> Iterator[ClusterContender]:
    """Warm the fleet: when a round is done, every worker has loaded the model."""
    fleet.run()
    yield ClusterContender(fleet)


@contextmanager
def bare_contender(fleet: BenchFleet) -> Iterator[BareContender]:
    """Start the bare loops and warm them."""
    with BareProcesses(fleet.settings, fleet.model, fleet.workers) as processes:
        processes.run(fleet.uris)
        yield BareContender(processes)
