"""Holds the one model that serves, and changes it without a gap: the old one stays until the new one has proved itself.

Does not know which model should serve; the database says so and the worker's model watch offers it.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import FacefleetError
from core.models.engine import Engine

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServingModel:
    """A model that is loaded, warm and checked. Take it once a chunk: the reference outlives a swap."""

    version: int
    """The model's version in the registry."""
    generation: int
    """The activation that made it serve."""
    engine: Engine


@dataclass(frozen=True, kw_only=True)
class FailedSwap:
    """Why the model that was offered last does not serve."""

    version: int
    generation: int
    code: str
    """A stable code out of docs/errors.md."""
    message: str


class ModelHolder:
    """The one reference to the model that serves.

    Args:
        load: gives the engine of a sha256, verified, warm and checked, or raises.
        retry_after_s: how long a generation that failed to load is left alone.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        load: Callable[[str], Engine],
        *,
        retry_after_s: float = 30.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._retry_after_s = retry_after_s
        self._now = now
        self._swapping = threading.Lock()
        self._current: ServingModel | None = None
        self._failure: FailedSwap | None = None
        self._retry_at = 0.0

    @property
    def current(self) -> ServingModel | None:
        """The model that serves; None before the first."""
        return self._current

    @property
    def failure(self) -> FailedSwap | None:
        """Why the last offer was not taken; None after one that was."""
        return self._failure

    def offer(self, *, version: int, generation: int, sha256: str) -> bool:
        """Make a model serve, if it is newer than the one that does and proves itself. Called between chunks.

        Args:
            version: the model's version in the registry.
            generation: the activation's number; older ones than the current are ignored.
            sha256: of the artifact.

        Returns:
            Whether this generation serves now. When not, the old one goes on serving and `failure` says why.
        """
        with self._swapping:
            if self._current is not None and generation <= self._current.generation:
                return generation == self._current.generation
            if self._failure is not None and self._failure.generation == generation and self._now() < self._retry_at:
                return False
            return self._swap(version, generation, sha256)

    def close(self) -> None:
        """Let the model go and free its memory."""
        with self._swapping:
            if self._current is not None:
                self._current.engine.close()
            self._current = None

    def _swap(self, version: int, generation: int, sha256: str) -> bool:
        try:
            engine = self._engine_of(sha256)
        except Exception as error:  # whatever it is, the old model must go on serving
            self._refuse(version, generation, error)
            return False
        self._current = ServingModel(version=version, generation=generation, engine=engine)
        self._failure = None
        _log.info("model %d serves (generation %d, %s, %s)", version, generation, engine.device, engine.variant)
        return True

    def _engine_of(self, sha256: str) -> Engine:
        """Load an engine, unless the one that serves is of the same bytes (an activation of the same model again)."""
        if self._current is not None and self._current.engine.sha256 == sha256:
            return self._current.engine
        return self._load(sha256)

    def _refuse(self, version: int, generation: int, error: Exception) -> None:
        """Record why a model does not serve."""
        code = error.code if isinstance(error, FacefleetError) else FacefleetError.code
        _log.error("model %d does not serve: %s", version, error, exc_info=code == FacefleetError.code)
        self._failure = FailedSwap(version=version, generation=generation, code=code, message=str(error))
        self._retry_at = self._now() + self._retry_after_s
