"""Growing jobs: which are compared, ratios, how memory went, what is printed and drawn. No fleet runs here."""

import re
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database
from scripts.bench.growth_figures import MeasuredJob, PartCost, pair_up, ratio, schedule, sum_up, trend
from scripts.bench.growth_picture import draw_growth
from scripts.bench.growth_report import print_growth
from scripts.bench.holding import Holding
from scripts.bench.watching import HeldReading, describe_watch, interval_s
from tests.unit.scripts.runner import Run


def held(mib: float, files: int = 16) -> Holding:
    return Holding(resident_bytes=int(2 * mib * 2**20), unique_bytes=int(mib * 2**20), open_files=files)


def job(count: int, us: float, computing_us: float = 10.0, mib: float = 100.0) -> MeasuredJob:
    """A job that cost so much to identify by the clock, after which a worker holds so much."""
    return MeasuredJob(
        count=count,
        ledger_photos=0,
        submit=PartCost(wall_us=1.0, computing_us=0.0),
        identify=PartCost(wall_us=us, computing_us=computing_us),
        bytes_per_photo=400.0,
        first_page_ms=2.0,
        middle_page_ms=3.0,
        photos_failed=0,
        photos_lost=0,
        before={7: held(100.0), 8: held(100.0)},
        after={7: held(mib), 9: held(50.0)},
        at_s=60.0,
    )


def document() -> dict[str, Any]:
    """The JSON form of a short measurement: two sizes, and a watch of an hour in which one of two workers grew."""
    jobs = [job(count, 1000.0) for count in schedule([100, 1000], 1)]
    readings = [
        HeldReading(at_s=60.0 * at, photos=100 * at, held={7: held(100.0), 8: held(100.0 + at)}) for at in range(61)
    ]
    return {
        "faces": "crop",
        "source": "drawn faces",
        "workers": 2,
        "counts": [100, 1000],
        "rounds": 1,
        "chunk_size": 128,
        "ledger_photos": 1400,
        "photos_failed": 0,
        "photos_lost": 0,
        "sizes": sum_up(jobs),
        "jobs": [each.to_json() for each in jobs],
        "watch": describe_watch(readings, 3600.0),
        "database": {"kind": "sqlite", "version": "3", "bytes": 1_000_000},
        "machine": {"cores": 2, "cpu": "a chip", "torch": "2", "backbone": "compact", "load": [[1.0], [2.0]]},
    }


def test_every_job_that_is_measured_stands_between_two_of_the_smallest() -> None:
    counts = schedule([10, 100, 1000], 2)

    assert [count for count, _ in pair_up(counts)] == [10, 100, 1000, 10, 100, 1000]
    assert {neighbours for _, neighbours in pair_up(counts)} == {(10, 10)}


def test_a_steady_drift_of_the_machine_cancels() -> None:
    """It becomes slower from job to job, by as much each time; the large job costs what its neighbours do."""
    drifting = [job(count, 1000.0 + 100.0 * at) for at, count in enumerate(schedule([10, 100], 2))]

    small, large = sum_up(drifting)

    assert (small["count"], large["count"]) == (10, 100)
    assert large["identify"]["wall_ratio"] == pytest.approx({"median": 1.0, "min": 1.0, "max": 1.0})
    assert large["identify"]["wall_us"] == {"median": 1500.0, "min": 1300.0, "max": 1700.0}


def test_a_large_job_that_costs_more_shows_in_its_ratio_alone() -> None:
    jobs = [job(10, 1000.0), job(10, 1000.0), job(10, 1000.0), job(100, 1500.0, computing_us=5.0), job(10, 2000.0)]

    small, large = sum_up(jobs)

    assert small["identify"]["wall_ratio"]["median"] == 1.0
    assert large["identify"]["wall_ratio"]["median"] == 1.0  # between 1,000 and 2,000
    assert large["identify"]["computing_ratio"]["median"] == 0.5


def test_what_the_clock_of_computing_does_not_show_has_no_ratio() -> None:
    assert ratio(1.0, (0.0, 0.0)) is None
    assert sum_up([job(10, 1.0)] * 3)[0]["submit"]["computing_ratio"] is None


def test_memory_is_compared_of_workers_that_were_there_before_and_after() -> None:
    assert job(10, 1.0, mib=101.0).to_json()["unique_bytes"] == [[100 * 2**20, 101 * 2**20]]


