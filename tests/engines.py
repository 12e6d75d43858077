"""Stand-ins for engines, and loaders of them that fail, wait or count as a test says."""

import threading
from collections import Counter
from types import SimpleNamespace

from core.errors import ArtifactMissingError
from core.models.holder import ModelHolder
from core.models.wanted import WantedModel
from core.records import FacesMode


class StubEngine:
    """A loaded model without a network."""

    device = "cpu"
    variant = "stub"
    images_per_s = 100.0
    tuning_cached = False

    def __init__(self, sha256: str, faces: FacesMode = FacesMode.CROP) -> None:
        self.sha256 = sha256
        self.manifest = SimpleNamespace(faces=faces)
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class StubLoader:
    """Loads stub engines: at once, or when the test lets it; refuses those that the test calls bad."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.engines: list[StubEngine] = []
        self.bad: dict[str, Exception] = {}
        self.faces: dict[str, FacesMode] = {}
        self._may_load = threading.Event()
        self._may_load.set()

    def __call__(self, sha256: str) -> StubEngine:
        self.calls[sha256] += 1
        assert self._may_load.wait(30), "nobody let the loader go on"
        if sha256 in self.bad:
            raise self.bad[sha256]
        engine = StubEngine(sha256, self.faces.get(sha256, FacesMode.CROP))
        self.engines.append(engine)
        return engine

    def hold(self) -> None:
        """Let loads wait from now on."""
        self._may_load.clear()

    def let_go(self) -> None:
        """Let loads end."""
        self._may_load.set()

    def break_file(self, sha256: str) -> None:
        """Have loads of a model fail."""
        self.bad[sha256] = ArtifactMissingError(f"The file {sha256} is gone.")

    @property
    def open_shas(self) -> list[str]:
        """The models whose engines hold memory."""
        return sorted(engine.sha256 for engine in self.engines if not engine.is_closed)


def wanted(number: int, generation: int | None) -> WantedModel:
    """The model of a version, whose bytes are named by its number."""
    return WantedModel(version=number, sha256=str(number) * 64, generation=generation)


def serve(holder: ModelHolder, model: WantedModel, beside: WantedModel | None = None) -> None:
    """Want models, wait for the one that should serve, and switch."""
    holder.want(model, beside)
    assert holder.wait_loaded(30)
    holder.switch()
