"""The model watch: asks the ledger which model should serve and offers it to the holder, between chunks.

Looks every FACEFLEET_MODEL_POLL_S while the slot is idle (workers/pulse), and when a claim says that the model changed.
"""

import logging
import threading
from typing import Protocol

from db import registry
from db.engine import Database

_log = logging.getLogger(__name__)


class Loaded(Protocol):
    """A model that serves here (core.models.holder.ServingModel)."""

    @property
    def version(self) -> int:
        """Its id in the registry."""

    @property
    def generation(self) -> int:
        """The activation that made it serve."""


class Failure(Protocol):
    """Why a model does not serve here (core.models.holder.FailedSwap)."""

    @property
    def message(self) -> str:
        """The sentence for a person."""


class Holder(Protocol):
    """What holds the model (core.models.holder.ModelHolder); named here so that nothing light imports torch."""

    @property
    def current(self) -> Loaded | None:
        """The model that serves."""

    @property
    def failure(self) -> Failure | None:
        """Why the last offer was not taken."""

    def offer(self, *, version: int, generation: int, sha256: str) -> bool:
        """Make a model serve if it is newer and proves itself."""


class ModelWatch:
    """Keeps the holder at the model that the ledger says. One chunk, one model: swaps happen only in `refresh`."""

    def __init__(self, database: Database, holder: Holder) -> None:
        self._database = database
        self._holder = holder
        self._none_active = False
        self._offered = 0
        self.between_chunks = threading.Lock()
        """Held while a chunk is worked on: the idle poll then leaves the model alone."""

    def refresh(self) -> Loaded | None:
        """Ask the ledger, load and swap if it names a newer model, and return the one that serves here.

        Raises:
            DatabaseUnreachableError: the ledger did not answer; what serves goes on serving.
        """
        with self._database.read() as session:
            wanted = registry.serving_model(session)
        self._none_active = wanted is None
        if wanted is not None:
            self._holder.offer(version=wanted.model_id, generation=wanted.generation, sha256=wanted.sha256)
            self._offered = wanted.generation
        return self._holder.current

    def ready(self) -> Loaded | None:
        """Return the model that serves here; ask the ledger only when there is none or the last one was not taken.

        Raises:
            DatabaseUnreachableError: the ledger was asked and did not answer.
        """
        return self.refresh() if self.error is not None else self._holder.current or self.refresh()

    def knows(self, wanted: registry.ServingModel | None) -> bool:
        """Whether a model that the ledger names was offered to the holder already, and taken or refused."""
        return wanted is None or wanted.generation <= self._offered

    def refresh_if_idle(self) -> None:
        """Refresh unless a chunk is being worked on."""
        if self.between_chunks.acquire(blocking=False):
            try:
                self.refresh()
            finally:
                self.between_chunks.release()

    @property
    def serving(self) -> Loaded | None:
        """The model that serves here now."""
        return self._holder.current

    @property
    def error(self) -> str | None:
        """Why the model that should serve does not, here; None when all is well."""
        if self._none_active:
            return "No model is active yet; chunks wait. Train one with `facefleet retrain`."
        return self._holder.failure.message if self._holder.failure else None
