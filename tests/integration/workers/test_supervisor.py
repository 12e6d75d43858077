"""A whole fleet in one context: up, healed when a part dies, and nothing left when it ends."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from core.clock import utc_now
from core.errors import FleetRunningError, FleetStartError
from core.settings import Settings
from db import nodes
from db.claims import claim_due_chunk
from db.engine import Database
from tests import ledger
from tests.integration.workers.fleet import ROOT, wait_until
from workers.doorbell import Doorbell
from workers.embedded import find_redis_url
from workers.spec import node_name
from workers.supervisor import Fleet


def reported(settings: Settings) -> dict[str, int]:
    """The pids of the slots that are there, by role."""
    database = Database.from_settings(settings)
    try:
        with database.read() as session:
            return {row.role: row.pid for row in nodes.list_nodes(session)}
    finally:
        database.close()


def hold_a_chunk(settings: Settings, worker: str) -> Callable[[], bool]:
    """Let a slot claim a chunk for ten minutes; return whether it still holds it."""
    database = Database.from_settings(settings)
    try:
        job_id, _ = ledger.add_job(database, items=3)
        with database.write() as session:
            assert claim_due_chunk(session, worker, utc_now(), 600.0, 0) is not None
    finally:
        database.close()

    def holds() -> bool:
        database = Database.from_settings(settings)
        try:
            return any(chunk.worker == worker for chunk in ledger.chunks_of(database, job_id))
        finally:
            database.close()

    return holds


def family() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_fleet_comes_up_heals_and_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, model_poll_s=0.2, sweep_interval_s=0.5)
    before = set(family())
    with Fleet(settings, workers=1) as fleet:
        assert set(reported(settings)) == {"identify", "train"}
        assert find_redis_url(settings) == fleet.settings.redis_url
        doorbell = Doorbell(fleet.settings.redis_url)
        doorbell.check()
        doorbell.close()
        with pytest.raises(FleetRunningError, match="Another"):
            Fleet(settings, workers=1).start()
        [worker] = [child for child in family() if "worker" in child.cmdline()]
        old = reported(settings)["identify"]
        held = hold_a_chunk(fleet.settings, f"{node_name(worker.pid)}/0:{old}")
        worker.kill()
        wait_until(lambda: not held(), "what the node held is taken back long before its lease ends")
        wait_until(lambda: fleet.restarts == 1, "the worker is started anew")
        wait_until(lambda: reported(settings)["identify"] != old or len(reported(settings)) > 1, "it reports")
        started = set(family()) - before
        assert len(started) >= 5
    wait_until(lambda: not any(map(is_alive, started)), "nothing that it started is left")
    assert sorted(file.name for file in settings.logs_dir.iterdir()) == ["sweeper.log", "trainer.log", "worker.log"]


def test_a_part_that_does_not_start_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    before = set(family())
    with (
        pytest.raises(FleetStartError, match="no device 'cuda:77'"),
        Fleet(Settings(home=tmp_path), workers=1, devices=("cuda:77",)),
    ):
        pytest.fail("it started")
    assert set(family()) <= before


@pytest.mark.long  # the one before says so of a part that does not even start
def test_a_fleet_that_cannot_heal_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(family())
    settings = Settings(home=tmp_path)
    with Fleet(settings, workers=1) as fleet:
        shutil.rmtree(settings.logs_dir)
        settings.logs_dir.write_text("a file where the folder should be")
        [worker] = [child for child in set(family()) - before if "worker" in child.cmdline()]
        worker.kill()
        with pytest.raises(FleetStartError, match="keep running"):
            fleet.wait()
    assert set(family()) <= before


def test_children_die_with_a_fleet_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import time; from pathlib import Path; from core.settings import Settings; "
        "from workers.supervisor import Fleet\n"
        f"with Fleet(Settings(home=Path({str(tmp_path)!r})), workers=1): print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 5
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()

    def gone(child: psutil.Process) -> bool:
        try:
            return child.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(lambda: all(map(gone, started)), "every process is gone", 15)
