"""The model watch: asks the ledger which models should be here, tells the holder, and says which decides a chunk.

Looks every FACEFLEET_MODEL_POLL_S, at every claim, and when it is hurried. Never waits for a model to load.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from core.models.holder import ModelHolder, ServingModel
from core.models.wanted import FailedLoad, WantedModel
from core.records import FacesMode
from db import beside, registry, swaps
from db.engine import Database


@dataclass(frozen=True, kw_only=True)
class WantedModels:
    """What the ledger says should be on every worker."""

    serving: registry.ServingModel | None
    """The active model."""
    beside: beside.BesideModel | None
    """The model that stands beside it."""
    before: registry.ServingModel | None = None
    """The model that served before the active one; asked for only where none serves."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which models look at a chunk."""

    model: ServingModel
    """Decides it, alone."""
    shadow: ServingModel | None = None
    """Scores it too, when it is stored."""


def read_wanted(session: Session) -> WantedModels:
    """Return which models should be on every worker now."""
    return WantedModels(serving=registry.serving_model(session), beside=beside.model_beside(session))


class ModelWatch:
    """Keeps the holder at the models that the ledger says. Switches only between chunks."""

    def __init__(self, database: Database, holder: ModelHolder) -> None:
        self._database = database
        self._holder = holder
        self._none_active = False
        self.between_chunks = threading.Lock()
        """Held while a chunk is worked on: the poll then leaves the models where they are."""

    def poll(self, on_idle: Callable[[], None]) -> None:
        """Ask the ledger; unless a chunk is being worked on, put in place what was loaded meanwhile.

        Args:
            on_idle: called while no chunk is worked on, and none is begun.

        Raises:
            DatabaseUnreachableError: the ledger did not answer; what serves goes on serving.
        """
        try:
            self.look()
        finally:
            if self.between_chunks.acquire(blocking=False):
                try:
                    self._holder.switch()
                    on_idle()
                finally:
                    self.between_chunks.release()

    def look(self) -> None:
        """Ask the ledger, and have loaded in the background what is missing.

        Raises:
            DatabaseUnreachableError: the ledger did not answer; what serves goes on serving.
        """
        with self._database.read() as session:
            wanted = read_wanted(session)
            if self._holder.current is None and wanted.serving is not None:
                wanted = replace(wanted, before=swaps.model_before(session, wanted.serving))
            self.hear(wanted)

    def hear(self, wanted: WantedModels) -> None:
        """Take note of what the ledger says."""
        self._none_active = wanted.serving is None
        self._holder.want(
            _as_wanted(wanted.serving, wanted.serving.generation) if wanted.serving else None,
            _as_wanted(wanted.beside, None) if wanted.beside else None,
            _as_wanted(wanted.before, wanted.before.generation) if wanted.before else None,
        )

    def switch(self) -> ServingModel | None:
        """Put in place what was loaded, and return the model that serves here. Called between chunks."""
        return self._holder.switch()

    def choose(self, wanted: WantedModels, chunk_id: int, faces: FacesMode) -> Choice | None:
        """Say which models look at a chunk. Called between chunks, with what the ledger said when it was claimed.

        Where a model stands beside the active one, the chunk's id decides which looks at it: the same on every worker.

        Args:
            wanted: what the ledger says.
            chunk_id: the chunk.
            faces: the kind of its photos.

        Returns:
            The choice, or None while no model is here that takes such photos and one is being loaded that may.
        """
        self.hear(wanted)
        serving, here, other = self._holder.switch(), self._holder.beside, wanted.beside
        if serving is None or (serving.faces is not faces and self._holder.is_loading):
            return None
        if here is None or other is None or here.version != other.model_id or here.faces is not faces:
            return Choice(model=serving)
        if is_in_share(chunk_id, other.model_id, other.canary_share or 0.0):
            return Choice(model=here)
        return Choice(
            model=serving, shadow=here if is_in_share(chunk_id, other.model_id, other.shadow_share or 0.0) else None
        )

    def wait_loaded(self, timeout_s: float) -> bool:
        """Wait until the model that should serve was loaded or failed; return whether that is so."""
        return self._holder.wait_loaded(timeout_s)

    @property
    def is_loading(self) -> bool:
        """Whether a newer model should serve here and may do so soon."""
        return self._holder.is_loading

    @property
    def serving(self) -> ServingModel | None:
        """The model that serves here now."""
        return self._holder.current

    @property
    def beside(self) -> ServingModel | None:
        """The model that stands beside it here now."""
        return self._holder.beside

    @property
    def failures(self) -> Sequence[FailedLoad]:
        """Why models that should be here are not."""
        return self._holder.failures

    @property
    def error(self) -> str | None:
        """Why the model that should serve does not, here; None when all is well."""
        if self._none_active:
            return "No model is active yet; chunks wait. Train one with `facefleet retrain`."
        return next((failed.message for failed in self.failures if failed.model.generation is not None), None)


def _as_wanted(model: registry.ServingModel | beside.BesideModel, generation: int | None) -> WantedModel:
    return WantedModel(version=model.model_id, sha256=model.sha256, generation=generation)


def is_in_share(chunk_id: int, model_id: int, share: float) -> bool:
    """Whether a chunk is among the share that a model looks at: the same wherever and whenever it is asked."""
    digest = hashlib.sha256(f"{model_id}/{chunk_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
