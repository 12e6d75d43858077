"""The ledger of a case: what was submitted, what came out, and what was lost, stored twice or done twice on the way."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, text

from core.records import JobState
from db.engine import Database
from db.tables import Face, Item, Job
from tests.chaos.child import JOURNAL

COLUMNS = (
    ("case", 28),
    ("database", 10),
    ("seed", 6),
    ("submitted", 9),
    ("outcomes", 8),
    ("missing", 7),
    ("stored twice", 12),
    ("executed twice", 14),
    ("seconds to recover", 18),
)

# Says of every outcome that was written over another one, and of every chunk that was given back uncounted. Nothing of
# the product looks at it.
_WITNESS = {
    "sqlite": (
        "CREATE TABLE chaos_given_back (chunk_id INTEGER)",
        "CREATE TRIGGER chaos_release AFTER UPDATE OF attempts ON chunks "
        "WHEN OLD.state = 'claimed' AND NEW.state = 'queued' AND NEW.attempts = OLD.attempts - 1 "
        "BEGIN INSERT INTO chaos_given_back VALUES (NEW.id); END",
        "CREATE TABLE chaos_overwritten (job_id INTEGER, ordinal INTEGER)",
        "CREATE TRIGGER chaos_witness AFTER UPDATE OF outcome ON items "
        "WHEN OLD.outcome IS NOT NULL AND NEW.outcome IS NOT NULL "
        "BEGIN INSERT INTO chaos_overwritten VALUES (NEW.job_id, NEW.ordinal); END",
    ),
    "postgresql": (
        "CREATE TABLE chaos_given_back (chunk_id BIGINT)",
        "CREATE FUNCTION chaos_note_release() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO chaos_given_back VALUES (NEW.id); RETURN NULL; END'",
        "CREATE TRIGGER chaos_release AFTER UPDATE OF attempts ON chunks FOR EACH ROW "
        "WHEN (OLD.state = 'claimed' AND NEW.state = 'queued' AND NEW.attempts = OLD.attempts - 1) "
        "EXECUTE FUNCTION chaos_note_release()",
        "CREATE TABLE chaos_overwritten (job_id BIGINT, ordinal BIGINT)",
        "CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO chaos_overwritten VALUES (NEW.job_id, NEW.ordinal); RETURN NULL; END'",
        "CREATE TRIGGER chaos_witness AFTER UPDATE OF outcome ON items FOR EACH ROW "
        "WHEN (OLD.outcome IS NOT NULL AND NEW.outcome IS NOT NULL) EXECUTE FUNCTION chaos_note()",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Tally:
    """One case's line."""

    case: str
    database: str
    seed: int
    submitted: int
    """Photos that the producer was told are in."""
    outcomes: int
    """Photos with an outcome."""
    missing: int
    """Photos without one, by the rows or by the job's counters, whichever says more."""
    stored_twice: int
    """Outcomes written over another, rows and counts that stand for no submitted photo."""
    executed_twice: int
    """Looks at a photo beyond the first."""
    recover_s: float
    """From the end of the last fault until every job was done."""
    notes: tuple[str, ...] = ()
    """What the case has to say beside."""

    @property
    def lost(self) -> bool:
        """Whether the law was broken."""
        return bool(self.missing or self.stored_twice)

    def __str__(self) -> str:
        """Lay the line out under `header`."""
        values = (self.case, self.database, self.seed, self.submitted, self.outcomes, self.missing)
        return _row(*values, self.stored_twice, self.executed_twice, f"{self.recover_s:.1f}")


def header() -> str:
    """The titles of the columns."""
    return _row(*(name for name, _ in COLUMNS))


def _row(*values: object) -> str:
    """Lay cells out: words to the left, numbers to the right."""
    cells = zip(values, COLUMNS, strict=True)
    return " | ".join(
        f"{value!s:{'<' if name in ('case', 'database') else '>'}{width}}" for value, (name, width) in cells
    )


def call_witness(database: Database) -> None:
    """Have the database itself note every outcome that is written over another, and every chunk that is given back."""
    with database.write() as session:
        for statement in _WITNESS[database.engine.dialect.name]:
            session.execute(text(statement))


def count_given_back(database: Database) -> int:
    """How often a chunk was queued again without its attempt counting."""
    with database.read() as session:
        return session.scalar(text("SELECT count(*) FROM chaos_given_back")) or 0


def count_looks(folder: Path) -> Counter[str]:
    """How often each photo was looked at, by name."""
    journal = folder / JOURNAL
    return Counter(journal.read_text().split() if journal.exists() else ())


def take_tally(
    database: Database,
    folder: Path,
    *,
    case: str,
    seed: int,
    submitted: int,
    poisoned: int,
    recover_s: float,
    notes: tuple[str, ...] = (),
) -> Tally:
    """Count what became of a case.

    Raises:
        AssertionError: outcomes stand there for photos that nobody looked at, healthy photos ended in an error, or a
            job with all its outcomes is open.
    """
    looks = count_looks(folder)
    with database.read() as session:
        items, outcomes = session.execute(select(func.count(), func.count(Item.outcome)).select_from(Item)).one()
        faces = session.scalar(select(func.count()).select_from(Face)) or 0
        overwritten = session.scalar(text("SELECT count(*) FROM chaos_overwritten")) or 0
        jobs = session.scalars(select(Job)).all()
    counted = sum(job.items_faces + job.items_no_face + job.items_error for job in jobs)
    counted_faces = sum(
        job.faces_identified + job.faces_unknown + job.faces_ambiguous + job.faces_low_quality for job in jobs
    )
    tally = Tally(
        case=case,
        database=database.engine.dialect.name,
        seed=seed,
        submitted=submitted,
        outcomes=outcomes,
        missing=max(0, submitted - outcomes, submitted - counted),
        stored_twice=overwritten + max(0, items - submitted) + max(0, counted - outcomes) + abs(faces - counted_faces),
        executed_twice=sum(count - 1 for count in looks.values()),
        recover_s=recover_s,
        notes=notes,
    )
    assert tally.missing or len(looks) >= outcomes, f"{outcomes} outcomes of {len(looks)} photos that were looked at"
    errors = sum(job.items_error for job in jobs)
    assert tally.missing or errors == poisoned, f"{errors} photos ended in an error, and {poisoned} were poisonous"
    assert tally.missing or all(job.state == JobState.DONE for job in jobs), "all is stored, and a job is not done"
    return tally
