"""Loads models on a thread of its own, one after the other, while another serves. Does not decide which serves.

Serving goes first: between two loads the thread rests. It is as urgent to the system as the threads that serve: while
it holds the interpreter's lock they wait for it, all the longer where it gets less of a busy core.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.errors import FacefleetError
from core.models.wanted import FailedLoad, WantedModel

if TYPE_CHECKING:
    from core.models.engine import Engine

_log = logging.getLogger(__name__)

LOADING_SHARE, LONGEST_REST_S = 0.03, 2.0
"""From the beginning of a load to that of the next pass 33 times what it computed: loading takes 3 % of a core. No
longer than this, though, so that of models that are activated one after the other none waits for 3 s."""
_CLOSE_S = 2.0


class BackgroundLoader:
    """Loads what is wanted; the thread starts with the first request.

    Args:
        load: gives the engine of a sha256, verified, warm and checked, or raises.
        on_loaded: takes an engine over, on the loader's thread.
        on_end: hears, on the loader's thread, that a load has ended, well or not.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        load: Callable[[str], "Engine"],
        *,
        on_loaded: Callable[[WantedModel, "Engine"], None],
        on_end: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._on_loaded = on_loaded
        self._on_end = on_end
        self._now = now
        self._changed = threading.Condition()
        self._requested: Sequence[WantedModel] = ()
        self._failures: dict[WantedModel, FailedLoad] = {}
        self._rest_until_s = 0.0
        self._closed = False
        self._thread: threading.Thread | None = None

    def request(self, models: Sequence[WantedModel]) -> None:
        """Say what is missing, the most wanted first. A load that was begun is finished; what waits is forgotten."""
        with self._changed:
            if self._closed:
                return
            self._requested = tuple(models)
            self._failures = {model: failed for model, failed in self._failures.items() if model in models}
            self._changed.notify_all()
            if models and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="model-loader", daemon=True)
                self._thread.start()

    def failure_of(self, model: WantedModel) -> FailedLoad | None:
        """Return why a model that is requested could not be loaded; None while that is not known."""
        with self._changed:
            return self._failures.get(model)

    def wait_for(self, model: WantedModel, timeout_s: float) -> bool:
        """Wait until a model was loaded or failed, or is not requested any more; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_settled(model), timeout_s)

    def close(self) -> None:
        """End the thread; a load that is under way is not waited for long."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def _is_settled(self, model: WantedModel) -> bool:
        return self._closed or model in self._failures or model not in self._requested

    def _run(self) -> None:
        while (model := self._take()) is not None:
            self._load_one(model)
            self._on_end()

    def _load_one(self, model: WantedModel) -> None:
        begun_s, computed_before_s = self._now(), time.thread_time()
        try:
            engine = self._load(model.sha256)
        except Exception as error:  # whatever it is, the old model must go on serving
            self._refuse(model, error)
        else:
            computed_s = time.thread_time() - computed_before_s
            took = f"{self._now() - begun_s:.2f} s, {computed_s:.2f} s of them computing"
            _log.info("model %d is loaded (%s, %s, %s)", model.version, engine.device, engine.variant, took)
            self._settle(model, engine, begun_s + min(computed_s / LOADING_SHARE, LONGEST_REST_S))

    def _take(self) -> WantedModel | None:
        """Wait for the next model that is due; None when the loader is closed."""
        with self._changed:
            while not self._closed:
                due = {model: self._due_s(model) for model in self._requested}
                for model, due_s in due.items():
                    if due_s <= self._now():
                        return model
                self._changed.wait(max(0.0, min(due.values()) - self._now()) if due else None)
        return None

    def _due_s(self, model: WantedModel) -> float:
        """Return when a model may be loaded, on the loader's clock."""
        failure = self._failures.get(model)
        return self._rest_until_s if failure is None else max(failure.retry_s, self._rest_until_s)

    def _settle(self, model: WantedModel, engine: "Engine", rest_until_s: float) -> None:
        """Hand an engine over, and rest."""
        self._on_loaded(model, engine)  # first: whoever asks for it in this moment must find it
        with self._changed:
            self._failures.pop(model, None)
            self._requested = tuple(each for each in self._requested if each != model)
            self._rest_until_s = rest_until_s
            self._changed.notify_all()

    def _refuse(self, model: WantedModel, error: Exception) -> None:
        """Record why a model was not loaded."""
        code = error.code if isinstance(error, FacefleetError) else FacefleetError.code
        _log.error("model %d is not loaded: %s", model.version, error, exc_info=code == FacefleetError.code)
        with self._changed:
            before = self._failures.get(model)
            self._failures[model] = FailedLoad(
                model=model,
                code=code,
                message=str(error),
                attempts=1 + (before.attempts if before else 0),
                failed_s=self._now(),
            )
            self._changed.notify_all()
