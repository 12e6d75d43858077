"""The composition root of a worker's child process: settings become a database, a model holder and a handler here.

Nothing is built at import; `start` builds for the process, `stop` tears down. What needs torch is imported inside.
"""

import faulthandler
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core.memory import is_out_of_memory
from core.models.holder import ModelHolder, ServingModel
from core.records import FacesMode, PhotoResult, PhotoTask
from core.stages import Stage, TimeStage, untimed
from db.clock import LedgerClock
from db.engine import Database
from workers.hurry import ModelListener
from workers.identify import ChunkEnd, IdentifyContext, OnProgress, answer_bell
from workers.logs import set_up_worker_logging
from workers.memory import MemoryLimit, keep_freed_memory
from workers.pulse import Pulse, SlotReporter
from workers.spec import NodeSpec, Role
from workers.stage_times import StageKeeper
from workers.stop import StopFlag
from workers.train import RunEnd, TrainContext, run_training
from workers.watch import ModelWatch
from workers.watchdog import Watchdog, patience_s

if TYPE_CHECKING:
    from core.models.engine import Engine
    from core.recognise import Recogniser

_log = logging.getLogger(__name__)

MAX_STUCK_THREADS = 8
"""Reading threads that hang for good before the process is replaced: each holds a stack and a photo."""


class Handler(Protocol):
    """What a child does when a doorbell rings."""

    def identify(self) -> ChunkEnd:
        """Work on chunks that are due; return how the last of them ended."""

    def train(self, run_id: int) -> RunEnd:
        """Work on a training run."""


class Runtime:
    """Everything one child process holds."""

    def __init__(self, spec: NodeSpec, slot: int) -> None:
        self._database = Database.from_settings(spec.settings)
        self._clock = LedgerClock(self._database)
        self._flag = StopFlag()
        self._keeper = _stage_keeper(spec, slot)
        self._time_stage: TimeStage = untimed if self._keeper is None else self._keeper.time_stage
        identifies = spec.role is Role.IDENTIFY
        self._recognition = _Recognition(spec, self._hurry, self._time_stage) if identifies else None
        self._watch = ModelWatch(self._database, self._recognition.holder) if self._recognition else None
        self._reporter = SlotReporter(spec, spec.slot_name(slot), self._database, self._clock, self._watch)
        tidy = self._recognition.tidy if self._recognition else lambda: None
        self._pulse = Pulse(self._reporter, self._watch, spec.settings.model_poll_s, on_idle=tidy)
        self._listener = ModelListener(spec.settings, self._pulse.hurry) if self._watch else None
        self._spec = spec

    def start(self) -> None:
        """Load the model that should serve, if there is one, and begin to report."""
        self._pulse.start()
        if self._listener is not None:
            self._listener.start()

    def _hurry(self) -> None:
        """Look at the models now: one was loaded, or could not be."""
        self._pulse.hurry()

    def stop(self) -> None:
        """Report the end and let everything go."""
        if self._listener is not None:
            self._listener.stop()
        self._pulse.stop()
        if self._recognition is not None:
            self._recognition.close()
        self._database.close()

    def identify(self) -> ChunkEnd:
        """Work on chunks that are due; return how the last of them ended."""
        if self._watch is None or self._recognition is None:
            raise RuntimeError(f"a {self._spec.role} process was told of chunks")
        context = IdentifyContext(
            database=self._database,
            watch=self._watch,
            recognise=self._recognition,
            reporter=self._reporter,
            stop=self._flag,
            clock=self._clock,
            lease_s=self._spec.settings.lease_s,
            interactive_photos=self._spec.settings.interactive_photos,
            poll_s=self._spec.settings.model_poll_s,
            time_stage=self._time_stage,
        )
        with self._flag.busy():
            with self._time_stage(Stage.BETWEEN):
                end = answer_bell(context)
            if self._keeper is not None:
                self._keeper.write()
        return ChunkEnd.RESTART if self._recognition.worn_out else end

    def train(self, run_id: int) -> RunEnd:
        """Work on a training run."""
        context = TrainContext(
            database=self._database,
            settings=self._spec.settings,
            reporter=self._reporter,
            stop=self._flag,
            clock=self._clock,
            devices=self._spec.torch_devices,
            threads=self._spec.threads,
        )
        with self._flag.busy():
            return run_training(run_id, context)


