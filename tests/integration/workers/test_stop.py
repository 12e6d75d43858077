"""A node that is told to stop ends soon, cleanly, and leaves no work behind a lease."""

import signal

import pytest

from core.records import ChunkState
from tests.integration.workers.fleet import SmallFleet, wait_until
from tests.integration.workers.held import HeldPhoto

pytestmark = pytest.mark.one_database


@pytest.mark.parametrize("how", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGINT])
def test_an_idle_node_stops_with_exit_code_0(sqlite_fleet: SmallFleet, how: signal.Signals) -> None:
    sqlite_fleet.add_model()
    node = sqlite_fleet.start()
    assert node.stop(how) == 0
    assert sqlite_fleet.slots_of(node) == []
    assert "Traceback" not in node.log


def test_a_busy_node_finishes_its_chunk_and_stops_with_exit_code_0(fleet: SmallFleet) -> None:
    """The node that is started then knows how the first one found the model to run best."""
    fleet.add_model()
    node = fleet.start()
    photo = fleet.photos(8) / "0001.png"
    held = HeldPhoto(photo)
    with held.manifest.open("a") as manifest:  # far more than is done in the time that a bell is held
        manifest.write(f"{photo.with_name('0002.png')}\n" * 992)
    submission = fleet.submit(held.manifest)
    wait_until(lambda: any(chunk.state == ChunkState.CLAIMED for chunk in fleet.chunks()), "a chunk is claimed")
    wait_until(lambda: fleet.slots_of(node)[0].variant is not None, "the slot says how it runs the model")
    [measured] = fleet.slots_of(node)
    node.process.send_signal(signal.SIGTERM)
    held.let_go()
    assert node.process.wait(20) == 0
    assert "Traceback" not in node.log
    assert {chunk.state for chunk in fleet.chunks()} == {ChunkState.DONE, ChunkState.QUEUED}
    later = fleet.start()
    assert fleet.wait_done(submission, sweeping=True).items_faces == 1000
    [knew] = fleet.slots_of(later)
    assert (measured.tuning_cached, knew.tuning_cached) == (False, True)
    assert (knew.variant, knew.images_per_s) == (measured.variant, measured.images_per_s)


def test_a_chunk_that_takes_too_long_is_given_back_uncounted(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    node = sqlite_fleet.start()
    photo = sqlite_fleet.photos(8) / "0001.png"
    held = HeldPhoto(photo)
    submission = sqlite_fleet.submit(held.manifest)
    wait_until(lambda: sqlite_fleet.chunks()[0].state == ChunkState.CLAIMED, "the chunk is claimed")
    assert node.stop(signal.SIGTERM, seconds=30) == 0
    assert (sqlite_fleet.chunks()[0].state, sqlite_fleet.chunks()[0].attempts) == (ChunkState.QUEUED, 0)
    held.let_go()
    sqlite_fleet.start()
    assert sqlite_fleet.wait_done(submission, sweeping=True).items_faces == 8


@pytest.mark.long  # the one before stops a node in the middle of a chunk, too
def test_a_second_signal_stops_at_once_and_loses_nothing(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    node = sqlite_fleet.start()
    photo = sqlite_fleet.photos(8) / "0001.png"
    held = HeldPhoto(photo)
    submission = sqlite_fleet.submit(held.manifest)
    wait_until(lambda: sqlite_fleet.chunks()[0].state == ChunkState.CLAIMED, "the chunk is claimed")
    children = node.children()
    node.process.send_signal(signal.SIGINT)
    wait_until(lambda: "no new work is taken" in node.log, "the first signal is heard")
    assert node.stop(signal.SIGINT, seconds=5) == 1
    wait_until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children), "no child")
    held.let_go()
    sqlite_fleet.start()
    assert sqlite_fleet.wait_done(submission, sweeping=True).items_faces == 8
