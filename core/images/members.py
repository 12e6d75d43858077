"""What zip and tar files have in common: their members, how one is read within a limit, and what goes wrong.

Nothing an archive says about itself is trusted: a member is read up to the limit and no further, whatever size is
declared.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from core.errors import PhotoMissingError, PhotoTooManyBytesError, UnsafeMemberError

ARCHIVE_FAULTS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What the standard library raises on archives that are broken or made to attack; also OSError without an errno."""

_PIECE_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Member:
    """One entry of an archive that is not a folder."""

    name: str
    shadowed: bool = False
    """A later entry has the same name, and is the one that reading gives."""


class Archive(Protocol):
    """An open archive. Not safe for two threads at once."""

    def members(self) -> Iterator[Member]:
        """Yield the members that are not folders, in the archive's order."""
        ...

    def read(self, name: str) -> bytes:
        """Read one member; raises a leaf of PhotoError, or one of ARCHIVE_FAULTS."""
        ...

    def close(self) -> None:
        """Close the archive's file."""
        ...


def read_limited(stream: BinaryIO, max_bytes: int, name: str) -> bytes:
    """Read a stream to its end, but never more than one byte over the limit.

    Raises:
        PhotoTooManyBytesError: there is more than `max_bytes`.
    """
    pieces: list[bytes] = []
    room = max_bytes + 1
    while room > 0 and (piece := stream.read(min(room, _PIECE_BYTES))):
        pieces.append(piece)
        room -= len(piece)
    if room <= 0:
        raise PhotoTooManyBytesError(
            f"{name} is larger than {max_bytes:,} bytes. It was not decoded. "
            "Raise FACEFLEET_MAX_PHOTO_BYTES if photos of this size are expected."
        )
    return b"".join(pieces)


def missing_member(name: str) -> PhotoMissingError:
    """Make the error for a member that is not there."""
    return PhotoMissingError(
        f"The archive has no member {name!r} any more. The photo was not read. Submit the archive again if it was "
        "replaced."
    )


def unsafe_member(name: str) -> UnsafeMemberError:
    """Make the error for a member that is no file."""
    return UnsafeMemberError(
        f"The archive member {name!r} is a link or a device, not a file. It was not read. Repack the archive with the "
        "file itself."
    )
