"""Finds the rows of a page of results, whatever is asked for: along an index, and never far past what is wanted.

Statements are spelled so that the databases can take no other way than the index that is meant: what PostgreSQL knows
of a table may be old, and SQLite knows nothing. What the rows say to people stands in db/results.py.
"""

import heapq
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from core.records import FaceOutcome, ItemOutcome, Verdict
from db.bulk import Bulk
from db.result_filter import ResultFilter, ResultKey
from db.zones import Zone, first_photos, narrows, next_zones

_SPARE = 1.5
"""Photos that are read for each row that is missing, by what those before them gave; first as if all were wanted."""
_MORE = 4
"""Times as many are read when what was read held nothing."""
_MOST_PHOTOS, _MOST_CHUNKS = 32_768, 256
"""That are read at once. 128 photos take 0.05 ms."""
_SMALL_CHUNK = 16
"""Photos of the chunks that are asked for, where they are small; of those that are larger, only some are read."""
_MOST_TRIED = 2000
"""Faces of a person that are looked at, before chunks are asked where it goes on."""


class ResultRow(NamedTuple):
    """A result as it is stored; of a photo without a face, all that is of a face is None."""

    job_id: int
    ordinal: int
    face_index: int | None
    uri: str
    item_outcome: str
    error_code: str | None
    error_message: str | None
    model_id: int | None
    decided_at: Any
    """As the driver gives it."""
    face_outcome: str | None
    x1: float | None
    y1: float | None
    x2: float | None
    y2: float | None
    confidence: float | None
    similarity: float | None
    quality: float | None
    quality_reasons: Any
    """As the driver gives it."""
    person_id: int | None
    candidate_id: int | None
    label_id: int | None

    @property
    def key(self) -> ResultKey:
        """Its place."""
        return ResultKey(job_id=self.job_id, ordinal=self.ordinal, face_index=self.face_index)


_COLUMNS = (
    "i.job_id, i.ordinal, f.face_index, i.uri, i.outcome, i.error_code, i.error_message, "
    "COALESCE(f.model_id, i.model_id), COALESCE(f.decided_at, i.decided_at), "  # faces decided anew say so themselves
    "f.outcome, f.x1, f.y1, f.x2, f.y2, f.confidence, f.similarity, f.quality, f.quality_reasons, "
    "f.person_id, f.candidate_id, f.label_id"
)
_NAMES = ", ".join(ResultRow._fields)
_FACE_COLUMNS = (
    "job_id, ordinal, face_index, model_id, decided_at, outcome, x1, y1, x2, y2, confidence, similarity, quality, "
    "quality_reasons, person_id, candidate_id, label_id"
)
_OF_PHOTO = "f.job_id = i.job_id AND f.ordinal = i.ordinal"
_NAMED = f"EXISTS (SELECT 1 FROM labels l WHERE l.id = f.label_id AND l.verdict = '{Verdict.IS.value}')"  # noqa: S608


class Sql:
    """Conditions that all hold, with their values."""

    def __init__(self, text: str = "1 = 1", *values: Any) -> None:
        self.text = text
        self.values = values

    def __and__(self, other: "Sql") -> "Sql":
        return Sql(f"{self.text} AND {other.text}", *self.values, *other.values)


def find_rows(
    bulk: Bulk, wanted: ResultFilter, people: Sequence[int], after: ResultKey | None, size: int
) -> list[ResultRow]:
    """Return the first wanted rows behind a place, by job, photo and face.

    Args:
        bulk: of a connection.
        wanted: which.
        people: everybody who counts as the person that is wanted; empty for anybody.
        after: the place; None for the beginning.
        size: how many at most.
    """
    if wanted.outcome in _WITHOUT_FACES and (people or wanted.min_confidence is not None):
        return []  # nobody was found in these photos
    finder = _Finder(bulk, wanted, size)
    if people:
        each = [finder.of_person(person, after) for person in people]
        return list(heapq.merge(*each, key=_place))[:size] if len(each) > 1 else each[0]
    if narrows(wanted):
        return finder.in_zones(after)
    if wanted.outcome in _OF_FACES:
        return finder.of_outcome(str(wanted.outcome), after)
    return finder.of_photos(after)


_OF_FACES = frozenset(outcome.value for outcome in FaceOutcome)
_WITHOUT_FACES = (ItemOutcome.NO_FACE, ItemOutcome.ERROR)


def _place(row: ResultRow) -> tuple[int, int, int]:
    return row.job_id, row.ordinal, -1 if row.face_index is None else row.face_index


