"""Training that nobody asked for: the last one that gave a model is repeated when enough was labelled since.

Off unless a setting says so. Without a first training by hand there is nothing to repeat.
"""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from core.records import RunState
from core.settings import Settings
from db.engine import Database
from db.run_requests import AUTOMATIC, WHO, labelled_since, newest_run, newest_success, request_run
from db.tables import Run


def retrain_when_due(database: Database, settings: Settings, now: datetime) -> int:
    """Queue a run if one is due; return how many were queued.

    Whatever the newest run came to, it has seen the labels of before: one that failed or was cancelled is not repeated
    before more is labelled.

    Raises:
        DatabaseUnreachableError: the ledger did not answer.
    """
    if not settings.retrain_after_labels and not settings.retrain_after_hours:
        return 0
    with database.read() as session:
        newest = newest_run(session)
        if newest is None or not _is_due(session, newest, settings, now):
            return 0
    with database.write() as session:
        like = newest_success(session)
        if like is None:
            return 0
        _, repeated = request_run(session, recipe=like.recipe, options={**like.options, WHO: AUTOMATIC}, now=now)
    return 0 if repeated else 1


def _is_due(session: Session, newest: Run, settings: Settings, now: datetime) -> bool:
    if newest.state in {RunState.QUEUED, RunState.RUNNING}:
        return False  # a queued one will read the labels of now; after one that is on they are counted again
    read_at = newest.started_at or newest.created_at
    enough, hours = settings.retrain_after_labels, settings.retrain_after_hours
    if enough and labelled_since(session, read_at, enough):
        return True
    return bool(hours) and now - read_at >= timedelta(hours=hours) and labelled_since(session, read_at, 1)
