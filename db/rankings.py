"""How a face's ranking is stored: one entry after the other, most similar first, in the fewest bytes that lose nothing.

As JSON it was the largest part of a face's row, and PostgreSQL took longer to parse it than to store the rest.
"""

import struct
from collections.abc import Iterable
from typing import Any

from core.records import RankedPerson

ENTRY_FIELDS = [("person_id", "<i8"), ("similarity", "<f8")]
"""An entry, as numpy describes it: 16 bytes."""
_ENTRY = struct.Struct("<qd")


def pack_ranking(ranking: Iterable[RankedPerson]) -> bytes:
    """Return a ranking as it is stored."""
    return b"".join(_ENTRY.pack(ranked.person_id, ranked.similarity) for ranked in ranking)


def unpack_ranking(stored: bytes) -> tuple[RankedPerson, ...]:
    """Return a stored ranking."""
    return tuple(RankedPerson(person_id=person, similarity=value) for person, value in _ENTRY.iter_unpack(stored))


def ranking_of(face: Any) -> tuple[RankedPerson, ...]:
    """Return the ranking of a row of `faces`, or of what has its columns `ranking` and `top_k`."""
    if face.ranking is not None:
        return unpack_ranking(face.ranking)
    return tuple(RankedPerson(**ranked) for ranked in face.top_k)
