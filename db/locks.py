"""Locks that are no row's: held from when they are taken until the transaction ends."""

from sqlalchemy.orm import Session


def take_turn(session: Session, lock: int) -> None:
    """Wait until no other transaction holds this lock. On SQLite a write transaction is alone anyway.

    Args:
        session: a write session.
        lock: any fixed 64-bit number.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock})")
