"""What a process that identifies says of its stages: one small file a process, replaced at the end of every bell.

Files, and not the ledger: who measures is on the same machine, and a transaction would be part of what is measured.
"""

import json
import logging
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from core.stages import Spent, Stage, StageTimes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """What one process has spent so far."""

    slot: str
    """Its slot's name in the ledger."""
    pid: int
    stages: dict[Stage, Spent] = field(default_factory=dict)
    """Over all its threads, in the pipeline's order."""
    main_s: float = 0.0
    """That the thread which works on chunks has computed, inside stages and outside."""
    process_s: float = 0.0
    """That all threads have computed together."""

    def since(self, before: Self) -> "StageReport":
        """Return what was spent after an earlier report of the same process."""
        stages = {stage: spent.since(before.stages.get(stage, Spent())) for stage, spent in self.stages.items()}
        return StageReport(
            slot=self.slot,
            pid=self.pid,
            stages=stages,
            main_s=self.main_s - before.main_s,
            process_s=self.process_s - before.process_s,
        )

    def to_json(self) -> str:
        """Write it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        stages = {Stage(name): Spent(**spent) for name, spent in values.pop("stages").items()}
        return cls(stages=stages, **values)


class StageKeeper:
    """Times this process's stages, and keeps the sums in a file. Made on the thread that works on chunks.

    Args:
        folder: where the file is kept; made where it is missing.
        slot: the slot's name in the ledger.
    """

    def __init__(self, folder: Path, slot: str) -> None:
        self._times = StageTimes()
        self.time_stage = self._times.stage
        """Times a stage."""
        self._folder = folder
        self._slot = slot
        folder.mkdir(parents=True, exist_ok=True)

    def write(self) -> None:
        """Replace the file; called on the thread that works on chunks, in no stage. No work fails over it."""
        report = StageReport(
            slot=self._slot,
            pid=os.getpid(),
            stages=self._times.spent(),
            main_s=time.thread_time(),
            process_s=time.process_time(),
        )
        partial = self._folder / f".{report.pid}.partial"
        try:
            partial.write_text(report.to_json(), encoding="utf-8")
            partial.replace(self._folder / f"{report.pid}.json")
        except OSError as error:
            _log.warning("the stages' times cannot be kept in %s: %s", self._folder, error)


def read_reports(folder: Path) -> dict[int, StageReport]:
    """Return what the processes said last, by process id."""
    reports = [StageReport.from_json(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    return {report.pid: report for report in reports}
