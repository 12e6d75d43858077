"""From a photo's bytes to the crops of its faces: what can be done for one photo alone, then what a group shares.

Reads no file, and decides nothing about whose faces they are. The same code serves training and identification. Finding
faces in photographs is in core.photographs; here torch is not needed.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.errors import PhotoError
from core.faces.crop import crop_whole_photo
from core.images.decode import decode_photo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.images.decode import DecodeLimits

DEFAULT_TEMPLATE = ((0.3156, 0.4616), (0.6826, 0.4616), (0.5002, 0.6405), (0.3495, 0.8247), (0.6534, 0.8247))
"""Where landmarks lie in the crops of a network that is trained from scratch: eyes, nose, corners of the mouth, as in
face-reidentification-retail-0095, which shows the whole face with a little around it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceCrop:
    """One face, ready for the network."""

    pixels: "NDArray[np.uint8]"
    """[S, S, 3] RGB."""
    box_xyxy_px: tuple[float, float, float, float]
    """(x1, y1, x2, y2) in pixels of the upright original photo."""
    landmarks_px: tuple[tuple[float, float], ...] = ()
    """Five points in pixels of the upright original photo; empty when nothing looked for them."""
    quality: float | None = None
    """0..1, higher is better; None when nothing measured it."""
    quality_reasons: tuple[str, ...] = ()
    """Why it gets no name whoever it is; empty when it passed the quality gate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedPhoto:
    """A photo after what a thread does for it alone. What a source of faces needs beyond this, it adds."""

    width_px: int
    height_px: int
    """Size of the upright original."""

    @property
    def held_bytes(self) -> int:
        """How much memory it takes until its faces are found, about."""
        raise NotImplementedError


class FaceSource(Protocol):
    """A way in which photos become crops."""

    def prepare(self, data: bytes) -> PreparedPhoto:
        """Do what one photo needs alone; called from several threads.

        Raises:
            PhotoError: the photo cannot be used.
        """
        ...

    def find(self, photos: Sequence[PreparedPhoto]) -> list[tuple[FaceCrop, ...] | PhotoError]:
        """Return the faces of each of a group of photos that this source prepared; called from one thread at a time.

        Returns:
            For every photo its faces, left to right, then top to bottom, or why it cannot be used.

        Raises:
            RuntimeError: the device failed; no photo is to blame.
        """
        ...


class SourceOnDemand:
    """A source that is made when the first photo needs it: its networks take a moment to load.

    Args:
        make: makes it; what it raises, the first photo raises.
    """

    def __init__(self, make: Callable[[], FaceSource]) -> None:
        self._make = make
        self._making = threading.Lock()
        self._made: FaceSource | None = None

    def prepare(self, data: bytes) -> PreparedPhoto:
        """Do what one photo needs alone; called from several threads."""
        return self._source().prepare(data)

    def find(self, photos: Sequence[PreparedPhoto]) -> list[tuple[FaceCrop, ...] | PhotoError]:
        """Return the faces of each of a group of photos."""
        return self._source().find(photos)

    def _source(self) -> FaceSource:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made


@dataclass(frozen=True, kw_only=True)
class WholePhotos:
    """Takes each photo as the one face that it shows."""

    limits: "DecodeLimits"
    size_px: int
    """Side of the crops."""

    def prepare(self, data: bytes) -> PreparedPhoto:
        """Decode a photo and scale it to the crop."""
        photo = decode_photo(data, self.limits, reduce_to_px=self.size_px)
        return _WholePhoto(
            width_px=photo.width_px,
            height_px=photo.height_px,
            crop=FaceCrop(
                pixels=crop_whole_photo(photo.pixels, self.size_px),
                box_xyxy_px=(0.0, 0.0, float(photo.width_px), float(photo.height_px)),
            ),
        )

    def find(self, photos: Sequence[PreparedPhoto]) -> list[tuple[FaceCrop, ...] | PhotoError]:
        """Return the one crop of each photo."""
        return [(photo.crop,) for photo in photos if isinstance(photo, _WholePhoto)]


@dataclass(frozen=True, kw_only=True, eq=False)
class _WholePhoto(PreparedPhoto):
    crop: FaceCrop

    @property
    def held_bytes(self) -> int:
        return self.crop.pixels.nbytes
