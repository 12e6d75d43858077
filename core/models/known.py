"""What is known from models that were loaded before: how networks of a kind run best, and the detectors at hand.

A model that is swapped in is mostly of the same kind as the one before: to measure the ways to run it again would take
ten times what loading it does.
"""

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from core.records import EngineKind

if TYPE_CHECKING:
    from core.faces.detect import Detector
    from core.models.tuning import Tuning, TuningKey
    from core.models.tuning_cache import TuningCache


class Known:
    """One process's knowledge, of models on one device.

    Args:
        cache: what all processes of this machine know of tunings; None: this one learns for itself.
    """

    def __init__(self, cache: "TuningCache | None" = None) -> None:
        self._cache = cache
        self._tunings: dict[TuningKey, Tuning] = {}
        self._detectors: WeakValueDictionary[str, Detector] = WeakValueDictionary()

    def tuning(self, key: "TuningKey", budget_s: float) -> "Tuning | None":
        """Return how networks of a kind ran best; None for the first of its kind.

        Args:
            key: the kind, and where it runs.
            budget_s: seconds that there are for measuring. What another process measured is not taken where more time
                might find something faster.
        """
        if key not in self._tunings and self._cache is not None:
            kept = self._cache.find(key)
            if kept is not None and not kept.leaves_open(budget_s):
                self._tunings[key] = kept
        return self._tunings.get(key)

    def learn(self, key: "TuningKey", tuning: "Tuning") -> None:
        """Remember how networks of a kind ran best."""
        self._tunings[key] = tuning
        if self._cache is not None:
            self._cache.store(key, tuning)

    def detector(self, data: bytes, sha256: str, device: str, engine: EngineKind) -> "Detector":
        """Return a detector of these weights: one that another model uses, or a new one.

        Args:
            data: bytes of its file.
            sha256: of these bytes.
            device: where it runs.
            engine: what may compute on a CPU; of one process always the same.

        Raises:
            WeightsUnreadableError: the bytes are not YuNet's.
        """
        from core.faces.detect import load_detector

        found = self._detectors.get(sha256)
        if found is None:
            found = self._detectors[sha256] = load_detector(data, device, engine=engine)
        return found
