"""Which image formats are read, and Pillow made ready for them: once, lazily, without warnings. Decodes nothing."""

import logging
import re
import threading
import warnings

from PIL import Image

ACCEPTED_FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "GIF", "BMP", "PPM", "JPEG2000")
"""The formats of Pillow that are tried. MPO (several JPEGs in a file, from phones) comes with JPEG, PGM with PPM.

Left out on purpose: EPS and WMF (they start Ghostscript or the system); FITS, HDF5, GRIB, BUFR (stubs, no decoder); TGA
and SPIDER (no signature: chance bytes pass for a picture); PSD, ICO, ICNS, CUR, PCX, DDS, BLP, FTEX, FLI, SGI, SUN, XPM
and the like (icons, textures, drawings and clips, whose decoders few people test).
"""

_PHOTO = re.compile(
    rb"\xff\xd8\xff|\x89PNG|RIFF....WEBP|....ftyp(?:hei|hev|mif1|msf1|avi[fs])|II\*\0|MM\0\*|GIF8|P[1-6fF]\s"
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    re.DOTALL,
)
_OTHER_KINDS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript drawing"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"Rar!", "a rar archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\0\0\x01\0", "an icon"),
    (b"FUJIFILM", "a camera raw file"),
    (b"IIU\0", "a camera raw file"),
    (b"IIRO", "a camera raw file"),
    (b"ID3", "a sound"),
    (b"<", "an HTML, XML or SVG text"),
    (b"{", "a JSON text"),
)
_QUIET = ("ignore", None, Warning, re.compile(r"(PIL|pillow_heif)\."), 0)
_lock = threading.Lock()
_registered = False


def prepare_pillow(max_pixels: int) -> None:
    """Make Pillow ready: formats registered, its own pixel limit out of the way of a higher one, warnings off.

    Pillow warns of oddities in hostile files that facefleet either decodes all the same or reports as the photo's
    error, and `warnings.catch_warnings` is not safe with threads. So one filter for Pillow's own modules stands in the
    process's list, and is put back where something (pytest does for each test) has reset the list.
    """
    if not _registered:
        _register()
    if _QUIET not in warnings.filters:
        warnings.filterwarnings("ignore", module=_QUIET[3].pattern)
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow refuses at twice this, before facefleet's own limit is looked at


def looks_like_photo(data: bytes) -> bool:
    """Say whether bytes begin as a format that is read."""
    return _PHOTO.match(data) is not None


def describe_kind(data: bytes) -> str:
    """Say in words what bytes that are no photo seem to be."""
    if data[4:8] == b"ftyp":
        return "a video"
    data = data[:64].lstrip(b"\xef\xbb\xbf \r\n\t")
    return next((kind for magic, kind in _OTHER_KINDS if data.startswith(magic)), "no photo in a format that is read")


def _register() -> None:
    global _registered
    with _lock:
        if _registered:
            return
        import pillow_heif  # here, as it loads libheif

        # One thread a photo, as photos are read side by side; no thumbnails, as one may show another picture.
        pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False)
        Image.init()
        logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what is wrong with a photo is in its outcome
        _registered = True
