"""INSERT ... ON CONFLICT, which both databases speak and SQLAlchemy spells once for each."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db.tables import Base


def insert_if_absent(session: Session, table: type[Base], values: dict[str, Any]) -> bool:
    """Insert a row unless a unique column has its value already; return whether it was inserted.

    Unlike a look before the insert, this also holds when two transactions do it at once: the later one waits for the
    end of the earlier and then sees its row.
    """
    statement = _insert(session, table).values(values).on_conflict_do_nothing()
    inserted = session.execute(statement.returning(*table.__table__.primary_key))  # rowcount is -1 on PostgreSQL
    return inserted.first() is not None


def insert_absent(session: Session, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert those rows of which no unique column has its value already, in one statement."""
    if rows:
        session.execute(_insert(session, table).values(list(rows)).on_conflict_do_nothing())


def upsert(session: Session, table: type[Base], key: tuple[str, ...], values: dict[str, Any]) -> None:
    """Insert a row, or give the row with the same key columns these values."""
    statement = _insert(session, table).values(values)
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def _insert(session: Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    is_postgresql = session.connection().dialect.name == "postgresql"
    return postgresql.insert(table) if is_postgresql else sqlite.insert(table)
