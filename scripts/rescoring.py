"""Gives stored faces the outcomes of another model, page by page, and keeps count of what changes.

How a page is read and written is in db/rescore.py, what a model makes of it in scripts/deciding.py, and who does that
before the page's turn in scripts/pages_ahead.py.
"""

from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.clock import Clock
from db import registry, rescore
from db.corrections import hold_corrections, last_said
from db.merges import load_merges
from db.rescore import StoredPage
from scripts.deciding import DecidedPage, DecidingModel, Moves, decide_page, loader, prepare_page
from scripts.pages_ahead import PageAhead, PageReader, ReadingProcess, read_ahead

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.engine import Database

MANY_FACES = 100_000
"""From so many on another process reads and decides; fewer are nearly done before it would be up."""
_MORE_PASSES = 2
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

    def count(self, moves: Moves) -> None:
        """Count faces. Most changes are many faces' alike."""
        for ((was, person), (outcome, new)), faces in moves.items():
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
        self._reader = PageReader(database, model)
        self._tally = Tally()

    def run(self) -> Tally:
        """Decide about all faces; then once more about those that workers added meanwhile under the model before."""
        with self._database.read() as session:
            self._tally.merged = load_merges(session)
            jobs = rescore.jobs_with_faces(session, self._job_id)
            at_work = rescore.jobs_at_work(session, self._job_id)
            many = rescore.count_faces(session, self._job_id) >= MANY_FACES
        with ReadingProcess(self._database.url, self._model) if many else nullcontext() as beside:
            self._do_jobs(jobs, beside)
        for _ in range(_MORE_PASSES):
            before = self._tally.faces
            if not self._tally.superseded:
                self._do_jobs(at_work, again=True)
            if self._tally.faces == before:
                break
        return self._tally

    def _do_jobs(self, jobs: Sequence[int], beside: ReadingProcess | None = None, *, again: bool = False) -> None:
        """Go through jobs, and store what is decided about their pages."""
        with closing(read_ahead(self._reader, jobs, beside)) as pages:
            for page in pages:
                if not self._store(page):
                    return
                if not again:
                    self._tally.without_embedding += page.decided.page.without_embedding
                self._tell(self._tally)

    def _store(self, ahead: PageAhead) -> bool:
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
                page = self._reader.read(session, stale.job_id, after, until=stale.until)
                if page is None:
                    return True
                if self._write(session, decide_page(prepare_page(session, page), self._model, loader(session))):
                    after = page.until
                else:
                    session.rollback()

    def _write(self, session: "Session", decided: DecidedPage) -> bool:
        """Write a page and count it; return False when one of its faces is not as it was read."""
        model_id, now = self._model.model_id, self._clock()
        if not rescore.write_page(session, decided.page, decided.new, model_id, now, decided.reasons):
            return False
        self._tally.count(decided.moves())
        return True

    def _is_superseded(self, session: "Session") -> bool:
        if self._only_while_serving:
            serving = registry.serving_model(session)
            self._tally.superseded = serving is None or serving.model_id != self._model.model_id
        return self._tally.superseded
