"""The bare side of the benchmark: processes that run the pipeline in a loop, with no queue and no database."""

import multiprocessing
import time
import warnings
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from core.records import PhotoTask
from core.settings import Settings
from db.registry import ServingModel
from workers.spec import NodeSpec, Role, make_spec


class BareProcesses:
    """Processes set up as the slots of a worker node are: same cores, same threads, same model.

    Args:
        settings: limits, batch size, store.
        model: what they run.
        count: how many.
    """

    def __init__(self, settings: Settings, model: ServingModel, count: int) -> None:
        spec = make_spec(Role.IDENTIFY, settings, device="cpu", slots=count)
        spawn = multiprocessing.get_context("spawn")
        self.variant = ""
        self._pipes: list[Connection] = []
        self._processes = []
        for slot in range(count):
            ours, theirs = spawn.Pipe()
            self._pipes.append(ours)
            self._processes.append(spawn.Process(target=_serve, args=(theirs, spec, model, slot), daemon=True))

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        for pipe in self._pipes:
            self.variant = pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=5)
            process.kill()

    def run(self, uris: list[str]) -> float:
        """Have every process look at its share of the photos; return the seconds until the last has finished."""
        begun_s = time.perf_counter()
        self.run_each(uris)
        return time.perf_counter() - begun_s

    def run_each(self, uris: list[str]) -> list[float]:
        """Have every process look at its share of the photos; return the seconds that each took."""
        for slot, pipe in enumerate(self._pipes):
            pipe.send(uris[slot :: len(self._pipes)])
        return [pipe.recv() for pipe in self._pipes]


def _serve(pipe: Connection, spec: NodeSpec, model: ServingModel, slot: int) -> None:
    """Be one process: load the model, then look at lists of photos until the pipe closes."""
    warnings.simplefilter("ignore")  # as in every process that users start
    from workers.runtime import claim_cores

    claim_cores(spec, slot)  # before anything imports torch, whose threads would spin while they wait
    from core.images.decode import DecodeLimits
    from core.images.read import PhotoReader
    from core.models.engine import load_engine
    from core.models.store import ModelStore
    from core.recognise import Recogniser

    settings = spec.settings
    engine = load_engine(
        ModelStore.from_settings(settings).path(model.sha256),
        model.sha256,
        spec.torch_device,
        batch_size=settings.batch_size,
        threads=spec.threads,
    )
    limits = DecodeLimits.from_settings(settings)
    recogniser = Recogniser(PhotoReader.from_settings(settings), engine, limits, read_threads=settings.read_threads)
    pipe.send(engine.variant)
    while True:
        try:
            uris = pipe.recv()
        except EOFError:
            return
        tasks = [PhotoTask(ordinal=number, uri=uri) for number, uri in enumerate(uris)]
        begun_s = time.perf_counter()
        recogniser.recognise(tasks, faces=recogniser.mode)
        pipe.send(time.perf_counter() - begun_s)
