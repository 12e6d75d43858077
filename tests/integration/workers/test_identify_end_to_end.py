"""Photos go in, one outcome each comes out, through a real worker node."""

from collections import Counter

import psutil
import pytest
from sqlalchemy import select

from core.models.variants import VARIANTS
from db.tables import Face, Item
from tests.gpu import GPU, ON_GPU
from tests.integration.workers.fleet import SmallFleet, wait_until

pytestmark = pytest.mark.one_database


def test_every_photo_of_a_job_gets_one_outcome_and_the_right_name(fleet: SmallFleet) -> None:
    model_id = fleet.add_model()
    folder = fleet.photos(30)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    fleet.start(slots=2)
    job = fleet.wait_done(fleet.submit(folder))
    assert (job.total, job.items_faces, job.items_error, job.faces_identified) == (31, 30, 1, 30)
    with fleet.database.read() as session:
        items = session.execute(select(Item.uri, Item.outcome, Item.model_id)).all()
        people = dict(session.execute(select(Face.ordinal, Face.person_id)).all())
    assert len(items) == 31
    assert {item.model_id for item in items} == {model_id}
    assert [people[number] for number in range(30)] == [fleet.people[number % 3].person_id for number in range(30)]


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.long), pytest.param(GPU, marks=ON_GPU)])
def test_a_worker_pinned_to_a_device_identifies_a_job_on_it(sqlite_fleet: SmallFleet, device: str) -> None:
    model_id = sqlite_fleet.add_model()
    node = sqlite_fleet.start(device=device, seconds=200.0)  # a GPU's libraries take a while the first time
    job = sqlite_fleet.wait_done(sqlite_fleet.submit(sqlite_fleet.photos(30)), seconds=100.0)
    assert (job.items_faces, job.items_error, job.faces_identified) == (30, 0, 30)
    with sqlite_fleet.database.read() as session:
        people = dict(session.execute(select(Face.ordinal, Face.person_id)).all())
    known = [person.person_id for person in sqlite_fleet.people]
    assert [people[number] for number in range(30)] == [known[number % 3] for number in range(30)]
    [slot] = sqlite_fleet.slots_of(node)
    assert (slot.device, slot.model_id, slot.model_error) == (device, model_id, None)
    ways = VARIANTS["cpu" if device == "cpu" else "cuda"]
    assert slot.variant in {variant.name for variant in ways}
    assert node.stop() == 0


def test_the_parent_of_a_node_never_imports_torch_and_its_children_do(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    node = sqlite_fleet.start()

    def libraries(process: psutil.Process) -> set[str]:
        return {mapped.path for mapped in process.memory_maps() if "libtorch" in mapped.path}

    assert not libraries(psutil.Process(node.process.pid))
    assert all(libraries(child) for child in node.children())
    assert len(node.children()) == 1


@pytest.mark.long  # tests/chaos kills children while they work
def test_a_node_goes_on_when_one_of_its_children_dies_while_it_starts(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    submission = sqlite_fleet.submit(sqlite_fleet.photos(16))
    node = sqlite_fleet.start_silently(slots=2)
    wait_until(lambda: node.check_alive() and len(node.children()) == 2, "both children begin to start")
    first, second = node.children()
    first.kill()
    assert sqlite_fleet.wait_done(submission).items_faces == 16
    wait_until(lambda: node.check_alive() and len(node.children()) == 2, "the dead child is replaced")
    assert second in node.children()
    assert first not in node.children()


def test_ten_times_as_many_bells_as_chunks_do_each_chunk_once(fleet: SmallFleet) -> None:
    fleet.add_model()
    submission = fleet.submit(fleet.photos(16))
    fleet.doorbell.ring_chunks(9 * len(fleet.chunks()))
    fleet.start(slots=2)
    job = fleet.wait_done(submission)
    wait_until(lambda: fleet.doorbell.waiting() == 0, "all bells are answered")
    assert Counter(chunk.attempts for chunk in fleet.chunks()) == {1: 2}
    assert fleet.count(Face) == job.items_faces == 16


def test_a_chunk_published_while_no_worker_runs_is_found(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    submission = sqlite_fleet.submit(sqlite_fleet.photos(8))
    assert submission.rung
    assert sqlite_fleet.doorbell.waiting() == 1
    sqlite_fleet.start()
    assert sqlite_fleet.wait_done(submission).items_faces == 8


def test_chunks_wait_for_the_first_model_and_the_slot_says_so(sqlite_fleet: SmallFleet) -> None:
    submission = sqlite_fleet.submit(sqlite_fleet.photos(8))
    node = sqlite_fleet.start()
    wait_until(lambda: "No model is active" in (sqlite_fleet.slots_of(node)[0].model_error or ""), "the slot says why")
    assert sqlite_fleet.chunks()[0].attempts == 0
    sqlite_fleet.add_model()
    assert sqlite_fleet.wait_done(submission).items_faces == 8
    wait_until(lambda: sqlite_fleet.slots_of(node)[0].model_error is None, "the slot is content")
