"""Reads tar files, plain or compressed, member by member and forward, in memory. Unpacks nothing to disk."""

import bz2
import gzip
import lzma
import tarfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from core.errors import NotAPhotoError, PhotoBrokenError
from core.images.members import ARCHIVE_FAULTS, Member, missing_member, read_limited, unsafe_member

_LOOK_BACK_BYTES = 64 * 2**20
_HEADER_BYTES = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where in the uncompressed tar a member's bytes lie."""

    offset: int
    size: int
    is_file: bool
    is_folder: bool
    is_sparse: bool


class TarArchive:
    """A tar file, plain or compressed, read forward by one cursor.

    A compressed tar cannot be entered in the middle, so members asked for in the tar's order cost one pass over it.
    Members that the cursor passes are kept for a while (64 MiB), so that threads asking slightly out of order cost
    nothing either.
    """

    def __init__(self, stream: BinaryIO, max_bytes: int) -> None:
        raw, self._compressed = _decompressed(stream)
        self._closing = (raw, stream)
        self._max_bytes = max_bytes
        self._stream = _TarStream(raw)
        # errors=backslashreplace: every name becomes valid text, and different bytes stay different names.
        self._tar = tarfile.TarFile(
            fileobj=cast("BinaryIO", self._stream), mode="r", encoding="utf-8", errors="backslashreplace"
        )
        self._places: dict[str, _Place] = {}
        self._passed: OrderedDict[str, bytes] = OrderedDict()
        self._passed_bytes = 0
        self._failure: Exception | None = None
        self._rewind()

    def members(self) -> Iterator[Member]:
        """Yield the members that are not folders, in the tar's order, from its start."""
        self._rewind()
        while (info := self._advance()) is not None:
            if not info.isdir():
                yield Member(name=info.name)

    def read(self, name: str) -> bytes:
        """Read one member."""
        if (kept := self._passed.pop(name, None)) is not None:
            self._passed_bytes -= len(kept)
            return kept
        if name in self._places:
            return self._bytes(name, self._places[name])
        while (info := self._advance()) is not None:
            place = _place(info)
            self._places[info.name] = place
            if info.name == name:
                return self._bytes(name, place)
            if self._compressed:
                self._keep(name=info.name, place=place)
        raise missing_member(name)

    def close(self) -> None:
        """Close the tar and its stream."""
        self._tar.close()
        for stream in self._closing:
            stream.close()

    def _rewind(self) -> None:
        self._tar.offset = 0
        self._end = False

    def _advance(self) -> tarfile.TarInfo | None:
        """Read the next header; None at the end of the tar. A broken tar fails the same way ever after."""
        if self._end:
            return None
        if self._failure is not None:
            raise self._failure
        try:
            return self._next_header()
        except (OSError, *ARCHIVE_FAULTS) as error:
            self._failure = error
            raise

    def _next_header(self) -> tarfile.TarInfo | None:
        start = self._tar.offset
        self._stream.seek(start)
        block = self._stream.peek_block()
        if not block.strip(b"\0"):
            if not block and not self._compressed:  # a decompressor that is cut off says so itself
                self._check_reached(start)
            self._end = True
            return None
        # TarFile.next() would keep every TarInfo for ever and take a broken header in the middle for the end.
        info = tarfile.TarInfo.fromtarfile(self._tar)
        if self._tar.offset <= start:
            raise tarfile.ReadError("a member of negative size")
        return info

    def _check_reached(self, position: int) -> None:
        """Refuse a tar that ends before the end of its last member."""
        self._stream.seek(position - 1)
        if not self._stream.read(1):
            raise tarfile.ReadError("unexpected end of data")

    def _bytes(self, name: str, place: _Place) -> bytes:
        if place.is_folder:
            raise NotAPhotoError(f"The archive member {name!r} is a folder. Submit a file of it.")
        if not place.is_file:
            raise unsafe_member(name)
        if place.is_sparse:
            raise PhotoBrokenError(f"The archive member {name!r} is a sparse file, which no photo is. Repack the tar.")
        self._stream.seek(place.offset)
        if place.size > self._max_bytes:
            return read_limited(cast("BinaryIO", self._stream), self._max_bytes, f"The archive member {name!r}")
        data = self._stream.read_all(place.size)
        if len(data) < place.size:
            raise tarfile.ReadError("unexpected end of data")
        return data

    def _keep(self, *, name: str, place: _Place) -> None:
        """Keep the bytes of a member that is passed over, dropping the oldest kept ones."""
        if not place.is_file or place.is_sparse or place.size > min(self._max_bytes, _LOOK_BACK_BYTES):
            return
        if (double := self._passed.pop(name, None)) is not None:
            self._passed_bytes -= len(double)
        self._passed[name] = self._bytes(name, place)
        self._passed_bytes += place.size
        while self._passed_bytes > _LOOK_BACK_BYTES:
            self._passed_bytes -= len(self._passed.popitem(last=False)[1])


class _TarStream:
    """The uncompressed bytes of a tar: refuses reads larger than any honest header, and can look one block ahead."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._position = 0
        self._ahead = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position != self._position:
            self._raw.seek(position)
            self._position = position
            self._ahead = b""
        return position

    def peek_block(self) -> bytes:
        """Return the next 512 bytes (fewer at the end) without passing them."""
        if not self._ahead:
            self._ahead = self._raw.read(tarfile.BLOCKSIZE)
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.read_all(size)

    def read_all(self, size: int) -> bytes:
        """Read as many bytes as there are up to `size`, which the caller has limited."""
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(data) < size:
            data += self._raw.read(size - len(data))
        self._position += len(data)
        return data


def _decompressed(stream: BinaryIO) -> tuple[BinaryIO, bool]:
    """Put the decompressor that the first bytes ask for over a tar; say whether there is one."""
    magic = stream.read(6)
    stream.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=stream)), True
    if magic.startswith(b"BZh"):
        return cast("BinaryIO", bz2.BZ2File(stream)), True
    if magic == b"\xfd7zXZ\x00":
        return cast("BinaryIO", lzma.LZMAFile(stream)), True
    return stream, False


def _place(info: tarfile.TarInfo) -> _Place:
    return _Place(
        offset=info.offset_data,
        size=info.size,
        is_file=info.isfile(),
        is_folder=info.isdir(),
        is_sparse=info.issparse(),
    )
