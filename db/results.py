"""Results as users query them: one row a face, or one an item that shows none. Pages by key, never by offset."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, String, bindparam, func, select
from sqlalchemy.orm import Session

from core.records import ItemOutcome, Verdict
from db.bulk import Bulk
from db.ids import face_id, model_version
from db.merges import load_merges, people_counted_as
from db.people import person_names
from db.result_filter import ResultFilter, ResultKey
from db.result_pages import ResultRow, find_rows
from db.tables import Item, Job, Label

PAGE = 100
_LARGEST_PAGE = 1000
"""Of many pages that follow each other, each is twice as large as the one before, up to this."""


@dataclass(frozen=True, kw_only=True)
class FailureCount:
    """How many photos of a job ended in one way that is an error."""

    code: str
    """A stable code out of docs/errors.md."""
    photos: int
    message: str
    """What one of them says."""


@dataclass(frozen=True, kw_only=True)
class ResultPage:
    """Results that follow each other."""

    rows: list[dict[str, Any]]
    """Each with the keys that docs/cli.md lists under `results`; its values are JSON."""
    last: ResultKey | None
    """Where the next page begins after; None when there is none."""


def iter_results(
    session: Session, wanted: ResultFilter, limit: int | None = None, page_size: int = PAGE
) -> Iterator[dict[str, Any]]:
    """Yield result rows by job, item and face, a page in memory at a time.

    Merged people are shown, and found, as whom they count as.

    Each row is a dict with the keys that docs/cli.md lists under `results`; its values are JSON.
    """
    reader = _Reader(session, wanted)
    after: ResultKey | None = None
    left, size = limit, page_size
    while left is None or left > 0:
        page = reader.read(after, size if left is None else min(size, left))
        yield from page.rows
        if page.last is None:
            return
        after = page.last
        left = None if left is None else left - len(page.rows)
        size = max(size, min(2 * size, _LARGEST_PAGE))


def read_page(session: Session, wanted: ResultFilter, after: ResultKey | None = None, size: int = PAGE) -> ResultPage:
    """Return the first results, or those behind a place, as `iter_results` yields them.

    Args:
        session: any session.
        wanted: which.
        after: a place, whether or not a wanted result is there.
        size: how many at most.
    """
    return _Reader(session, wanted).read(after, size)


class _Reader:
    """Reads pages, and turns their rows into what people see. Looks each name up once."""

    def __init__(self, session: Session, wanted: ResultFilter) -> None:
        self._session = session
        self._bulk = Bulk(session.connection())
        self._bulk.look_up_row_by_row()
        self._wanted = wanted
        self._people: list[int] = []
        if wanted.person_id is not None:
            self._people = people_counted_as(load_merges(session), wanted.person_id)
        self._jobs: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._labels: dict[int, dict[str, str]] = {}  # these and the times are forgotten with each page: there are many
        self._times: dict[Any, str] = {}

    def read(self, after: ResultKey | None, size: int) -> ResultPage:
        """Return the page behind a place."""
        rows = find_rows(self._bulk, self._wanted, self._people, after, size)
        self._look_up(rows)
        return ResultPage(rows=[self._as_dict(row) for row in rows], last=rows[-1].key if len(rows) == size else None)

    def _look_up(self, rows: Sequence[ResultRow]) -> None:
        """Learn what the rows name by number."""
        session = self._session
        if jobs := {row.job_id for row in rows} - self._jobs.keys():
            found = session.execute(select(Job.id, Job.public_id).where(Job.id.in_(jobs)))
            self._jobs |= {row.id: row.public_id for row in found}
        people = {number for row in rows for number in (row.person_id, row.candidate_id) if number is not None}
        if people := people - self._names.keys():
            self._names |= person_names(session, people)
        labels = {row.label_id for row in rows if row.label_id is not None}
        self._labels, self._times = {}, {}
        if labels:
            for label in session.execute(_LABELS.where(Label.id.in_(labels))):
                told = {"verdict": label.verdict, "author": label.author, "at": label.created_at.isoformat()}
                self._labels[label.id] = told

    def _as_dict(self, row: ResultRow) -> dict[str, Any]:
        """One result as users see it."""
        face = row.face_index
        job = self._jobs[row.job_id]
        label = None if row.label_id is None else self._labels.get(row.label_id)
        return {
            "job": job,
            "item": row.ordinal,
            "uri": row.uri,
            "outcome": row.item_outcome if face is None else row.face_outcome,
            "face": None if face is None else face_id(job, row.ordinal, face),
            "box": None if face is None else [row.x1, row.y1, row.x2, row.y2],
            "person": None if row.person_id is None else self._names.get(row.person_id),
            "candidate": None if row.candidate_id is None else self._names.get(row.candidate_id),
            "confidence": 1.0 if label is not None and label["verdict"] == Verdict.IS else row.confidence,
            "similarity": row.similarity,
            "quality": None if face is None else {"score": row.quality, "reasons": _read_json(row.quality_reasons)},
            "label": label,
            "model": model_version(row.model_id) if row.model_id else None,
            "decided_at": self._show_time(row.decided_at),
            "error": {"code": row.error_code, "message": row.error_message} if row.error_code else None,
        }

    def _show_time(self, given: Any) -> str | None:
        """Return a time as text; those of a page are few."""
        if given is None:
            return None
        if given not in self._times:
            moment = datetime.fromisoformat(given).replace(tzinfo=UTC) if isinstance(given, str) else given
            self._times[given] = moment.astimezone(UTC).isoformat()
        return self._times[given]


_LABELS = select(Label.id, Label.verdict, Label.author, Label.created_at)


def _read_json(given: Any) -> Any:
    """Return what a driver gives for JSON: SQLite text, and mostly that of an empty list."""
    if isinstance(given, str):
        return [] if given == "[]" else json.loads(given)
    return given


def find_photo_sha256(session: Session, job_public_id: str, ordinal: int) -> str | None:
    """Return the sha256 of a photo's bytes as they were looked at; None when nobody could read them."""
    query = select(Item.sha256).join(Job, Job.id == Item.job_id)
    return session.scalar(query.where(Job.public_id == job_public_id, Item.ordinal == ordinal))


def has_outcome(outcome: ItemOutcome) -> ColumnElement[bool]:
    """An item's outcome, spelled out in the SQL: SQLite uses a partial index only when it can read its condition."""
    return Item.outcome == bindparam(None, outcome, String, literal_execute=True)


def count_failures(session: Session, job_id: int) -> list[FailureCount]:
    """Return the error codes of a job's items, the most frequent first."""
    photos = func.count().label("photos")
    found = session.execute(
        select(Item.error_code, photos, func.min(Item.error_message).label("message"))
        .where(Item.job_id == job_id, has_outcome(ItemOutcome.ERROR))
        .group_by(Item.error_code)
        .order_by(photos.desc(), Item.error_code)
    )
    return [FailureCount(code=row.error_code, photos=row.photos, message=row.message) for row in found]
