"""Gives stored faces the outcomes of another model, page by page, and keeps count of what changes.

How a page is read and written is in db/rescore.py, what a model makes of it in scripts/deciding.py.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.clock import Clock
from db import registry, rescore
from db.corrections import load_corrections
from db.merges import load_merges
from db.rescore import NewOutcome, StoredPage
from scripts.deciding import DecidingModel, decide_page

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

    def add(self, page: StoredPage, new: Sequence[NewOutcome]) -> None:
        """Count a page."""
        self.count(zip(page.outcomes, page.person_ids, strict=True), new)

    def count(self, before: Iterable[tuple[str, int | None]], new: Sequence[NewOutcome]) -> None:
        """Count faces: outcome and person of each before, and its outcome now."""
        self.faces += len(new)
        for (outcome, person), after in zip(before, new, strict=True):
            if person != after.person_id or outcome != after.outcome:
                self._count(self._now(person), self._now(after.person_id), other_outcome=outcome != after.outcome)

    def _now(self, person_id: int | None) -> int | None:
        return None if person_id is None else self.merged.get(person_id, person_id)

    def _count(self, before: int | None, after: int | None, *, other_outcome: bool) -> None:
        self.changed += before != after or other_outcome
        self.gained += before is None and after is not None
        self.lost += before is not None and after is None
        self.renamed += before is not None and after is not None and before != after


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
            for job_id in jobs if number == 0 else at_work:
                self._do_job(job_id, first=number == 0)
            if number and self._tally.faces == before:
                break
        return self._tally

    def _do_job(self, job_id: int, *, first: bool) -> None:
        after = -1
        while not self._tally.superseded and (page := self._do_page(job_id, after)) is not None:
            after = page.until
            if first:
                self._tally.without_embedding += page.without_embedding
            self._tell(self._tally)

    def _do_page(self, job_id: int, after: int) -> StoredPage | None:
        """Decide about the next page of a job, and store it; return None behind the last.

        A page whose faces somebody else changed in the same moment is read again: whoever it was has got on.
        """
        while True:
            with self._database.write() as session:
                load_corrections(session, [])  # none is made before the end of this transaction
                if self._is_superseded(session) or (page := self._read(session, job_id, after)) is None:
                    return None
                decided = decide_page(session, page, self._model)
                now, model_id = self._clock(), self._model.model_id
                if rescore.write_page(session, page, decided.rows, model_id, now, decided.reasons):
                    self._tally.add(page, decided.rows)
                    return page
                session.rollback()

    def _read(self, session: "Session", job_id: int, after: int) -> StoredPage | None:
        return rescore.read_page(
            session,
            job_id,
            after,
            backbone_sha256=self._model.backbone_sha256,
            dim=self._model.gallery.shape[1],
            without_model=self._model.model_id,
        )

    def _is_superseded(self, session: "Session") -> bool:
        if self._only_while_serving:
            serving = registry.serving_model(session)
            self._tally.superseded = serving is None or serving.model_id != self._model.model_id
        return self._tally.superseded
