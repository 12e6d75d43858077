"""The bare side of the benchmark: processes that run the pipeline in a loop, with no queue and no database."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from core.records import PhotoTask
from core.settings import Settings
from db.registry import ServingModel
from scripts.bench.contender import Timed
from scripts.bench.processes import BenchProcesses, Work, share_out
from workers.spec import NodeSpec, Role, make_spec

if TYPE_CHECKING:
    from core.models.engine import Engine


class BareProcesses:
    """Processes set up as the slots of a worker node are: same cores, same threads, same model.

    Args:
        settings: limits, batch size, store.
        model: what they run.
        count: how many.
    """

    def __init__(self, settings: Settings, model: ServingModel, count: int) -> None:
        spec = make_spec(Role.IDENTIFY, settings, device="cpu", slots=count)
        self.variant = ""
        self._count = count
        self._processes = BenchProcesses(_set_up, [(spec, model.sha256, slot) for slot in range(count)])

    def __enter__(self) -> Self:
        self._processes.__enter__()
        self.variant = self._processes.told[-1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.__exit__(kind, error, trace)

    def run(self, uris: Sequence[str]) -> float:
        """Have every process look at its share of the photos; return the seconds until the last has finished."""
        return self.run_timed(uris).seconds

    def run_timed(self, uris: Sequence[str]) -> Timed:
        """Do as `run`; say also how many faces there were."""
        begun_s = time.perf_counter()
        looks: list[Timed] = self._processes.ask(share_out(uris, self._count))
        return Timed(seconds=time.perf_counter() - begun_s, faces=sum(look.faces for look in looks))

    def run_each(self, uris: Sequence[str]) -> list[float]:
        """Have every process look at its share of the photos; return the seconds that each took."""
        looks: list[Timed] = self._processes.ask(share_out(uris, self._count))
        return [look.seconds for look in looks]


def load_on_slot(spec: NodeSpec, sha256: str, slot: int, *, batch_size: int | None = None) -> "Engine":
    """Load a model as the slot of a worker node does, on its share of the cores.

    Args:
        spec: the node.
        sha256: of the model's file, which lies in the node's store.
        slot: which of its processes this is, from 0.
        batch_size: crops that it will be given at once; None: as the settings say.
    """
    from workers.runtime import claim_cores

    claim_cores(spec, slot)  # before anything imports torch, whose threads would spin while they wait
    from core.models.engine import load_engine
    from core.models.store import ModelStore

    return load_engine(
        ModelStore.from_settings(spec.settings).path(sha256),
        sha256,
        spec.torch_device,
        batch_size=batch_size or spec.settings.batch_size,
        threads=spec.threads,
        engine=spec.settings.engine,
    )


def _set_up(spec: NodeSpec, sha256: str, slot: int) -> tuple[str, Work]:
    """Load the model; the process then looks at lists of photos."""
    engine, settings = load_on_slot(spec, sha256, slot), spec.settings
    from core.images.decode import DecodeLimits
    from core.images.read import PhotoReader
    from core.recognise import Recogniser

    limits = DecodeLimits.from_settings(settings)
    recogniser = Recogniser(PhotoReader.from_settings(settings), engine, limits, read_threads=settings.read_threads)

    def look(uris: Any) -> Timed:
        tasks = [PhotoTask(ordinal=number, uri=uri) for number, uri in enumerate(uris)]
        begun_s = time.perf_counter()
        results = recogniser.recognise(tasks, faces=recogniser.mode)
        return Timed(seconds=time.perf_counter() - begun_s, faces=sum(len(result.faces) for result in results))

    return engine.variant, look
