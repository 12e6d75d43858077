"""The audit trail: who did what to jobs and models. Written in the transaction of the deed itself."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import AuditEntry


def record(session: Session, *, who: str, action: str, subject: str, now: datetime, **detail: Any) -> None:
    """Add one entry, e.g. action `model.activate` on subject `v7`. `detail` must be JSON."""
    session.add(AuditEntry(at=now, who=who, action=action, subject=subject, detail=detail))


def list_entries(session: Session, limit: int, subject: str | None = None) -> list[AuditEntry]:
    """Return entries, newest first; of one subject when given."""
    newest = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    return list(session.scalars(newest if subject is None else newest.where(AuditEntry.subject == subject)))
