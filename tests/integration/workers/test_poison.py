"""Photos whose decoding hangs or kills in native code: each ends alone with its error, and the rest is identified."""

import sys
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import select

from core.records import AttemptEnd, ItemOutcome
from db.tables import Chunk, Item
from tests.integration.workers.fleet import SmallFleet, small_fleet
from tests.integration.workers.poison import Deed, write_poison
from tests.services import RedisServer

ENDS = {
    Deed.HANG: ("timed_out", AttemptEnd.HUNG),
    Deed.SEGFAULT: ("worker_crashed", AttemptEnd.CRASHED),
    Deed.LEAVE: ("worker_crashed", AttemptEnd.CRASHED),
}


@pytest.mark.parametrize(
    "deeds",
    [pytest.param((Deed.HANG,), id="hang"), pytest.param(tuple(ENDS), id="all", marks=pytest.mark.long)],
)
def test_photos_that_end_their_workers_are_set_apart_from_their_neighbours(
    sqlite_url: str, redis_server: RedisServer, tmp_path: Path, deeds: tuple[Deed, ...]
) -> None:
    """Each shares its chunk with a healthy one. That a hang is known for one shows that nobody waited for the lease."""
    healthy = 3 * len(deeds)
    with small_fleet(sqlite_url, redis_server, tmp_path, chunk_size=2, lease_s=12.0) as fleet:
        fleet.add_model()
        folder = fleet.photos(healthy)
        for number, deed in enumerate(deeds):
            write_poison(folder / f"000{2 * number}a.bmp", deed)
        node = fleet.start(slots=2)
        job = fleet.wait_done(fleet.submit(folder), sweeping=True, seconds=200)
        assert (job.items_faces, job.items_error) == (healthy, len(deeds))
        with fleet.database.read() as session:
            failed = session.execute(
                select(Item.uri, Item.error_code, Item.error_message, Chunk.ended_by)
                .join(Chunk, (Chunk.job_id == Item.job_id) & (Chunk.first_ordinal == Item.ordinal))
                .where(Item.outcome == ItemOutcome.ERROR)
                .order_by(Item.ordinal)
            ).all()
        assert [(row.error_code, row.ended_by) for row in failed] == [ENDS[deed] for deed in deeds]
        assert "hung in the code that decodes it" in failed[0].error_message
        assert "poison.py" in node.log  # the log says where
        assert node.check_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds private memory")
def test_a_photo_that_takes_too_much_memory_fails_and_its_worker_and_neighbours_do_not(
    sqlite_fleet: SmallFleet,
) -> None:
    sqlite_fleet.add_model()
    folder = sqlite_fleet.photos(7)
    Image.new("P", (10_000, 10_000)).save(folder / "0003a.png", compress_level=1)  # 670 MiB decoded, as measured
    node = sqlite_fleet.start(FACEFLEET_MAX_WORKER_BYTES=str(512 << 20))
    pids = [child.pid for child in node.children()]
    job = sqlite_fleet.wait_done(sqlite_fleet.submit(folder), sweeping=True)
    assert (job.items_faces, job.items_error) == (7, 1)
    assert (
        sqlite_fleet.count(Item, Item.error_code == "photo_too_large_for_memory", Item.uri.endswith("0003a.png")) == 1
    )
    assert [child.pid for child in node.children()] == pids
