"""What a process learned from the models that it loaded: how networks of a kind run best, and the detectors at hand.

A model that is swapped in is mostly of the same kind as the one before: to measure the ways to run it again would take
ten times what loading it does.
"""

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from core.faces.detect import Detector
    from core.models.manifest import Manifest
    from core.models.variants import Variant

Kind = tuple[str, int, int]


class Known:
    """One process's knowledge, of models on one device."""

    def __init__(self) -> None:
        self._variants: dict[Kind, Variant] = {}
        self._detectors: WeakValueDictionary[str, Detector] = WeakValueDictionary()

    def variant_of(self, manifest: "Manifest") -> "Variant | None":
        """Return the way in which networks of this kind ran best; None for the first of its kind."""
        return self._variants.get(_kind(manifest))

    def learn(self, manifest: "Manifest", variant: "Variant") -> None:
        """Remember how a network of a kind ran best."""
        self._variants[_kind(manifest)] = variant

    def detector(self, data: bytes, sha256: str, device: str) -> "Detector":
        """Return a detector of these weights: one that another model uses, or a new one.

        Args:
            data: bytes of its file.
            sha256: of these bytes.
            device: where it runs.

        Raises:
            WeightsUnreadableError: the bytes are not YuNet's.
        """
        from core.faces.detect import load_detector

        found = self._detectors.get(sha256)
        if found is None:
            found = self._detectors[sha256] = load_detector(data, device)
        return found


def _kind(manifest: "Manifest") -> Kind:
    """What decides how fast a network runs: its architecture and sizes, and not its weights or whom it knows."""
    return manifest.backbone, manifest.input_size_px, manifest.embedding_dim