class _Finder:
    """Asks for one page."""

    def __init__(self, bulk: Bulk, wanted: ResultFilter, size: int) -> None:
        self._bulk = bulk
        self._wanted = wanted
        self._size = size

    def of_photos(self, after: ResultKey | None) -> list[ResultRow]:
        """Return all results, or those of photos that show no face, along the photos."""
        fits = Sql("outcome IS NOT NULL")
        if self._wanted.outcome is not None:  # spelled out: SQLite uses a partial index when it can read its condition
            fits = Sql(f"outcome = '{ItemOutcome(self._wanted.outcome).value}'")
        where = fits & _behind("", after, self._wanted.job_id)
        limit = self._size + 1  # all faces of the first may have been passed
        photos = (
            "SELECT job_id, ordinal, uri, outcome, error_code, error_message, model_id, decided_at FROM items "  # noqa: S608
            f"WHERE {where.text} ORDER BY job_id, ordinal LIMIT {limit:d}"
        )
        rest = _past_face("i", after)
        return self._fetch(f"({photos}) i LEFT JOIN faces f ON {_OF_PHOTO}", rest, "i", where.values, self._size)

    def of_outcome(self, outcome: str, after: ResultKey | None) -> list[ResultRow]:
        """Return the faces of an outcome, along their index."""
        return self._along("outcome", outcome, Sql(), after, self._size, self._size)

    def of_person(self, person_id: int, after: ResultKey | None) -> list[ResultRow]:
        """Return the faces that are one person's, along their index."""
        others = self._others() & self._outcome()
        if not narrows(self._wanted) and self._wanted.outcome is None:
            return self._along("person_id", person_id, others, after, self._size, self._size)
        rows: list[ResultRow] = []
        tried = self._size
        while True:
            if narrows(self._wanted):
                zones = next_zones(self._bulk, self._wanted, after, 1)
                if not zones:
                    return rows
                if after is None or (zones[0].job_id, zones[0].first) > (after.job_id, after.ordinal):
                    after = ResultKey(job_id=zones[0].job_id, ordinal=zones[0].first - 1)
            rows += self._along("person_id", person_id, others, after, tried, self._size - len(rows))
            if len(rows) >= self._size:
                return rows
            after = self._end_of("person_id", person_id, after, tried)
            if after is None:
                return rows
            tried = min(_MORE * tried, _MOST_TRIED)

    def in_zones(self, after: ResultKey | None) -> list[ResultRow]:
        """Return results out of the chunks that may hold some: some photos at a time, more the fewer are wanted."""
        of_faces = self._wanted.shows_faces_alone
        others, photos = self._others(), math.ceil(_SPARE * self._size)
        rows: list[ResultRow] = []
        while len(rows) < self._size:
            chunks = min(1 + photos // _SMALL_CHUNK, _MOST_CHUNKS)
            zones = first_photos(next_zones(self._bulk, self._wanted, after, chunks), photos)
            if not zones:
                break
            left = self._size - len(rows)
            found = self._fetch_zones(zones, others, after, left, of_faces=of_faces)
            rows += found
            after = ResultKey(job_id=zones[-1].job_id, ordinal=zones[-1].end - 1)
            read = sum(zone.end - zone.first for zone in zones)
            more = _SPARE * read * (left - len(found)) / len(found) if found else _MORE * max(read, photos)
            photos = min(max(math.ceil(more), self._size), _MOST_PHOTOS)
        return rows

    def _fetch_zones(
        self, zones: Sequence[Zone], others: Sql, after: ResultKey | None, size: int, *, of_faces: bool
    ) -> list[ResultRow]:
        """Return results out of some zones.

        Those are one table and what lies in them another, so that the one is gone through and the other looked up.
        Asked for few rows in order, PostgreSQL would rather read all photos until it has met enough.
        """
        listed = f"VALUES {', '.join(['(?, ?, ?)'] * len(zones))}"
        values = [value for zone in zones for value in (zone.job_id, zone.first, zone.end)]
        one, rest = ("f", f"JOIN items i ON {_OF_PHOTO}") if of_faces else ("i", f"LEFT JOIN faces f ON {_OF_PHOTO}")
        inside = Sql(f"{one}.job_id = z.job_id AND {one}.ordinal >= z.first_ordinal AND {one}.ordinal < z.behind")
        where = inside & self._outcome() & others & _past_face(one, after) & Sql("i.outcome IS NOT NULL")
        found = self._bulk.fetch(
            f"WITH z (job_id, first_ordinal, behind) AS ({listed}), found ({_NAMES}) AS MATERIALIZED ("  # noqa: S608
            f"SELECT {_COLUMNS} FROM z CROSS JOIN {'faces' if of_faces else 'items'} {one} {rest} WHERE {where.text}) "
            f"SELECT * FROM found ORDER BY job_id, ordinal, face_index LIMIT {size:d}",
            (*values, *where.values),
        )
        return [ResultRow._make(row) for row in found]

    def _along(
        self, column: str, value: Any, others: Sql, after: ResultKey | None, looked_at: int, size: int
    ) -> list[ResultRow]:
        """Return faces along the index that begins with a column."""
        where = _bounds(column, value, after, self._wanted.job_id)
        if self._wanted.job_id is not None:
            others &= Sql("f.job_id = ?", self._wanted.job_id)
        faces = (
            f"SELECT {_FACE_COLUMNS} FROM faces f WHERE {where.text} "  # noqa: S608
            f"ORDER BY {column}, job_id, ordinal, face_index LIMIT {looked_at:d}"
        )
        return self._fetch(f"({faces}) f JOIN items i ON {_OF_PHOTO}", others, "f", where.values, size)

    def _end_of(self, column: str, value: Any, after: ResultKey | None, looked_at: int) -> ResultKey | None:
        """Return the last face that `_along` looked at; None where there were not so many."""
        where = _bounds(column, value, after, self._wanted.job_id)
        found = self._bulk.fetch(
            f"SELECT job_id, ordinal, face_index FROM faces f WHERE {where.text} "  # noqa: S608
            f"ORDER BY {column}, job_id, ordinal, face_index LIMIT 1 OFFSET {looked_at - 1:d}",
            where.values,
        )
        if not found or self._wanted.job_id not in (None, found[0][0]):
            return None
        return ResultKey(job_id=found[0][0], ordinal=found[0][1], face_index=found[0][2])

    def _outcome(self) -> Sql:
        if self._wanted.outcome is None:
            return Sql()
        if self._wanted.outcome in _OF_FACES:
            return Sql("f.outcome = ?", self._wanted.outcome)
        return Sql(f"i.outcome = '{ItemOutcome(self._wanted.outcome).value}'")

    def _others(self) -> Sql:
        """Return what is asked of a row beside its job, its person and its outcome."""
        wanted, where = self._wanted, Sql()
        if wanted.model_id is not None:
            where &= Sql("COALESCE(f.model_id, i.model_id) = ?", wanted.model_id)
        if wanted.since is not None:
            where &= Sql("COALESCE(f.decided_at, i.decided_at) >= ?", self._bulk.time(wanted.since))
        if wanted.min_confidence is not None:
            where &= Sql(f"(f.confidence >= ? OR f.label_id IS NOT NULL AND {_NAMED})", wanted.min_confidence)
        return where

    def _fetch(self, tables: str, where: Sql, by: str, inner: Sequence[Any], size: int) -> list[ResultRow]:
        if size <= 0:
            return []
        found = self._bulk.fetch(
            f"SELECT {_COLUMNS} FROM {tables} WHERE {where.text} "  # noqa: S608
            f"ORDER BY {by}.job_id, {by}.ordinal, f.face_index LIMIT {size:d}",
            (*inner, *where.values),
        )
        return [ResultRow._make(row) for row in found]


def _behind(prefix: str, after: ResultKey | None, job_id: int | None) -> Sql:
    """Say which photos come behind a place, or hold more faces there: in words that bound an index."""
    begins = ">" if after is None or after.face_index is None else ">="
    job, ordinal = f"{prefix}job_id", f"{prefix}ordinal"
    if job_id is not None:
        behind = after.ordinal if after is not None and after.job_id == job_id else -1
        return Sql(f"{job} = ? AND {ordinal} {begins} ?", job_id, behind)
    if after is None:
        return Sql()
    return Sql(f"({job}, {ordinal}) {begins} (?, ?)", after.job_id, after.ordinal)


def _bounds(column: str, value: Any, after: ResultKey | None, job_id: int | None) -> Sql:
    """Say which faces with a value come behind a place, or behind the beginning of a job.

    A range whose ends are equal, and an order that begins with its column: an equation would let PostgreSQL read all
    faces along their key, in hope of soon finding enough of them. Where a job ends is not said: PostgreSQL would read
    on to the last job. So some faces of the next job may come with them, and are left out by the caller.
    """
    start = after if after is not None and job_id in (None, after.job_id) else None
    if start is None and job_id is not None:
        start = ResultKey(job_id=job_id, ordinal=-1)
    if start is None:
        return Sql(f"{column} >= ? AND {column} <= ?", value, value)
    begins = ">" if start.face_index is None else ">="
    where = Sql(f"({column}, job_id, ordinal) {begins} (?, ?, ?)", value, start.job_id, start.ordinal)
    where &= Sql(f"{column} <= ?", value)
    return where & _past_face("f", start)


def _past_face(table: str, after: ResultKey | None) -> Sql:
    """Leave out the faces of a place's own photo that were passed."""
    if after is None or after.face_index is None:
        return Sql()
    where = f"({table}.job_id <> ? OR {table}.ordinal <> ? OR f.face_index > ?)"
    return Sql(where, after.job_id, after.ordinal, after.face_index)
