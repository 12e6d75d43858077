"""Reads labelled photos as a network's input: the same bytes-to-crop path as serving takes."""

import numpy as np
from numpy.typing import NDArray

from core.faces.crop import crop_whole_photo
from core.images.decode import DecodeLimits, decode_photo
from core.images.read import PhotoReader
from core.records import Example
from core.settings import Settings


class CropLoader:
    """Loads the crop of an example (core.training.request.LoadCrop). Safe for many threads."""

    def __init__(self, settings: Settings) -> None:
        self._reader = PhotoReader.from_settings(settings)
        self._limits = DecodeLimits.from_settings(settings)

    def __call__(self, example: Example, size_px: int) -> NDArray[np.uint8]:
        """Return uint8 [size_px, size_px, 3] RGB.

        Raises:
            PhotoError: the photo cannot be used.
            SourceUnreachableError: the place it lies in did not answer.
        """
        photo = decode_photo(self._reader.read(example.uri), self._limits, reduce_to_px=size_px)
        return crop_whole_photo(photo.pixels, size_px)
