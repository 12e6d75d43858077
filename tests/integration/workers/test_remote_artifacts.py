"""Workers whose models lie on another machine: fetched once, and what serves goes on serving while that is away."""

from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from db.tables import Item
from tests import stores
from tests.integration.workers.fleet import SmallFleet, small_fleet, wait_until
from tests.services import RedisServer
from tests.stores import AWAY, SCHEME


@pytest.fixture
def far_fleet(sqlite_url: str, redis_server: RedisServer, tmp_path: Path) -> Iterator[SmallFleet]:
    """A fleet whose models lie in `shelf/`, reached as on another machine."""
    stores.register()
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with small_fleet(sqlite_url, redis_server, tmp_path / "home", artifacts=f"{SCHEME}://{shelf}") as fleet:
        yield fleet


def test_a_worker_fetches_its_model_and_serves_on_while_the_store_is_away(far_fleet: SmallFleet) -> None:
    old = far_fleet.add_model()
    new = far_fleet.add_model(activate=False, seed=1)
    kept = far_fleet.settings.artifacts_dir
    rmtree(kept)  # what the machine that stored them keeps
    node = far_fleet.start()
    wait_until(lambda: far_fleet.slots_of(node)[0].model_id == old, "the first model serves")
    assert len(list(kept.glob("*.pt"))) == 1

    away = kept.parents[1] / "shelf" / AWAY
    away.touch()
    far_fleet.activate(new)
    wait_until(lambda: far_fleet.slots_of(node)[0].model_error is not None, "the slot says what is wrong")
    assert "did not answer" in (far_fleet.slots_of(node)[0].model_error or "")
    assert far_fleet.wait_done(far_fleet.submit(far_fleet.photos(8))).items_faces == 8
    assert far_fleet.count(Item, Item.model_id == old) == 8

    away.unlink()
    node.stop()
    node = far_fleet.start()
    wait_until(lambda: far_fleet.slots_of(node)[0].model_id == new, "the second model serves")