class _Recognition:
    """The model holder and the pipeline that runs its models."""

    def __init__(self, spec: NodeSpec, on_change: Callable[[], None], time_stage: TimeStage) -> None:
        from core.images.decode import DecodeLimits
        from core.images.read import PhotoReader
        from core.models.engine import load_engine
        from core.models.known import Known
        from core.models.store import ModelStore
        from core.models.tuning_cache import TuningCache

        settings = spec.settings
        store, known = ModelStore.from_settings(settings), Known(TuningCache.from_settings(settings))
        self._settings = settings
        self._time_stage = time_stage
        self._reader = PhotoReader.from_settings(settings)
        self._limits = DecodeLimits.from_settings(settings)
        self._watchdog = Watchdog(patience_s(settings))
        self._memory = MemoryLimit(settings.max_worker_bytes)
        self._recogniser: Recogniser | None = None

        def load(sha256: str) -> "Engine":
            with self._memory.loading():
                return load_engine(
                    store.path(sha256),
                    sha256,
                    spec.torch_device,
                    batch_size=settings.batch_size,
                    threads=spec.threads,
                    engine=settings.engine,
                    tuning_budget_s=settings.tuning_budget_s,
                    known=known,
                )

        self.holder = ModelHolder(load, on_change=on_change)

    def __call__(
        self,
        model: ServingModel,
        tasks: Sequence[PhotoTask],
        on_progress: OnProgress,
        *,
        faces: FacesMode,
        fpir: float | None,
    ) -> list[PhotoResult]:
        """Recognise photos with a model that the holder gave."""
        recogniser = self._with_engine(model.engine)

        def tell(settled: int) -> None:
            with self._watchdog.paused():  # the ledger's outages are not a photo's fault
                on_progress(settled)

        with self._watchdog.watching(), self._memory.held():
            return recogniser.recognise(tasks, tell, faces=faces, fpir=fpir)

    @property
    def worn_out(self) -> bool:
        """Whether a new process should take over: reading threads hang, or memory was not let go."""
        stuck = self._recogniser is not None and self._recogniser.stuck_threads >= MAX_STUCK_THREADS
        return stuck or self._memory.outgrown

    def tidy(self) -> None:
        """Give back memory that is not needed."""
        self._memory.tidy()

    def close(self) -> None:
        """Let the model and the threads go."""
        if self._recogniser is not None:
            self._recogniser.close()
        self.holder.close()

    def _with_engine(self, engine: "Engine") -> "Recogniser":
        from core.recognise import Recogniser

        if self._recogniser is None:
            self._recogniser = Recogniser(
                self._reader,
                engine,
                self._limits,
                read_threads=self._settings.read_threads,
                may_halve=is_out_of_memory,
                time_stage=self._time_stage,
            )
        else:
            self._recogniser.use_engine(engine)
        return self._recogniser


def _stage_keeper(spec: NodeSpec, slot: int) -> StageKeeper | None:
    """Return what keeps the stages' times of a process that identifies, where the settings ask for them."""
    if spec.role is not Role.IDENTIFY or not spec.settings.stage_times:
        return None
    return StageKeeper(Path(spec.settings.stage_times).expanduser().absolute(), spec.slot_name(slot))


_runtime: Runtime | None = None


def start(spec: NodeSpec, slot: int) -> None:
    """Build this process's runtime; called once, when the child starts.

    Args:
        spec: the node.
        slot: which of its children this is, from 0.
    """
    global _runtime
    set_up_worker_logging(f"{spec.role}/{slot}", spec.settings.log_level)
    faulthandler.enable()  # a crash in native code leaves in the log where it happened
    claim_cores(spec, slot)
    _runtime = Runtime(spec, slot)
    _runtime.start()


def current() -> Handler:
    """Return this process's runtime."""
    if _runtime is None:
        raise RuntimeError("the runtime is used before the process has started it")
    return _runtime


def stop() -> None:
    """Tear this process's runtime down, if there is one."""
    global _runtime
    if _runtime is not None:
        _runtime.stop()
        _runtime = None


def claim_cores(spec: NodeSpec, slot: int) -> None:
    """Give this slot its share of the cores, before torch makes its thread pools, and let it keep its memory."""
    keep_freed_memory()
    os.environ["OMP_NUM_THREADS"] = str(spec.threads)
    # Threads that spin while they wait take the core from whoever has work: with two busy processes on two cores an
    # epoch of training took 43 s spinning and 7 s sleeping.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # What oneDNN's fuser has compiled it keeps for later graphs, 1,024 parts of networks that never come again: 50 MB
    # after 120 swaps. A network holds its own parts.
    os.environ.setdefault("DNNL_GRAPH_COMPILED_PARTITION_CACHE_CAPACITY", "32")
    import torch

    torch.set_num_threads(spec.threads)
    torch.set_num_interop_threads(1)
    cores = sorted(os.sched_getaffinity(0))
    if spec.device == "cpu" and spec.slots > 1 and spec.slots * spec.threads <= len(cores):
        os.sched_setaffinity(0, cores[slot * spec.threads : (slot + 1) * spec.threads])


def slot_of_process(process: Any) -> int:
    """Return which child of the pool a billiard process is, from 0; a replacement takes over the number."""
    return int(process.index)
