"""Thumbnails that stand inside a page, as data URIs. Reads and decodes a photo as the workers do."""

import base64
import io
from collections.abc import Callable

from PIL import Image

from core.errors import PhotoError, SourceUnreachableError
from core.images.decode import DecodeLimits, decode_photo

# WebP at this quality is 2-4 kB for a 128 px face: half of a JPEG that looks the same.
_QUALITY = 78


class Thumbnails:
    """Makes square thumbnails of photos."""

    def __init__(self, read: Callable[[str], bytes], limits: DecodeLimits) -> None:
        """Take photos from `read`, which raises what `PhotoReader.read` raises."""
        self._read = read
        self._limits = limits

    def make(self, uri: str, side_px: int) -> str | None:
        """Return the middle square of a photo as a `data:` URI, or None when the photo cannot be read."""
        try:
            pixels = decode_photo(self._read(uri), self._limits, reduce_to_px=side_px).pixels
        except (PhotoError, SourceUnreachableError):
            return None
        height, width = pixels.shape[:2]
        side = min(height, width)
        # Heads are cut off at the chin rather than at the crown: the square of a portrait stands a little high.
        left, top = (width - side) // 2, (height - side) * 2 // 5
        square = Image.fromarray(pixels[top : top + side, left : left + side])
        if side > side_px:
            square = square.resize((side_px, side_px), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        square.save(buffer, "WEBP", quality=_QUALITY, method=4)
        return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
