"""Gives stored faces the outcomes of another model, page by page, and keeps count of what changes.

How a page is read and written is in db/rescore.py, what a model makes of it in scripts/deciding.py.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.clock import Clock
from db import registry, rescore
from db.corrections import hold_corrections, last_said
from db.merges import load_merges
from db.redecide import FaceKey, StoredFace, load_faces
from db.rescore import StoredPage
from scripts.deciding import DecidedPage, DecidingModel, decide_page, loader, prepare_page

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.engine import Database

_PASSES = 3
"""Over jobs that workers are at: they stop using the model before within seconds."""


@dataclass(kw_only=True)
class Tally:
    """What became of faces."""

    faces: int = 0
    """Decided about anew."""
    changed: int = 0
    """With another outcome or another person than before."""
    gained: int = 0
    """Without a name before, and with one now."""
    lost: int = 0
    renamed: int = 0
    """Another person's before."""
    without_embedding: int = 0
    superseded: bool = False
    """Whether another model was activated meanwhile, and the rest left to it."""
    merged: dict[int, int] = field(default_factory=dict)
    """Whom merged people turned out to be: the change from one to the other is none."""

    def count(
        self,
        before: Iterable[tuple[str, int | None]],
        after: Iterable[tuple[str, int | None]],
    ) -> None:
        """Count faces: outcome and person of each before, and now. Most changes are many faces' alike."""
        for ((was, person), (outcome, new)), faces in Counter(zip(before, after, strict=True)).items():
            self.faces += faces
            if (was, person) != (outcome, new):
                self._count(faces, self._now(person), self._now(new), other_outcome=was != outcome)

    def _now(self, person_id: int | None) -> int | None:
        return None if person_id is None else self.merged.get(person_id, person_id)

    def _count(self, faces: int, before: int | None, after: int | None, *, other_outcome: bool) -> None:
        self.changed += faces * (before != after or other_outcome)
        self.gained += faces * (before is None and after is not None)
        self.lost += faces * (before is not None and after is None)
        self.renamed += faces * (before is not None and after is not None and before != after)


@dataclass(frozen=True, kw_only=True, eq=False)
class _PageAhead:
    """A page that was decided about while others were written."""

    decided: DecidedPage
    said: tuple[int | None, Mapping[int, int]]
    """How far people had spoken when it was read."""


class Rescoring:
    """Gives stored faces the outcomes of one model. May be ended at any time, and begun again.

    Args:
        database: the ledger.
        model: decides.
        job_id: only faces of this job.
        only_while_serving: stop when another model is activated.
        clock: tells the time.
        tell: told after each page what has become of faces until then.
    """

    def __init__(
        self,
        database: "Database",
        model: DecidingModel,
        *,
        job_id: int | None,
        only_while_serving: bool,
        clock: Clock,
        tell: Callable[[Tally], None],
    ) -> None:
        self._database = database
        self._model = model
        self._job_id = job_id
        self._only_while_serving = only_while_serving
        self._clock = clock
        self._tell = tell
        self._tally = Tally()

    def run(self) -> Tally:
        """Decide about all faces; then once more about those that workers added meanwhile under the model before."""
        with self._database.read() as session:
            self._tally.merged = load_merges(session)
            jobs = rescore.jobs_with_faces(session, self._job_id)
            at_work = rescore.jobs_at_work(session, self._job_id)
        for number in range(_PASSES):
            before = self._tally.faces
            self._do_jobs(jobs if number == 0 else at_work, first=number == 0)
            if self._tally.superseded or (number and self._tally.faces == before):
                break
        return self._tally

    def _do_jobs(self, jobs: Sequence[int], *, first: bool) -> None:
        """Go through jobs: while a page is written, a thread reads and decides about the next."""
        pages = self._pages(jobs)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as ahead:
            coming = ahead.submit(next, pages, None)
            while (page := coming.result()) is not None:
                coming = ahead.submit(next, pages, None)
                if not self._store(page):
                    return
                if first:
                    self._tally.without_embedding += page.decided.page.without_embedding
                self._tell(self._tally)

    def _pages(self, jobs: Sequence[int]) -> Iterator[_PageAhead]:
        """Read and decide about the pages of jobs, one after the other."""
        for job_id in jobs:
            after = -1
            while True:
                with self._database.read() as session:
                    said = last_said(session)  # first: what is said later makes the page be read again
                    page = self._read(session, job_id, after)
                    prepared = None if page is None else prepare_page(session, page)
                if prepared is None:
                    break
                yield _PageAhead(decided=decide_page(prepared, self._model, self._load), said=said)
                after = prepared.page.until

    def _store(self, ahead: _PageAhead) -> bool:
        """Store a page; return False when another model serves.

        When somebody corrected anything since the page was read, or changed one of its faces, it is read again, with
        corrections held still: whoever it was has got on.
        """
        with self._database.write(many=True) as session:
            hold_corrections(session)
            if self._is_superseded(session):
                return False
            if last_said(session) == ahead.said and self._write(session, ahead.decided):
                return True
            session.rollback()
        return self._decide_and_store(ahead.decided.page)

    def _decide_and_store(self, stale: StoredPage) -> bool:
        """Read a page's faces again and decide about them in the transaction that stores them.

        Returns:
            False when another model serves.
        """
        after = stale.after
        while True:
            with self._database.write(many=True) as session:
                hold_corrections(session)
                if self._is_superseded(session):
                    return False
                page = self._read(session, stale.job_id, after, until=stale.until)
                if page is None:
                    return True
                if self._write(session, decide_page(prepare_page(session, page), self._model, loader(session))):
                    after = page.until
                else:
                    session.rollback()

    def _write(self, session: "Session", decided: DecidedPage) -> bool:
        """Write a page and count it; return False when one of its faces is not as it was read."""
        page, new = decided.page, decided.new
        if not rescore.write_page(session, page, new, self._model.model_id, self._clock(), decided.reasons):
            return False
        before = zip(page.outcomes, page.person_ids, strict=True)
        self._tally.count(before, zip(new.outcomes, new.person_ids, strict=True))
        return True

    def _read(self, session: "Session", job_id: int, after: int, until: int | None = None) -> StoredPage | None:
        return rescore.read_page(
            session,
            job_id,
            after,
            until=until,
            backbone_sha256=self._model.backbone_sha256,
            dim=self._model.gallery.shape[1],
            without_model=self._model.model_id,
        )

    def _load(self, keys: Sequence[FaceKey]) -> Sequence[StoredFace]:
        with self._database.read() as session:
            return load_faces(session, keys)

    def _is_superseded(self, session: "Session") -> bool:
        if self._only_while_serving:
            serving = registry.serving_model(session)
            self._tally.superseded = serving is None or serving.model_id != self._model.model_id
        return self._tally.superseded
