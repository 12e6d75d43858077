"""Asking for a training run: recorded first, then rung. Needs no Redis: the sweeper rings later. Light: no torch."""

from dataclasses import dataclass
from typing import Any

from core.clock import utc_now
from core.errors import ServiceError, TooFewPeopleError
from db.clock import LedgerClock
from db.engine import Database
from db.people import list_people
from db.run_requests import request_run
from db.runs import mark_rung
from db.tables import Run
from workers.doorbell import Doorbell
from workers.preparation import HEAD_RECIPE


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What became of a request."""

    run: Run
    repeated: bool
    """The same run was queued before; nothing was added."""
    ring_error: str | None
    """Why no trainer was told, where none was: the sweeper rings later."""


def request_training(
    database: Database, doorbell: Doorbell | None, *, recipe: str, options: dict[str, Any]
) -> RunRequest:
    """Queue a training run and ring for it.

    Args:
        database: the ledger.
        doorbell: None when no Redis is known.
        recipe: a name out of core.training.recipes, or `head`.
        options: JSON: `who` asks, and what `facefleet retrain` has options for.

    Raises:
        TooFewPeopleError: there is nobody to know, or from scratch nobody to tell them from; nothing was queued.
        DatabaseUnreachableError: the ledger did not answer; nothing was queued.
    """
    with database.write() as session:
        people = sum(person.train_photos > 0 for person in list_people(session))
        fewest, what = (1, "one person") if recipe == HEAD_RECIPE else (2, "two people")
        if people < fewest:
            raise TooFewPeopleError(
                f"A model of this kind takes training photos of at least {what}; there are photos of {people}. "
                "Nothing was queued. Import labelled photos: `facefleet people import DIR`, with DIR/<person>/<image>."
            )
        run, repeated = request_run(session, recipe=recipe, options=options, now=utc_now())
    return RunRequest(run=run, repeated=repeated, ring_error=_ring(database, doorbell, run))


def _ring(database: Database, doorbell: Doorbell | None, run: Run) -> str | None:
    """Wake a trainer up; return why that failed, or None."""
    if doorbell is None:
        return "No Redis is known, so no trainer was told yet."
    try:
        doorbell.ring_run(run.id)
    except ServiceError as error:
        return error.message
    with database.write() as session:
        mark_rung(session, run.id, LedgerClock(database)())  # the sweeper compares with it
    return None
