"""Sets the two sides of the benchmark of speed up, and times them in turn. Prints nothing."""

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from core.machine import describe_machine
from core.settings import Settings
from scripts.bench.bare import BareProcesses
from scripts.bench.fleet import BenchFleet


class Bench:
    """Both sides, warm: a fleet with a model that serves, and as many bare processes with the same model.

    Args: as of `BenchFleet`; as many processes run on either side.
    """

    def __init__(self, settings: Settings, *, source: str | None, count: int, workers: int) -> None:
        self._fleet = BenchFleet(settings, source=source, count=count, workers=workers)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with self._exit as exit_stack:  # whatever fails from here on closes what was opened before
            fleet = exit_stack.enter_context(self._fleet)
            self._bare = exit_stack.enter_context(BareProcesses(fleet.settings, fleet.model, fleet.workers))
            self.run_cluster()  # every worker has loaded the model when this is done
            self.run_bare()
            self._exit = exit_stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def run_bare(self) -> float:
        """Identify all photos in the bare loops; return the seconds from start to last outcome."""
        return self._bare.run(self._fleet.uris)

    def run_cluster(self) -> float:
        """Identify all photos through the queue; return the seconds from submitting to the last outcome stored."""
        return self._fleet.run()

    def describe(self) -> dict[str, Any]:
        """Return what is measured, and on what machine."""
        fleet = self._fleet
        return {
            "count": fleet.count,
            "workers": fleet.workers,
            "source": fleet.source or "drawn faces",
            "machine": {**describe_machine(), "backbone": "compact", "variant": self._bare.variant},
        }


def run_rounds(prepared: Bench, rounds: int, on_round: Callable[[int], None]) -> dict[str, Any]:
    """Time both sides in every round, the order changing from round to round; return all figures as JSON."""
    seconds: dict[str, list[float]] = {"bare": [], "cluster": []}
    sides = {"bare": prepared.run_bare, "cluster": prepared.run_cluster}
    for number in range(rounds):
        for side in sorted(sides, reverse=bool(number % 2)):
            seconds[side].append(sides[side]())
        on_round(number + 1)
    ratios = [bare / cluster for bare, cluster in zip(seconds["bare"], seconds["cluster"], strict=True)]
    described = prepared.describe()
    return {
        **described,
        "rounds": rounds,
        **{side: rates(times, described["count"]) for side, times in seconds.items()},
        "cluster_over_bare": spread(ratios),
    }


def rates(seconds: Sequence[float], count: int) -> dict[str, Any]:
    """Return what rounds of `count` photos took, as seconds and as photos a second."""
    return {"seconds": list(seconds), "images_per_s": spread([count / time_s for time_s in seconds])}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the extremes."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
