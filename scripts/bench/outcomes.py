"""A made-up ledger of any size, for `facefleet bench query`: skewed as real ones are.

Rows are drawn as columns and written in bulk. There are no embeddings: no result shows them.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from core.clock import utc_now
from core.records import ChunkState, FaceOutcome, FacesMode, ItemOutcome, JobState, ModelState, Split, Verdict
from db.bulk import Bulk, json_text
from db.outcomes import add_to_counters
from db.tables import Chunk, Face, Item, Job, Label, Model, Person, Photo

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy.orm import Session

    from db.engine import Database

DAYS = 90.0
"""Over which the outcomes were stored, up to now."""
_LARGE, _SMALL = 40, 160
"""Jobs: the n-th largest has a share of 1/n; the small ones are what somebody tries out."""
_SMALL_PHOTOS = 60
_PEOPLE, _LABELS = 2_000, 500
_SERVED_FROM = (0.0, 0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 0.995)
"""Shares of the time at which another model began to serve."""
_CANARY, _CANARY_CHUNKS = len(_SERVED_FROM) + 1, 500
_FACES_A_PHOTO = ((1, 0.75), (2, 0.15), (3, 0.07), (5, 0.03))
_NO_FACE = 0.1
_KINDS = ((0.80, 0.002), (0.50, 0.02), (0.02, 0.05))
"""Of jobs: an album, press photos, a street. Shares of faces that are identified, and of photos that are errors."""
_AMBIGUOUS, _LOW_QUALITY = 0.01, 0.05
_ROWS_A_PHOTO = 1.4
"""About, to choose how many photos give so many rows."""
_CHUNK, _PAGE_CHUNKS = 128, 160
_ERRORS = ("photo_missing", "photo_broken", "photo_empty", "not_a_photo")
_ALL_FACES, _ALL_ITEMS = list(FaceOutcome), (ItemOutcome.FACES, ItemOutcome.NO_FACE, ItemOutcome.ERROR)

_ITEMS = ("job_id", "ordinal", "uri", "outcome", "error_code", "error_message", "sha256", "width_px", "height_px")
_DECIDED = ("model_id", "decided_at")
_FACES = ("job_id", "ordinal", "face_index", "x1", "y1", "x2", "y2", "landmarks_px", "quality", "quality_reasons")
_OF_FACES = ("outcome", "person_id", "candidate_id", "similarity", "confidence", "ranking", "top_k", "label_id")

OnRows = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class MadeUpJob:
    """One job, before its rows are drawn."""

    id: int
    photos: int
    kind: int
    begins: float
    """When its first outcome was stored: share of the time, 0..1."""
    ends: float
    canary: bool
    """A model beside the one that served decided a chunk now and then."""
    rescored_by: int | None
    """A model that decided about all its faces anew."""

    @property
    def public_id(self) -> str:
        """Ids that sort as real ones do."""
        return f"jbench{self.id:06}"


@dataclass(frozen=True, kw_only=True)
class MadeUpLedger:
    """What a ledger was filled with."""

    jobs: tuple[MadeUpJob, ...]
    people: int
    models: int
    until: datetime
    rows: int
    """Results, as `facefleet results` shows them."""


def plan_jobs(rows: int, drawn: np.random.Generator) -> tuple[MadeUpJob, ...]:
    """Return the jobs of a ledger with about so many results, in the order of their submission."""
    photos = rows / _ROWS_A_PHOTO
    shares = 1.0 / np.arange(1, _LARGE + 1)
    large = np.maximum(1, shares / shares.sum() * photos).astype(int)
    small = drawn.integers(1, _SMALL_PHOTOS + 1, _SMALL)
    sizes = np.concatenate([large, np.minimum(small, max(1, int(photos) // _SMALL))])
    order = drawn.permutation(len(sizes))
    ends = np.cumsum(sizes[order]) / sizes.sum()
    made = []
    for place, size in enumerate(order):
        begins = float(ends[place - 1]) if place else 0.0
        made.append(
            MadeUpJob(
                id=place + 1,
                photos=int(sizes[size]),
                kind=int(size) % len(_KINDS),
                begins=begins,
                ends=1.0 if size == 0 else float(ends[place]),  # the largest gives way to all others
                canary=size == 1,
                rescored_by=len(_SERVED_FROM) - 1 if size == 2 else None,
            )
        )
    return tuple(made)


def fill_ledger(database: "Database", rows: int, on_rows: OnRows, seed: int = 0) -> MadeUpLedger:
    """Fill empty tables.

    Args:
        database: whose tables are empty.
        rows: results, about.
        on_rows: told how many there are, page by page.
        seed: of what is drawn.
    """
    drawn = np.random.default_rng(seed)
    plan, until = plan_jobs(rows, drawn), utc_now()
    with database.write() as session:
        _add_others(session, until)
    filler = _Filler(database, drawn, until)
    for job in plan:
        filler.fill(job, on_rows)
    return MadeUpLedger(jobs=plan, people=_PEOPLE, models=_CANARY, until=until, rows=filler.rows)


def _add_others(session: "Session", now: datetime) -> None:
    """Add people, models, and labels of some photos."""
    names = [f"Person {number:04}" for number in range(1, _PEOPLE + 1)]
    session.add_all(Person(name=name, name_key=name.lower(), created_at=now) for name in names)
    for number in range(1, _CANARY + 1):
        made_up: dict[str, Any] = {"backbone": "made up", "recipe": "made up", "manifest": {}}
        session.add(Model(id=number, sha256=f"{number:064x}", state=ModelState.RETIRED, created_at=now, **made_up))
    for number in range(1, _LABELS + 1):
        uri = f"file:///labelled/{number:05}.jpg"
        session.add(Photo(id=number, sha256=f"{number:064x}", uri=uri, split=Split.TRAIN, created_at=now))
    session.flush()
    for number in range(1, _LABELS + 1):
        said = {"verdict": Verdict.IS, "author": "made up", "created_at": now}
        session.add(Label(id=number, photo_id=number, person_id=1 + number % _PEOPLE, **said))


class _Filler:
    """Draws and writes the rows of jobs, a page of chunks at a time."""

    def __init__(self, database: "Database", drawn: np.random.Generator, until: datetime) -> None:
        self.rows = 0
        self._database = database
        self._drawn = drawn
        self._until = until
        self._labels = 0
        weights = 1.0 / (np.arange(_PEOPLE) + 5.0)
        self._popular = np.cumsum(weights / weights.sum())

    def fill(self, job: MadeUpJob, on_rows: OnRows) -> None:
        """Write a job that is done."""
        for first in range(0, job.photos, _PAGE_CHUNKS * _CHUNK):
            size = min(_PAGE_CHUNKS * _CHUNK, job.photos - first)
            with self._database.write(many=True) as session:
                if first == 0:
                    session.add(_job_row(job, self._time(job.begins), self._time(job.ends)))
                    session.flush()
                counts = self._write_page(Bulk(session.connection()), job, first, size)
                add_to_counters(session, job.id, Counter(counts))
            on_rows(self.rows)

    def _time(self, share: float) -> datetime:
        return self._until - timedelta(days=DAYS * (1.0 - share))

    def _write_page(self, bulk: Bulk, job: MadeUpJob, first: int, size: int) -> dict[str, int]:
        """Write some photos, their chunks and their faces; return how many of each outcome."""
        starts = range(0, size, _CHUNK)
        shares = [job.begins + (job.ends - job.begins) * (first + start) / job.photos for start in starts]
        times = [self._time(share) for share in shares]
        models = np.searchsorted(_SERVED_FROM, shares, side="right")
        if job.canary:
            models[(first // _CHUNK + np.arange(len(models))) % _CANARY_CHUNKS == _CANARY_CHUNKS // 2] = _CANARY
        outcomes = self._draw_outcomes(job, size)
        item_models = np.repeat(models, _CHUNK)[:size]
        at = [bulk.time(times[number // _CHUNK]) for number in range(size)]
        bulk.fill(Item, (*_ITEMS, *_DECIDED), self._items(job, first, outcomes, item_models, at))
        of_photo = np.repeat(np.arange(size), self._draw_faces(outcomes))
        drawn = self._draw_face_outcomes(job, len(of_photo))
        sure = drawn == _ALL_FACES.index(FaceOutcome.IDENTIFIED)
        confidences = 1.0 / (1.0 + np.exp(-self._drawn.normal(np.where(sure, 3.0, -3.0), 1.5)))
        faces = self._faces(bulk, job, first, of_photo, drawn, confidences, item_models)
        bulk.fill(Face, (*_FACES, *_OF_FACES, *_DECIDED), faces)
        surest = np.zeros((len(times), 2))
        np.maximum.at(surest[:, 0], of_photo // _CHUNK, confidences)
        np.maximum.at(surest[:, 1], of_photo // _CHUNK, np.where(sure, 0.0, confidences))
        bulk.fill(Chunk, _CHUNK_COLUMNS, self._chunks(bulk, job, first, size, times, models, surest))
        counts = {f"items_{each}": int((outcomes == number).sum()) for number, each in enumerate(_ALL_ITEMS)}
        counts |= {f"faces_{each}": int((drawn == number).sum()) for number, each in enumerate(_ALL_FACES)}
        self.rows += len(of_photo) + counts["items_no_face"] + counts["items_error"]
        return counts

    def _chunks(
        self,
        bulk: Bulk,
        job: MadeUpJob,
        first: int,
        size: int,
        times: list[datetime],
        models: "NDArray[np.int64]",
        surest: "NDArray[np.float64]",
    ) -> Iterator[tuple[Any, ...]]:
        rescored = self._time(_SERVED_FROM[job.rescored_by]) if job.rescored_by else None
        for number, moment in enumerate(times):
            start, until = number * _CHUNK, moment if rescored is None else max(moment, rescored)
            place = (job.id, first + start, min(_CHUNK, size - start), ChunkState.DONE.value, 1, bulk.time(moment))
            model = int(models[number])
            holds = (model, job.rescored_by or model, bulk.time(until), *surest[number].tolist())
            yield *place, *holds

    def _draw_outcomes(self, job: MadeUpJob, size: int) -> "NDArray[np.int64]":
        """Return places in _ALL_ITEMS."""
        errors = _KINDS[job.kind][1]
        chance = self._drawn.random(size)
        return np.select([chance < errors, chance < errors + _NO_FACE], [2, 1], 0)

    def _draw_faces(self, outcomes: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Return how many faces each photo shows."""
        numbers, shares = zip(*_FACES_A_PHOTO, strict=True)
        return np.where(outcomes == 0, self._drawn.choice(numbers, len(outcomes), p=shares), 0)

    def _draw_face_outcomes(self, job: MadeUpJob, count: int) -> "NDArray[np.int64]":
        """Return places in _ALL_FACES."""
        named = _KINDS[job.kind][0]
        bounds = np.cumsum([named, 1.0 - named - _AMBIGUOUS - _LOW_QUALITY, _AMBIGUOUS])
        if named > 1.0 - _AMBIGUOUS - _LOW_QUALITY:
            raise ValueError(f"shares of outcomes go beyond the whole: {named}")
        return np.searchsorted(bounds, self._drawn.random(count), side="right")

    def _items(
        self,
        job: MadeUpJob,
        first: int,
        outcomes: "NDArray[np.int64]",
        models: "NDArray[np.int64]",
        at: list[Any],
    ) -> Iterator[tuple[Any, ...]]:
        codes = self._drawn.integers(0, len(_ERRORS), len(outcomes)).tolist()
        digests = self._drawn.bytes(32 * len(outcomes)).hex()
        named = [outcome.value for outcome in _ALL_ITEMS]
        for number, (outcome, model) in enumerate(zip(outcomes.tolist(), models.tolist(), strict=True)):
            ordinal = first + number
            uri = f"file:///archive/job{job.id:04}/{ordinal // 1000:06}/IMG_{ordinal:09}.jpg"
            seen: tuple[Any, ...] = (None, None, digests[64 * number : 64 * number + 64], 1600, 1200)
            if outcome == 2:
                seen = (_ERRORS[codes[number]], "The photo cannot be used. It was not identified.", None, None, None)
            yield job.id, ordinal, uri, named[outcome], *seen, model, at[number]

    def _faces(
        self,
        bulk: Bulk,
        job: MadeUpJob,
        first: int,
        of_photo: "NDArray[np.int64]",
        outcomes: "NDArray[np.int64]",
        confidences: "NDArray[np.float64]",
        item_models: "NDArray[np.int64]",
    ) -> Iterator[tuple[Any, ...]]:
        count = len(of_photo)
        people = 1 + np.minimum(np.searchsorted(self._popular, self._drawn.random((count, 5))), _PEOPLE - 1)
        sure = outcomes == _ALL_FACES.index(FaceOutcome.IDENTIFIED)
        similarities = np.where(sure, 0.5, 0.2) + 0.2 * self._drawn.random(count)
        begins = np.concatenate([[0], np.flatnonzero(np.diff(of_photo)) + 1]) if count else np.zeros(0, int)
        indices = np.arange(count) - np.repeat(begins, np.diff([*begins, count]))
        rankings = _rankings(people, similarities)
        left = (10.0 + 150.0 * indices).tolist()
        rescored = bulk.time(self._time(_SERVED_FROM[job.rescored_by])) if job.rescored_by else None
        models = np.full(count, job.rescored_by) if job.rescored_by else item_models[of_photo]
        labelled = self._label(count)
        columns = (of_photo, indices, outcomes, people[:, 0], similarities, confidences, models)
        named, blurred = [outcome.value for outcome in _ALL_FACES], _ALL_FACES.index(FaceOutcome.LOW_QUALITY)
        is_sure = _ALL_FACES.index(FaceOutcome.IDENTIFIED)
        for number, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            photo, index, outcome, person, similarity, confidence, model = row
            x = left[number]
            reasons = '["blurred"]' if outcome == blurred else "[]"
            place = (job.id, first + photo, index, x, 20.0, x + 100.0, 140.5, _LANDMARKS, 0.75, reasons)
            name = person if outcome == is_sure else None
            decided = (named[outcome], name, person, similarity, confidence, rankings[80 * number : 80 * number + 80])
            yield *place, *decided, "[]", labelled.get(number), model, rescored

    def _label(self, count: int) -> dict[int, int]:
        """Return some of the faces, each with a label that bears on it."""
        if not count or self._labels >= _LABELS:
            return {}
        self._labels += 1
        return {int(self._drawn.integers(count)): self._labels}


_HOLDS = ("model_id", "face_model_id", "decided_until", "top_confidence", "top_unnamed")
_CHUNK_COLUMNS = ("job_id", "first_ordinal", "item_count", "state", "attempts", "done_at", *_HOLDS)
_LANDMARKS = json_text([[30.5, 60.25], [90.5, 60.25], [60.5, 90.75], [40.25, 110.5], [80.25, 110.5]])


def _rankings(people: "NDArray[np.int64]", similarities: "NDArray[np.float64]") -> bytes:
    """Return five people for each face as db/rankings.py stores them, one face after the other."""
    entries = np.zeros(people.shape, [("person", "<i8"), ("similarity", "<f8")])
    entries["person"] = people
    entries["similarity"] = similarities[:, None]
    return entries.tobytes()


def _job_row(job: MadeUpJob, begins: datetime, ends: datetime) -> Job:
    return Job(
        id=job.id,
        public_id=job.public_id,
        name=f"made up {job.id}",
        request_digest="0" * 64,
        faces_mode=FacesMode.DETECT,
        state=JobState.DONE,
        total=job.photos,
        created_at=begins,
        touched_at=begins,
        started_at=begins,
        resumed_at=begins,
        finished_at=ends,
    )
