"""Reads zip files member by member, in memory. Walks no folder and keeps nothing open by itself."""

import stat
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from core.errors import NotAPhotoError, PhotoBrokenError
from core.images.members import Member, missing_member, read_limited, unsafe_member

# zipfile unpacks bzip2 and LZMA without a bound on one step's output (45 bytes of bzip2 can hold 45 MB): not read.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ZipArchive:
    """A zip file: members are read in any order, checked by their CRC."""

    def __init__(self, stream: BinaryIO, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._zip = zipfile.ZipFile(stream)

    def members(self) -> Iterator[Member]:
        """Yield the members that are not folders, in the order of the zip's directory."""
        for info in self._zip.infolist():
            if not info.is_dir():
                yield Member(name=info.filename, shadowed=self._zip.getinfo(info.filename) is not info)

    def read(self, name: str) -> bytes:
        """Read one member."""
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            raise missing_member(name) from None
        self._check(info)
        with self._zip.open(info) as stream:
            return read_limited(cast("BinaryIO", stream), self._max_bytes, f"The archive member {name!r}")

    def close(self) -> None:
        """Close the zip and its stream."""
        self._zip.close()
        self._stream.close()

    def _check(self, info: zipfile.ZipInfo) -> None:
        """Refuse what is no readable file."""
        file_type = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            raise NotAPhotoError(f"The archive member {info.filename!r} is a folder. Submit a file of it.")
        if file_type not in (0, stat.S_IFREG):
            raise unsafe_member(info.filename)
        if info.flag_bits & 0x1:
            raise PhotoBrokenError(
                f"The archive member {info.filename!r} is encrypted and was not read. Repack the zip without a "
                "password."
            )
        if info.compress_type not in _ZIP_METHODS:
            raise PhotoBrokenError(
                f"The archive member {info.filename!r} is compressed by method {info.compress_type}, which is not "
                "read. "
                "Repack the zip with ordinary (deflate) compression."
            )
