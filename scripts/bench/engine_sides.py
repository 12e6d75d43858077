"""The sides of the benchmark of the engine: the same aligned crops through facefleet's engine and through OpenVINO.

Each side uses all cores as it does best: facefleet a process a core, OpenVINO one process with its streams and threads.
Both hand the next crops to whoever is free, facefleet's workers with chunks and OpenVINO with requests.
"""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from core.settings import Settings
from core.weights.spec import ChannelOrder, WeightsSpec
from core.weights.store import WeightsStore
from scripts.bench.contender import Absent, Card, ContenderError, absent_without, broken
from scripts.bench.openvino import PACKAGE, WAYS, fastest_embedder
from scripts.bench.processes import BenchProcesses, ProcessDiedError, Work
from workers.spec import NodeSpec, Role, make_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray


OURS = Card(
    key="facefleet", title="facefleet engine", does="A process on each core, crops in batches as workers run them."
)
HINTS = {
    "THROUGHPUT": Card(
        key="openvino_throughput",
        title="OpenVINO, THROUGHPUT",
        does="One process, as many streams as OpenVINO chooses, at the batch that is fastest here.",
    ),
    "LATENCY": Card(
        key="openvino_latency",
        title="OpenVINO, LATENCY",
        does="One process, one stream on all cores, at the batch that is fastest here.",
    ),
}


class Turns:
    """Numbers from 0, each given to one of the processes that share this."""

    def __init__(self) -> None:
        self._next = multiprocessing.get_context("spawn").Value("q", 0)

    def begin(self) -> None:
        """Start from 0 again, while nobody takes any."""
        self._next.value = 0

    def take(self) -> int:
        """Return the next number."""
        with self._next.get_lock():
            taken: int = self._next.value
            self._next.value = taken + 1
        return taken


class EngineSide:
    """A side, warm: embeds crops and says how long that took.

    Args:
        card: what it is.
        processes: one or more; each answers which crops it has embedded (int [M]) and as what (float32 [M, D]).
        turns: what they share the crops out by; None for one that takes all.
    """

    def __init__(self, card: Card, processes: BenchProcesses, turns: Turns | None = None) -> None:
        self.card = card
        self.ran_as = str(processes.told[-1])
        self.vectors: NDArray[np.float32] | None = None
        """[N, D] of the last run, in the crops' order."""
        self._processes = processes
        self._turns = turns

    def run(self, repeats: int) -> float:
        """Embed all crops that the processes hold, several times; return the seconds that took."""
        if self._turns is not None:
            self._turns.begin()
        begun_s = time.perf_counter()
        try:
            answers = self._processes.ask([repeats] * len(self._processes.told))
        except ProcessDiedError as error:
            raise ContenderError(str(error)) from error
        seconds = time.perf_counter() - begun_s
        crops = 1 + max(rows.max() for rows, _ in answers if len(rows))
        self.vectors = np.empty((crops, answers[0][1].shape[1]), np.float32)
        for rows, vectors in answers:
            self.vectors[rows] = vectors
        return seconds


@contextmanager
def open_sides(
    settings: Settings, spec: WeightsSpec, crops: "NDArray[np.uint8]", workers: int
) -> Iterator[tuple[list[EngineSide], list[Absent]]]:
    """Set up all sides that can run, warm.

    Args:
        settings: of a home of its own, with the weights' folder.
        spec: the embedder.
        crops (uint8 [N, S, S, 3]): RGB.
        workers: processes of facefleet's side.
    """
    absent: list[Absent] = []
    with ExitStack() as stack:
        turns = Turns()
        sides = [_enter(stack, OURS, _our_processes(settings, spec, crops, workers, turns), turns)]
        store = WeightsStore.from_settings(settings)
        files = {file.name: store.read_verified(spec, file) for file in spec.files}
        for hint, card in HINTS.items():
            if why := absent_without(card, [PACKAGE]):
                absent.append(why)
                continue
            try:
                processes = BenchProcesses(_set_up_openvino, [(spec, files, hint, crops)])
                sides.append(_enter(stack, card, processes))
            except ContenderError as error:
                absent.append(broken(card, error))
        yield sides, absent


def _enter(stack: ExitStack, card: Card, processes: BenchProcesses, turns: Turns | None = None) -> EngineSide:
    try:
        side = EngineSide(card, stack.enter_context(processes), turns)
    except ProcessDiedError as error:
        raise ContenderError(str(error)) from error
    side.run(1)
    return side


def _our_processes(
    settings: Settings, spec: WeightsSpec, crops: "NDArray[np.uint8]", workers: int, turns: Turns
) -> BenchProcesses:
    """Put a model that knows nobody into the store of the home; return processes that will run it."""
    from scripts.bench.seen import store_nobody

    sha256 = store_nobody(settings, spec.name)
    node = make_spec(Role.IDENTIFY, settings, device="cpu", slots=workers)
    return BenchProcesses(_set_up_engine, [(node, sha256, slot, crops, turns) for slot in range(workers)])


def _set_up_engine(
    node: NodeSpec, sha256: str, slot: int, crops: "NDArray[np.uint8]", turns: Turns
) -> tuple[str, Work]:
    """Load the model as a worker does."""
    from scripts.bench.bare import load_on_slot

    engine = load_on_slot(node, sha256, slot)
    rows = np.arange(len(crops))
    parts = [rows[start : start + engine.batch_size] for start in range(0, len(crops), engine.batch_size)]

    def embed(repeats: Any) -> Any:
        done = {-1: (rows[:0], np.empty((0, engine.manifest.embedding_dim), np.float32))}
        while (turn := turns.take()) < repeats * len(parts):
            part = parts[turn % len(parts)]
            done[turn % len(parts)] = part, engine.run(crops[part].transpose(0, 3, 1, 2))[0]
        return tuple(np.concatenate(each) for each in zip(*done.values(), strict=True))

    return engine.variant, embed


def _set_up_openvino(
    spec: WeightsSpec, files: dict[str, bytes], hint: str, crops: "NDArray[np.uint8]"
) -> tuple[str, Work]:
    """Compile the network in OpenVINO, at the batch that is fastest."""
    ways = [way for way in WAYS if way.hint == hint]
    embedder = fastest_embedder(spec, files, ways, order=ChannelOrder.RGB)

    def embed(repeats: Any) -> Any:
        for _ in range(repeats):
            vectors = embedder.embed(crops)
        return np.arange(len(crops)), vectors

    return f"{embedder.way.batch} a request, {embedder.precision}", embed


def make_crops(size_px: int, count: int) -> "NDArray[np.uint8]":
    """Return drawn faces as crops, uint8 [count, S, S, 3] RGB; few differ, as contents do not change the speed."""
    import random

    from core.faces.crop import crop_whole_photo
    from core.images.drawn_people import draw_people
    from core.images.drawn_photo import take_photo

    people = draw_people(16, random.Random(0))
    photos = [np.asarray(take_photo(person, size_px, random.Random(0)).convert("RGB")) for person in people]
    drawn = np.stack([crop_whole_photo(photo, size_px) for photo in photos])
    return drawn[np.arange(count) % len(drawn)]
