"""Holds the models of a process and changes them without a gap: the old one serves until the new one has proved itself.

Does not know which models are wanted; the database says so and the worker's model watch passes it on. Loading is done
in the background (core/models/loader.py); a switch between two chunks exchanges references and nothing more.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.models.loader import BackgroundLoader
from core.models.wanted import FailedLoad, WantedModel
from core.records import FacesMode

if TYPE_CHECKING:
    from core.models.engine import Engine

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServingModel:
    """A model that is loaded, warm and checked. Take it once a chunk."""

    version: int
    """The model's version in the registry."""
    generation: int | None
    """The activation that made it serve; None for one that stands beside the model that serves."""
    engine: "Engine"
    since_s: float = math.inf
    """When it was put in its place, on the holder's clock."""

    @property
    def faces(self) -> FacesMode:
        """The kind of photos that it takes."""
        return self.engine.manifest.faces


class ModelHolder:
    """The references to the model that serves and the one beside it.

    Args:
        load: gives the engine of a sha256, verified, warm and checked, or raises.
        on_change: hears, on another thread, that a load has ended: a switch may be due, or a failure is to be told.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        load: Callable[[str], "Engine"],
        *,
        on_change: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loader = BackgroundLoader(load, on_loaded=self._take_in, on_end=on_change, now=now)
        self._now = now
        self._lock = threading.Lock()
        self._wanted: WantedModel | None = None
        self._wanted_beside: WantedModel | None = None
        self._current: ServingModel | None = None
        self._beside: ServingModel | None = None
        self._next: ServingModel | None = None
        self._next_beside: ServingModel | None = None

    @property
    def current(self) -> ServingModel | None:
        """The model that serves; None before the first."""
        return self._current

    @property
    def beside(self) -> ServingModel | None:
        """The model that stands beside it, once it is loaded."""
        return self._beside

    @property
    def failures(self) -> tuple[FailedLoad, ...]:
        """Why models that are wanted are not here, the one that should serve first; empty when all is well."""
        with self._lock:
            wanted = [model for model in (self._wanted, self._wanted_beside) if model is not None]
        failures = [self._loader.failure_of(model) for model in wanted]
        return tuple(failure for failure in failures if failure is not None)

    @property
    def is_loading(self) -> bool:
        """Whether a newer model should serve and may do so soon: it is being loaded, or about to be."""
        awaited = self._awaited()
        return awaited is not None and self._loader.failure_of(awaited) is None

    def want(
        self,
        model: WantedModel | None,
        beside: WantedModel | None = None,
        before: WantedModel | None = None,
    ) -> None:
        """Say which models should be here; what is missing is loaded in the background.

        Args:
            model: the one that should serve, with its generation; an older one than was wanted before changes nothing.
            beside: the one that should stand beside it, without a generation.
            before: the one that served before, with its generation: it serves when none does and the newer one fails.
        """
        with self._lock:
            if self._wanted is not None and (model is None or _generation(model) < _generation(self._wanted)):
                return
            self._wanted, self._wanted_beside = model, beside
            self._place_what_is_here()
            last = self._next or self._current
            missing = [
                each
                for each, place in ((model, last), (beside, self._next_beside or self._beside))
                if each is not None and (place is None or place.engine.sha256 != each.sha256)
            ]
            if last is None and before is not None and model is not None and self._loader.failure_of(model) is not None:
                missing.append(before)
            self._loader.request(missing)

    def switch(self) -> ServingModel | None:
        """Put in place what was loaded, free what is not needed any more, and return the model that serves.

        Called between two chunks: no model may be at work.
        """
        with self._lock:
            before = self._engines()
            if self._next is not None:
                self._current, self._next = replace(self._next, since_s=self._now()), None
                _log.info("model %d serves (generation %s)", self._current.version, self._current.generation)
            self._switch_beside()
            freed = before - self._engines()
        for engine in freed:
            engine.close()
        return self._current

    def wait_loaded(self, timeout_s: float) -> bool:
        """Wait until the model that should serve was loaded or failed; return whether that is so."""
        awaited = self._awaited()
        return awaited is None or self._loader.wait_for(awaited, timeout_s)

    def close(self) -> None:
        """Let the models go and free their memory."""
        self._loader.close()
        with self._lock:
            engines = self._engines()
            self._current = self._beside = self._next = self._next_beside = None
        for engine in engines:
            engine.close()

    def _awaited(self) -> WantedModel | None:
        """Return the model that should serve while it is not here."""
        with self._lock:
            return self._wanted if self._wanted is not None and self._is_newer(self._wanted) else None

    def _take_in(self, model: WantedModel, engine: "Engine") -> None:
        """Take an engine over from the loader. One that was overtaken serves all the same until the newer one does."""
        with self._lock:
            kept = self._place(model, engine)
        if not kept:
            engine.close()

    def _switch_beside(self) -> None:
        """Keep what is wanted beside the model that serves, and let go what is not wanted any more."""
        wanted = self._wanted_beside
        for place in (self._next_beside, self._beside):
            if place is not None and wanted is not None and place.version == wanted.version:
                self._beside = place if place is self._beside else replace(place, since_s=self._now())
                break
        else:
            self._beside = None
        self._next_beside = None

    def _place_what_is_here(self) -> None:
        """Give engines that are here the places that they are wanted in now: activated again, or no longer beside."""
        for wanted in (self._wanted, self._wanted_beside):
            here = next((each for each in self._engines() if wanted is not None and each.sha256 == wanted.sha256), None)
            if wanted is not None and here is not None:
                self._place(wanted, here)

    def _place(self, model: WantedModel, engine: "Engine") -> bool:
        """Put an engine where the next switch finds it; return whether it is of use."""
        placed = ServingModel(version=model.version, generation=model.generation, engine=engine)
        if model.generation is None:
            if model != self._wanted_beside:
                return False
            if self._beside is None or self._beside.engine is not engine:
                self._next_beside = placed
            return True
        if not self._is_newer(model):
            return False
        replaced, self._next = self._next, placed
        if replaced is not None and replaced.engine not in self._engines():
            replaced.engine.close()
        return True

    def _is_newer(self, model: WantedModel) -> bool:
        """Whether a model should take the place of the one that serves, or of the one that is about to."""
        last = self._next or self._current
        return last is None or _generation(model) > (last.generation or 0)

    def _engines(self) -> "set[Engine]":
        places = (self._current, self._beside, self._next, self._next_beside)
        return {place.engine for place in places if place is not None}


def _generation(model: WantedModel) -> int:
    return model.generation or 0
