"""The model changes while workers run: between chunks, once, and only for one that proves itself."""

from sqlalchemy import distinct, func, select

from core.models.store import ModelStore
from db import nodes
from db.ids import model_version
from db.registry import list_models
from db.tables import Item
from tests.integration.workers.fleet import SmallFleet, wait_until


def serving(fleet: SmallFleet) -> set[int | None]:
    """The models that the slots report."""
    with fleet.database.read() as session:
        return {row.model_id for row in nodes.list_nodes(session)}


def test_a_swap_shows_on_later_chunks_and_no_chunk_has_two_models(fleet: SmallFleet) -> None:
    old = fleet.add_model()
    new = fleet.add_model(activate=False, seed=1)
    fleet.start(slots=2)
    submission = fleet.submit(fleet.photos(400))
    wait_until(lambda: fleet.job(submission).items_faces > 0, "the first chunk is done")
    fleet.activate(new)
    wait_until(lambda: serving(fleet) == {new}, "both slots serve it")
    later = fleet.submit(fleet.photos(16, name="later"))
    fleet.wait_done(submission)
    fleet.wait_done(later)
    size = fleet.settings.chunk_size
    with fleet.database.read() as session:
        of_chunks = session.execute(
            select(func.count(distinct(Item.model_id)), func.min(Item.model_id))
            .where(Item.job_id == fleet.job(submission).id)
            .group_by(Item.ordinal / size)
        ).all()
        of_later = set(session.scalars(select(Item.model_id).where(Item.job_id == fleet.job(later).id)))
    assert {count for count, _ in of_chunks} == {1}
    assert {model for _, model in of_chunks} == {old, new}
    assert of_later == {new}


def test_a_corrupt_artifact_keeps_the_old_model_serving_and_is_visible(sqlite_fleet: SmallFleet) -> None:
    old = sqlite_fleet.add_model()
    bad = sqlite_fleet.add_model(activate=False, seed=1)
    with sqlite_fleet.database.read() as session:
        [sha256] = [model.sha256 for model in list_models(session) if model.id == bad]
    artifact = ModelStore(sqlite_fleet.settings.artifacts_dir).path(sha256)
    artifact.chmod(0o644)
    artifact.write_bytes(artifact.read_bytes()[:-100] + bytes(100))
    node = sqlite_fleet.start()
    sqlite_fleet.activate(bad)
    wait_until(lambda: sqlite_fleet.slots_of(node)[0].model_error is not None, "the slot says what is wrong")
    [slot] = sqlite_fleet.slots_of(node)
    assert sha256 in (slot.model_error or "")
    assert (slot.model_id, slot.generation) == (old, 1)
    assert sqlite_fleet.wait_done(sqlite_fleet.submit(sqlite_fleet.photos(8))).items_faces == 8
    assert sqlite_fleet.count(Item, Item.model_id == old) == 8, model_version(old)
