"""A contender: Ray Data's `map_batches` over the same recogniser. Imports Ray where it is used: it is an extra.

Timed from the moment when all actors have loaded the model to the Parquet file of all outcomes: neither Ray's start
nor the loading counts, as neither does for the others.
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.records import PhotoTask
from scripts.bench.contender import Card, ContenderError, Timed
from scripts.bench.fleet import BenchFleet
from workers.spec import NodeSpec, Role, make_spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACKAGES = ("ray", "pandas")  # Ray Data needs pandas
CARD = Card(
    key="ray",
    title="Ray Data, our recogniser in it",
    does="`map_batches`: as many actors on the same cores run the same recogniser on batches as large as our chunks; "
    "the outcomes are gathered into a Parquet file. Timed once all actors are ready; no database, no fencing.",
    computing_counts=False,
)
_READY_TIMEOUT_S = 120.0
_LOOK_S = 0.02
_STORE_BYTES = 256 << 20


class RayContender:
    """Starts Ray for every round and stops it again: idle, its services take time from the others.

    Args:
        fleet: what it is compared with.
        card: what it is.
        actor: class of Ray's processes, whose last argument is the folder where they say that they are ready.
        arguments: the others.
    """

    def __init__(self, fleet: BenchFleet, card: Card, actor: type, arguments: tuple[Any, ...]) -> None:
        self.card = card
        self.ran_as = ""
        self._slots = fleet.workers
        self._chunk = fleet.settings.chunk_size
        self._actor = actor
        self._arguments = arguments

    def run(self, uris: Sequence[str]) -> Timed:
        """Map the actors over all photos."""
        folder = Path(tempfile.mkdtemp(prefix="ff-ray-"))  # a short path: Ray puts sockets below it
        try:
            with _ray_up(folder, self._slots):
                return self._map(uris, folder)
        except Exception as error:  # of a foreign system, which may raise anything
            raise ContenderError(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _map(self, uris: Sequence[str], folder: Path) -> Timed:
        import ray.data

        photos = ray.data.from_items([{"uri": uri} for uri in uris], override_num_blocks=-(-len(uris) // self._chunk))
        outcomes = photos.map_batches(
            self._actor,
            fn_constructor_args=(*self._arguments, str(folder)),
            batch_size=self._chunk,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=self._slots),
        )
        # Gathered here: Ray's own writing starts processes for it first, which took seconds.
        faces = _write(outcomes.iter_batches(batch_size=None, batch_format="pyarrow"), folder / "outcomes.parquet")
        begun_s = max(file.stat().st_mtime for file in folder.glob("ready-*"))
        return Timed(seconds=time.time() - begun_s, faces=faces)


class Actor:
    """One of Ray's processes: the recogniser on its own cores.

    Args:
        spec: as of the slots of a worker node, as JSON.
        sha256: of the model.
        folder: where actors say that they are ready.
    """

    def __init__(self, spec: str, sha256: str, folder: str) -> None:
        from core.images.decode import DecodeLimits
        from core.images.read import PhotoReader
        from core.recognise import Recogniser
        from scripts.bench.bare import load_on_slot

        node = NodeSpec.from_json(spec)
        settings = node.settings
        with slot_of_actor(Path(folder), node.slots) as slot:
            self._recogniser = Recogniser(
                PhotoReader.from_settings(settings),
                load_on_slot(node, sha256, slot),
                DecodeLimits.from_settings(settings),
                read_threads=settings.read_threads,
            )

    def __call__(self, batch: "dict[str, NDArray[np.object_]]") -> dict[str, list[Any]]:
        """Identify a batch of photos: a row each, with its outcome, its number of faces, and the people."""
        tasks = [PhotoTask(ordinal=number, uri=str(uri)) for number, uri in enumerate(batch["uri"])]
        results = self._recogniser.recognise(tasks, faces=self._recogniser.mode)
        return {
            "uri": [result.uri for result in results],
            "outcome": [result.outcome.value for result in results],
            "faces": [len(result.faces) for result in results],
            "people": [[face.candidate_id or -1 for face in result.faces] for result in results],
            "similarities": [[face.similarity or 0.0 for face in result.faces] for result in results],
        }


@contextmanager
def ray_contender(fleet: BenchFleet) -> Iterator[RayContender]:
    """Return the contender; there is nothing to warm, as a warm Ray does not outlive a run of `map_batches`."""
    spec = make_spec(Role.IDENTIFY, fleet.settings, device="cpu", slots=fleet.workers)
    yield RayContender(fleet, CARD, Actor, (spec.to_json(), fleet.model.sha256))


@contextmanager
def slot_of_actor(folder: Path, slots: int) -> Iterator[int]:
    """Give an actor a number from 0 that no other one has; wait at the end until all have come so far.

    Args:
        folder: of this round.
        slots: how many actors there are.
    """
    slot = _take_slot(folder, slots)
    yield slot
    (folder / f"ready-{slot}").touch()
    _wait_for_all(folder, slots)


@contextmanager
def _ray_up(folder: Path, slots: int) -> Iterator[None]:
    """Start a Ray of our own, that tells nobody, and stop it at the end."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)

    ray.init(
        num_cpus=slots + 2,  # of its own count, so that no task waits for one that an actor holds
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        object_store_memory=_STORE_BYTES,
        _temp_dir=str(folder / "ray"),
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()


def _take_slot(folder: Path, slots: int) -> int:
    """Return a number from 0 that no other actor has."""
    for slot in range(slots):
        try:
            (folder / f"slot-{slot}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return slot
    raise RuntimeError("more actors were started than were asked for")


def _wait_for_all(folder: Path, slots: int) -> None:
    """Wait until all actors are ready, so that they begin at once."""
    deadline_s = time.monotonic() + _READY_TIMEOUT_S
    while len(list(folder.glob("ready-*"))) < slots:
        if time.monotonic() > deadline_s:
            raise RuntimeError("not all actors were started")
        time.sleep(_LOOK_S)


def _write(outcomes: Iterable[Any], file: Path) -> int:
    """Write tables of outcomes into one file as they come; return how many faces they hold."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = list(outcomes)
    pq.write_table(pa.concat_tables(tables), file)
    return sum(sum(table["faces"].to_pylist()) for table in tables)