def test_a_slope_is_the_share_of_the_level_that_is_added_in_an_hour() -> None:
    went = trend([0.0, 1800.0, 3600.0], [90.0, 100.0, 110.0])

    assert (went.first, went.last) == (90.0, 110.0)
    assert went.per_hour == pytest.approx(0.2)
    assert went.error == pytest.approx(0.0, abs=1e-12)


def test_the_error_of_a_slope_is_the_usual_one() -> None:
    """Figures of a line through 1, 2, 2: the slope is 0.5, and its standard error the root of 1/12."""
    went = trend([0.0, 3600.0, 7200.0], [1.0, 2.0, 2.0])

    level = 5 / 3
    assert went.per_hour == pytest.approx(0.5 / level)
    assert went.error == pytest.approx((1 / 12) ** 0.5 / level)


@pytest.mark.parametrize("times, values", [([0.0], [5.0]), ([0.0, 1.0], [5.0, 6.0]), ([0.0] * 3, [5.0] * 3)])
def test_too_few_figures_have_no_slope(times: list[float], values: list[float]) -> None:
    went = trend(times, values)

    assert (went.first, went.last, went.per_hour, went.error) == (values[0], values[-1], None, None)


def test_growth_counts_from_the_end_of_the_first_tenth() -> None:
    early = [HeldReading(at_s=at, photos=0, held={7: held(50.0)}) for at in (0.0, 9.0)]
    later = [HeldReading(at_s=at, photos=int(at), held={7: held(100.0)}) for at in (10.0, 50.0, 90.0)]

    watch = describe_watch([*early, *later], 100.0)

    (worker,) = watch["workers"]
    assert worker["unique_bytes"] == {"first": 100 * 2**20, "last": 100 * 2**20, "per_hour": 0.0, "error": 0.0}
    assert (watch["warm_up_s"], watch["photos"], len(watch["readings"])) == (10.0, 90, 5)


def test_a_worker_that_was_replaced_is_counted_and_has_no_slope() -> None:
    pids = [(7, 8), (7, 8), (7, 9), (7, 9)]
    readings = [
        HeldReading(at_s=float(at), photos=0, held=dict.fromkeys(both, held(100.0))) for at, both in enumerate(pids)
    ]

    watch = describe_watch(readings, 4.0)

    assert (watch["restarted"], len(watch["workers"])) == (1, 1)


def test_a_short_watch_has_as_many_readings_as_a_trend_needs() -> None:
    assert interval_s(3600.0) == 15.0
    assert interval_s(20.0) == 0.5


def test_the_tables_say_what_is_compared_and_how_memory_went(capsys: pytest.CaptureFixture[str]) -> None:
    print_growth(document())

    out = capsys.readouterr().out
    assert re.search(r"^1,000 +identify +1,000 µs +1.00 +10.0 µs +1.00$", out, re.M)
    assert "100.0 MiB > 100.0 MiB (+0.00 % an hour, give or take 0.00 %); 106.0 MiB > 160.0 MiB (+45.11 %" in out
    assert "16 > 16; 16 > 16" in out


@pytest.mark.parametrize("watched", [True, False])
def test_the_picture_shows_costs_by_size_and_memory_by_time(tmp_path: Path, watched: bool) -> None:
    figures = document() if watched else {**document(), "watch": None}
    draw_growth(tmp_path / "growth.svg", figures)
    draw_growth(tmp_path / "growth.png", figures)

    text = (tmp_path / "growth.svg").read_text(encoding="utf-8")
    assert ">100<" in text
    assert ">1,000<" in text
    assert ("+45.11 % an hour" in text) == watched
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("counts", ["100,many", "0", "100,,1000", "-5"])
def test_sizes_that_are_no_numbers_of_photos_are_refused_with_an_example(run: Run, counts: str) -> None:
    ran = run("bench", "growth", "--counts", counts)

    assert ran.code == 2
    assert "Write sizes as 1000,10000" in ran.err


def test_what_cannot_be_measured_is_refused_before_a_fleet_is_started(run: Run, database: Database) -> None:
    assert "neither .png nor .svg" in run("bench", "growth", "--picture", "growth.gif").err
    ran = run("bench", "growth", "--database", database.url)
    assert ran.code == 2
    assert "holds tables already. Nothing was measured" in ran.err
