"""A process keeps how long its stages took in a file of its own, and no work fails over it."""

import os
import shutil
from pathlib import Path

from core.stages import Spent, Stage
from workers.stage_times import StageKeeper, StageReport, read_reports


def make_report(**changes: object) -> StageReport:
    stages = {Stage.EMBED: Spent(wall_s=2.0, computing_s=1.0, entered=4)}
    values: dict[str, object] = {"slot": "host-1/0", "pid": 7, "stages": stages, "main_s": 1.5, "process_s": 3.0}
    return StageReport(**{**values, **changes})  # type: ignore[arg-type]


def test_a_report_is_read_as_it_was_written() -> None:
    assert StageReport.from_json(make_report().to_json()) == make_report()


def test_what_was_spent_since_a_report_is_a_difference_stage_by_stage() -> None:
    later = make_report(
        stages={Stage.EMBED: Spent(wall_s=5.0, computing_s=3.0, entered=6), Stage.STORE: Spent(wall_s=1.0, entered=1)},
        main_s=4.0,
        process_s=8.0,
    )

    spent = later.since(make_report())

    assert spent.stages == {
        Stage.EMBED: Spent(wall_s=3.0, computing_s=2.0, entered=2),
        Stage.STORE: Spent(wall_s=1.0, entered=1),
    }
    assert (spent.main_s, spent.process_s) == (2.5, 5.0)


def test_a_process_keeps_what_it_spent(tmp_path: Path) -> None:
    keeper = StageKeeper(tmp_path / "times", "host-1/0")
    for _ in range(2):
        with keeper.time_stage(Stage.EMBED):
            sum(range(100_000))
        keeper.write()

    [report] = read_reports(tmp_path / "times").values()
    assert (report.pid, report.slot, report.stages[Stage.EMBED].entered) == (os.getpid(), "host-1/0", 2)
    assert report.process_s >= report.main_s > 0
    assert [file.name for file in (tmp_path / "times").iterdir()] == [f"{os.getpid()}.json"]


def test_no_work_fails_because_its_times_cannot_be_kept(tmp_path: Path) -> None:
    keeper = StageKeeper(tmp_path / "times", "host-1/0")
    shutil.rmtree(tmp_path / "times")

    keeper.write()

    assert read_reports(tmp_path / "times") == {}
